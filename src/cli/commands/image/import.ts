import { importImage } from "../../../client/image-transfer.ts";
import { between, defineCommand } from "../../command.ts";
import { readInput, readWhole } from "../../copy/whole-file.ts";
import { platformFlag } from "../../flags/common-flags.ts";
import { list, string } from "../../flags/flags.ts";
import { showProgress } from "../../terminal/progress.ts";
import { parseReference } from "../../values/reference.ts";

export const command = defineCommand({
  use: "import [OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
  short: "Import the contents from a tarball to create a filesystem image",
  aliases: "image import, import",
  args: between(1, 2),
  flags: {
    change: list({ short: "c", usage: "Apply Dockerfile instruction to the created image" }),
    message: string({ short: "m", usage: "Set commit message for imported image" }),
    platform: platformFlag,
  },
  async run({ flags: { change, message, platform }, args: [source = "", name = ""], cli }) {
    if (name !== "") parseReference(name);
    const remote = /^https?:\/\//.test(source);
    const archive = remote ? undefined : source === "-" ? readInput() : await readWhole(source);
    const messages = await importImage(cli.engine, {
      source: remote ? source : "-",
      archive,
      repository: name,
      tag: "",
      message,
      changes: change,
      platform,
    });
    await showProgress(messages, cli.stdout);
  },
});
