import { inspectImageText } from "../../../client/images.ts";
import { inspectObjects } from "../../actions/inspect.ts";
import { atLeast, defineCommand } from "../../command.ts";
import { inspectFormatFlag } from "../../flags/common-flags.ts";
import { string } from "../../flags/flags.ts";

const PLATFORM_HELP = `Inspect a specific platform of the multi-platform image.
If the image or the server is not multi-platform capable, the command will error out if the platform does not match.
'os[/arch[/variant]]': Explicit platform (eg. linux/amd64)`;

export const command = defineCommand({
  use: "inspect [OPTIONS] IMAGE [IMAGE...]",
  short: "Display detailed information on one or more images",
  args: atLeast(1),
  flags: { format: inspectFormatFlag, platform: string({ usage: PLATFORM_HELP }) },
  async run({ flags, args, cli }) {
    const platform = flags.platform === "" ? undefined : JSON.stringify(toPlatform(flags.platform));
    await inspectObjects(cli, args, flags.format, async (name) => ({
      type: "image.InspectResponse",
      json: await inspectImageText(cli.engine, name, platform),
    }));
  },
});

function toPlatform(text: string): Record<string, string> {
  const [os = "", architecture, variant] = text.split("/");
  return { os, ...(architecture && { architecture }), ...(variant && { variant }) };
}
