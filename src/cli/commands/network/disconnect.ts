import { disconnectNetwork } from "../../../client/networks.ts";
import { defineCommand, exactly } from "../../command.ts";
import { bool } from "../../flags/flags.ts";

export const command = defineCommand({
  use: "disconnect [OPTIONS] NETWORK CONTAINER",
  short: "Disconnect a container from a network",
  args: exactly(2),
  flags: { force: bool({ short: "f", usage: "Force the container to disconnect from a network" }) },
  async run({ flags, args: [network = "", container = ""], cli }) {
    await disconnectNetwork(cli.engine, network, { Container: container, Force: flags.force });
  },
});
