import { inspectNetworkText } from "../../../client/networks.ts";
import { inspectObjects } from "../../actions/inspect.ts";
import { atLeast, defineCommand } from "../../command.ts";
import { inspectFormatFlag } from "../../flags/common-flags.ts";
import { bool } from "../../flags/flags.ts";

export const command = defineCommand({
  use: "inspect [OPTIONS] NETWORK [NETWORK...]",
  short: "Display detailed information on one or more networks",
  args: atLeast(1),
  flags: {
    format: inspectFormatFlag,
    verbose: bool({ short: "v", usage: "Verbose output for diagnostics" }),
  },
  async run({ flags, args, cli }) {
    const { verbose } = flags;
    await inspectObjects(cli, args, flags.format, async (name) => ({
      type: "network.Inspect",
      json: await inspectNetworkText(cli.engine, name, { verbose }),
    }));
  },
});
