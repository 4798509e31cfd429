import { saveImages } from "../../../client/image-transfer.ts";
import { atLeast, defineCommand } from "../../command.ts";
import { checkTarget, writeWhole } from "../../copy/whole-file.ts";
import { string } from "../../flags/flags.ts";
import { parsePlatform } from "../../values/platform.ts";

export const command = defineCommand({
  use: "save [OPTIONS] IMAGE [IMAGE...]",
  short: "Save one or more images to a tar archive (streamed to STDOUT by default)",
  aliases: "image save, save",
  args: atLeast(1),
  flags: {
    output: string({ short: "o", usage: "Write to a file, instead of STDOUT" }),
    platform: string({
      usage: `Save only the given platform variant. Formatted as "os[/arch[/variant]]" (e.g., "linux/amd64")`,
    }),
  },
  async run({ flags: { output, platform }, args, cli }) {
    const wanted = parsePlatform(platform);
    if (output === "" && cli.stdout.isTerminal) {
      throw new Error("cowardly refusing to save to a terminal. Use the -o flag or redirect");
    }
    if (output !== "") checkTarget(output, "failed to save image");
    const archive = await saveImages(cli.engine, args, wanted);
    if (output === "") for await (const bytes of archive) await cli.stdout.stream(bytes);
    else await writeWhole(output, archive);
  },
});
