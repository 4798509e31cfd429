import { waitForContainer } from "../../../client/containers.ts";
import { atLeast, defineCommand, joinErrors } from "../../command.ts";

export const command = defineCommand({
  use: "wait CONTAINER [CONTAINER...]",
  short: "Block until one or more containers stop, then print their exit codes",
  aliases: "container wait, wait",
  args: atLeast(1),
  flags: {},
  async run({ args, cli }) {
    const errors: unknown[] = [];
    for (const name of args) {
      try {
        const { StatusCode } = await (await waitForContainer(cli.engine, name)).result;
        cli.stdout.line(String(StatusCode));
      } catch (error) {
        errors.push(error);
      }
    }
    const joined = joinErrors(errors);
    if (joined) throw joined;
  },
});
