import { defineCommand, noArgs } from "../../command.ts";

export const command = defineCommand({
  use: "show",
  short: "Print the name of the current context",
  args: noArgs,
  flags: {},
  async run({ cli }) {
    cli.stdout.line(cli.currentContext);
  },
});
