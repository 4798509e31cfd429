import { actOnContainer } from "../../../client/containers.ts";
import { eachInParallel } from "../../actions/each.ts";
import { atLeast, defineCommand } from "../../command.ts";
import { string } from "../../flags/flags.ts";

export const command = defineCommand({
  use: "kill [OPTIONS] CONTAINER [CONTAINER...]",
  short: "Kill one or more running containers",
  aliases: "container kill, kill",
  args: atLeast(1),
  flags: { signal: string({ short: "s", usage: "Signal to send to the container" }) },
  async run({ flags, args, cli }) {
    const query = { signal: flags.signal || undefined };
    await eachInParallel(cli, args, (name) => actOnContainer(cli.engine, name, "kill", query));
  },
});
