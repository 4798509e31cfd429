import { atLeast, defineCommand, StatusError } from "../../command.ts";

/** Listed among the commands; the program takes another role before it comes here. */
export const command = defineCommand({
  use: "serve [OPTIONS]",
  short: "Run a registry that any client can push to and pull from",
  args: atLeast(0),
  flags: {},
  async run() {
    throw new StatusError(
      "'registry serve' takes no options before it: gantry registry serve [OPTIONS]",
      125,
    );
  },
});
