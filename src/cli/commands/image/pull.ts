import { pullImage, type RegistryCredentials } from "../../../client/images.ts";
import { type Cli, defineCommand, exactly } from "../../command.ts";
import { credentialsFor } from "../../config/credentials.ts";
import { disableContentTrustFlag, platformFlag } from "../../flags/common-flags.ts";
import { bool } from "../../flags/flags.ts";
import { showProgress } from "../../terminal/progress.ts";
import {
  familiarName,
  fullString,
  type ImageReference,
  parseReference,
  withDefaultTag,
} from "../../values/reference.ts";

export const command = defineCommand({
  use: "pull [OPTIONS] NAME[:TAG|@DIGEST]",
  short: "Download an image from a registry",
  aliases: "image pull, pull",
  args: exactly(1),
  flags: {
    "all-tags": bool({ short: "a", usage: "Download all tagged images in the repository" }),
    "disable-content-trust": disableContentTrustFlag,
    platform: platformFlag,
    quiet: bool({ short: "q", usage: "Suppress verbose output" }),
  },
  async run({ flags, args: [name = ""], cli }) {
    let reference = parseReference(name);
    if (!flags["disable-content-trust"] && reference.digest === undefined)
      throw new Error("content trust (--disable-content-trust=false) is not supported");
    const nameOnly = reference.tag === undefined && reference.digest === undefined;
    if (flags["all-tags"] && !nameOnly) throw new Error("tag can't be used with --all-tags/-a");
    if (!flags["all-tags"] && nameOnly) {
      reference = withDefaultTag(reference);
      if (!flags.quiet) cli.stdout.line(`Using default tag: ${reference.tag}`);
    }
    await pullWithProgress(cli, reference, {
      platform: flags.platform,
      output: flags.quiet ? undefined : cli.stdout,
      // As Docker's pull does, without an account where a helper fails: the image may well be public.
      auth: await credentialsFor(cli, reference.domain).catch(() => undefined),
    });
    cli.stdout.line(fullString(reference));
  },
});

export interface PullProgress {
  readonly platform: string;
  /** Where the progress goes; nowhere if undefined. */
  readonly output: Cli["stdout"] | undefined;
  readonly auth: RegistryCredentials | undefined;
}

/** All tags if the reference names none. */
export async function pullWithProgress(
  cli: Cli,
  reference: ImageReference,
  { platform, output, auth }: PullProgress,
): Promise<void> {
  const tag = reference.digest ?? reference.tag;
  const messages = await pullImage(cli.engine, {
    fromImage: familiarName(reference),
    ...(tag !== undefined && { tag }),
    ...(platform && { platform }),
    ...(auth && { auth }),
  });
  await showProgress(messages, output);
}
