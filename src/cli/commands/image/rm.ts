import { EngineResponseError } from "../../../client/errors.ts";
import { type Platform, removeImage } from "../../../client/images.ts";
import { atLeast, defineCommand, joinErrors } from "../../command.ts";
import { strings } from "../../flags/common-flags.ts";
import { bool } from "../../flags/flags.ts";
import { goQuote } from "../../values/go-text.ts";

export const command = defineCommand({
  use: "rmi [OPTIONS] IMAGE [IMAGE...]",
  short: "Remove one or more images",
  aliases: "image rm, image remove, rmi",
  args: atLeast(1),
  flags: {
    force: bool({ short: "f", usage: "Force removal of the image" }),
    "no-prune": bool({ usage: "Do not delete untagged parents" }),
    platform: strings({
      usage:
        'Remove only the given platform variant. Formatted as "os[/arch[/variant]]" (e.g., "linux/amd64")',
    }),
  },
  async run({ flags, args, cli }) {
    const platforms = flags.platform.map(parsePlatform);
    const errors: unknown[] = [];
    for (const name of args) {
      try {
        const deletions = await removeImage(cli.engine, name, {
          force: flags.force,
          prune: !flags["no-prune"],
          platforms,
        });
        for (const { Deleted, Untagged } of deletions) {
          cli.stdout.line(Deleted ? `Deleted: ${Deleted}` : `Untagged: ${Untagged}`);
        }
      } catch (error) {
        errors.push(error);
      }
    }
    const joined = joinErrors(errors);
    if (!joined) return;
    const onlyMissing = errors.every((error) => error instanceof EngineResponseError && error.status === 404);
    if (!flags.force || !onlyMissing) throw joined;
    cli.stderr.line(joined.message);
  },
});

/** `os[/arch[/variant]]`. @throws Error for what is none */
function parsePlatform(text: string): Platform {
  const [os = "", architecture = "", variant, ...rest] = text.split("/");
  if (!/^[\w-]+(\/[\w-]+)*$/.test(text) || rest.length > 0) {
    throw new Error(`${goQuote(text)}: cannot parse platform specifier: invalid argument`);
  }
  return { architecture, os, ...(variant !== undefined && { variant }) };
}
