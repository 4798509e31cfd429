import { actOnContainer } from "../../../client/containers.ts";
import { eachInParallel } from "../../actions/each.ts";
import { atLeast, defineCommand } from "../../command.ts";

export const command = defineCommand({
  use: "unpause CONTAINER [CONTAINER...]",
  short: "Unpause all processes within one or more containers",
  aliases: "container unpause, unpause",
  args: atLeast(1),
  flags: {},
  async run({ args, cli }) {
    await eachInParallel(cli, args, (name) => actOnContainer(cli.engine, name, "unpause"));
  },
});
