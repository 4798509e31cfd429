import { inspectContainerText } from "../../../client/containers.ts";
import { inspectObjects } from "../../actions/inspect.ts";
import { atLeast, defineCommand } from "../../command.ts";
import { inspectFormatFlag } from "../../flags/common-flags.ts";
import { bool } from "../../flags/flags.ts";

export const command = defineCommand({
  use: "inspect [OPTIONS] CONTAINER [CONTAINER...]",
  short: "Display detailed information on one or more containers",
  args: atLeast(1),
  flags: { format: inspectFormatFlag, size: bool({ short: "s", usage: "Display total file sizes" }) },
  async run({ flags, args, cli }) {
    await inspectObjects(cli, args, flags.format, async (name) => ({
      type: "container.InspectResponse",
      json: await inspectContainerText(cli.engine, name, flags.size),
    }));
  },
});
