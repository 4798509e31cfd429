import { exportContainer } from "../../../client/container-files.ts";
import { defineCommand, exactly } from "../../command.ts";
import { checkTarget, writeWhole } from "../../copy/whole-file.ts";
import { string } from "../../flags/flags.ts";

export const command = defineCommand({
  use: "export [OPTIONS] CONTAINER",
  short: "Export a container's filesystem as a tar archive",
  aliases: "container export, export",
  args: exactly(1),
  flags: { output: string({ short: "o", usage: "Write to a file, instead of STDOUT" }) },
  async run({ flags: { output }, args: [name = ""], cli }) {
    if (output === "" && cli.stdout.isTerminal) {
      throw new Error("cowardly refusing to save to a terminal. Use the -o flag or redirect");
    }
    if (output !== "") checkTarget(output, "failed to export container");
    const body = await exportContainer(cli.engine, name);
    if (output === "") for await (const bytes of body) await cli.stdout.stream(bytes);
    else await writeWhole(output, body);
  },
});
