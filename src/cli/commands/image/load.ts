import { loadImages } from "../../../client/image-transfer.ts";
import { defineCommand, noArgs } from "../../command.ts";
import { readInput, readWhole } from "../../copy/whole-file.ts";
import { bool, string } from "../../flags/flags.ts";
import { showProgress } from "../../terminal/progress.ts";
import { parsePlatform } from "../../values/platform.ts";

export const command = defineCommand({
  use: "load [OPTIONS]",
  short: "Load an image from a tar archive or STDIN",
  aliases: "image load, load",
  args: noArgs,
  flags: {
    input: string({ short: "i", usage: "Read from tar archive file, instead of STDIN" }),
    platform: string({
      usage: `Load only the given platform variant. Formatted as "os[/arch[/variant]]" (e.g., "linux/amd64")`,
    }),
    quiet: bool({ short: "q", usage: "Suppress the load output" }),
  },
  async run({ flags: { input, quiet, platform }, cli }) {
    const wanted = parsePlatform(platform);
    if (input === "" && cli.stdin.isTerminal) {
      throw new Error("requested load from stdin, but stdin is empty");
    }
    const archive = input === "" ? readInput() : await readWhole(input);
    // Numbers are for people who watch.
    const silent = quiet || !cli.stdout.isTerminal;
    const messages = await loadImages(cli.engine, archive, { quiet: silent, platform: wanted });
    await showProgress(messages, cli.stdout);
  },
});
