import { pushImage } from "../../../client/image-transfer.ts";
import type { ProgressMessage } from "../../../client/images.ts";
import { defineCommand, exactly } from "../../command.ts";
import { credentialsFor } from "../../config/credentials.ts";
import { disableContentTrustFlag } from "../../flags/common-flags.ts";
import { bool, string } from "../../flags/flags.ts";
import { showProgress } from "../../terminal/progress.ts";
import { parsePlatform } from "../../values/platform.ts";
import { familiarName, fullString, parseReference, withDefaultTag } from "../../values/reference.ts";

export const command = defineCommand({
  use: "push [OPTIONS] NAME[:TAG]",
  short: "Upload an image to a registry",
  aliases: "image push, push",
  args: exactly(1),
  flags: {
    "all-tags": bool({ short: "a", usage: "Push all tags of an image to the repository" }),
    "disable-content-trust": disableContentTrustFlag,
    platform: string({
      usage: `Push a platform-specific manifest as a single-platform image to the registry.
Image index won't be pushed, meaning that other manifests, including attestations won't be preserved.
'os[/arch[/variant]]': Explicit platform (eg. linux/amd64)`,
    }),
    quiet: bool({ short: "q", usage: "Suppress verbose output" }),
  },
  async run({ flags, args: [name = ""], cli }) {
    const platform = parsePlatform(flags.platform);
    let reference = parseReference(name);
    if (flags["all-tags"]) {
      if (reference.tag !== undefined || reference.digest !== undefined) {
        throw new Error("tag can't be used with --all-tags/-a");
      }
    } else if (reference.tag === undefined && reference.digest === undefined) {
      reference = withDefaultTag(reference);
      if (!flags.quiet) cli.stdout.line(`Using default tag: ${reference.tag}`);
    }
    if (reference.digest !== undefined) throw new Error("cannot push a digest reference");
    const notes: string[] = [];
    const messages = await pushImage(cli.engine, familiarName(reference), {
      tag: reference.tag,
      platform,
      auth: await credentialsFor(cli, reference.domain).catch(() => undefined),
    });
    await showProgress(noting(messages, notes), flags.quiet ? undefined : cli.stdout);
    for (const note of notes) cli.stderr.line(note);
    if (flags.quiet) cli.stdout.line(fullString(reference));
  },
});

/** What the engine says beside the progress, gathered for the end. */
async function* noting(
  messages: AsyncIterable<ProgressMessage>,
  notes: string[],
): AsyncGenerator<ProgressMessage> {
  for await (const message of messages) {
    const aux = message.aux as {
      manifestPushedInsteadOfIndex?: boolean;
      selectedManifest?: { digest?: string };
    };
    if (aux?.manifestPushedInsteadOfIndex) {
      notes.push(
        ` i Info → Not all multiplatform-content is present and only the available single-platform image was pushed
          ${aux.selectedManifest?.digest ?? ""}`,
      );
    }
    yield message;
  }
}
