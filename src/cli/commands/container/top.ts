import { topContainer } from "../../../client/containers.ts";
import { atLeast, defineCommand } from "../../command.ts";
import { alignColumns } from "../../terminal/table.ts";

export const command = defineCommand({
  use: "top CONTAINER [ps OPTIONS]",
  short: "Display the running processes of a container",
  aliases: "container top, top",
  args: atLeast(1),
  flags: {},
  interspersed: false,
  async run({ args: [name = "", ...psArgs], cli }) {
    const { Titles, Processes } = await topContainer(cli.engine, name, psArgs);
    const lines = [Titles, ...(Processes ?? [])].map((cells) => cells.join("\t"));
    cli.stdout.write(alignColumns(`${lines.join("\n")}\n`, { minWidth: 20, padding: 3 }));
  },
});
