import { isNotFound } from "../../../client/errors.ts";
import { removeNetwork } from "../../../client/networks.ts";
import { atLeast, defineCommand, messageOf, StatusError } from "../../command.ts";
import { bool } from "../../flags/flags.ts";

export const command = defineCommand({
  use: "rm NETWORK [NETWORK...]",
  short: "Remove one or more networks",
  aliases: "network rm, network remove",
  args: atLeast(1),
  flags: { force: bool({ short: "f", usage: "Do not error if the network does not exist" }) },
  async run({ flags, args, cli }) {
    let failed = false;
    for (const name of args) {
      try {
        await removeNetwork(cli.engine, name);
        cli.stdout.line(name);
      } catch (error) {
        if (flags.force && isNotFound(error)) continue;
        cli.stderr.line(messageOf(error));
        failed = true;
      }
    }
    if (failed) throw new StatusError("exit status 1", 1);
  },
});
