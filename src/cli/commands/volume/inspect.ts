import { inspectVolumeText } from "../../../client/volumes.ts";
import { inspectObjects } from "../../actions/inspect.ts";
import { atLeast, defineCommand } from "../../command.ts";
import { inspectFormatFlag } from "../../flags/common-flags.ts";

export const command = defineCommand({
  use: "inspect [OPTIONS] VOLUME [VOLUME...]",
  short: "Display detailed information on one or more volumes",
  args: atLeast(1),
  flags: { format: inspectFormatFlag },
  async run({ flags, args, cli }) {
    await inspectObjects(cli, args, flags.format, async (name) => ({
      type: "volume.Volume",
      json: await inspectVolumeText(cli.engine, name),
      typedOnly: true,
    }));
  },
});
