import { removeVolume } from "../../../client/volumes.ts";
import { eachInTurn } from "../../actions/each.ts";
import { atLeast, defineCommand } from "../../command.ts";
import { bool } from "../../flags/flags.ts";

export const command = defineCommand({
  use: "rm [OPTIONS] VOLUME [VOLUME...]",
  short: "Remove one or more volumes",
  description: "Remove one or more volumes. You cannot remove a volume that is in use by a container.",
  aliases: "volume rm, volume remove",
  args: atLeast(1),
  flags: { force: bool({ short: "f", usage: "Force the removal of one or more volumes" }) },
  async run({ flags, args, cli }) {
    await eachInTurn(cli, args, (name) => removeVolume(cli.engine, name, flags.force));
  },
});
