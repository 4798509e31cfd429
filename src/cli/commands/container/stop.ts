import { actOnContainer } from "../../../client/containers.ts";
import { eachInParallel } from "../../actions/each.ts";
import { atLeast, defineCommand } from "../../command.ts";
import { integer, string } from "../../flags/flags.ts";

export const command = defineCommand({
  use: "stop [OPTIONS] CONTAINER [CONTAINER...]",
  short: "Stop one or more running containers",
  aliases: "container stop, stop",
  args: atLeast(1),
  flags: {
    signal: string({ short: "s", usage: "Signal to send to the container" }),
    time: {
      ...integer({
        usage: "Seconds to wait before killing the container (deprecated: use --timeout)",
        hidden: true,
      }),
      deprecated: "use --timeout instead",
    },
    timeout: integer({ short: "t", usage: "Seconds to wait before killing the container" }),
  },
  async run({ flags, changed, args, cli }) {
    if (changed("time") && changed("timeout")) {
      throw new Error("conflicting options: cannot specify both --timeout and --time");
    }
    const timeout = changed("timeout") ? flags.timeout : changed("time") ? flags.time : undefined;
    const query = { signal: flags.signal || undefined, t: timeout };
    await eachInParallel(cli, args, (name) => actOnContainer(cli.engine, name, "stop", query));
  },
});
