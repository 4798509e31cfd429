import { inspectContainerText } from "../../../client/containers.ts";
import { EngineResponseError } from "../../../client/errors.ts";
import { inspectImageText } from "../../../client/images.ts";
import { inspectNetworkText } from "../../../client/networks.ts";
import { inspectVolumeText } from "../../../client/volumes.ts";
import { type InspectedObject, inspectObjects } from "../../actions/inspect.ts";
import { atLeast, type Cli, defineCommand } from "../../command.ts";
import { inspectFormatFlag } from "../../flags/common-flags.ts";
import { bool, string } from "../../flags/flags.ts";
import { goQuote } from "../../values/go-text.ts";

interface Kind {
  readonly type: InspectedObject["type"];
  readonly fetch: (cli: Cli, name: string, size: boolean) => Promise<string>;
}

/** In the order in which a name is looked for. */
const kinds: Readonly<Record<string, Kind>> = {
  container: {
    type: "container.InspectResponse",
    fetch: (cli, name, size) => inspectContainerText(cli.engine, name, size),
  },
  image: { type: "image.InspectResponse", fetch: (cli, name) => inspectImageText(cli.engine, name) },
  network: { type: "network.Inspect", fetch: (cli, name) => inspectNetworkText(cli.engine, name) },
  volume: { type: "volume.Volume", fetch: (cli, name) => inspectVolumeText(cli.engine, name) },
};
const unsupported = ["config", "node", "plugin", "secret", "service", "task"];

export const command = defineCommand({
  use: "inspect [OPTIONS] NAME|ID [NAME|ID...]",
  short: "Return low-level information on Docker objects",
  args: atLeast(1),
  flags: {
    format: inspectFormatFlag,
    size: bool({ short: "s", usage: "Display total file sizes if the type is container" }),
    type: string({ usage: "Only inspect objects of the given type" }),
  },
  async run({ flags, changed, args, cli }) {
    const all = [...Object.keys(kinds), ...unsupported].sort().join('", "');
    if (changed("type") && flags.type === "") throw new Error(`type is empty: must be one of "${all}"`);
    if (unsupported.includes(flags.type))
      throw new Error(`inspecting objects of type ${flags.type} is not supported`);
    if (flags.type !== "" && !Object.hasOwn(kinds, flags.type)) {
      throw new Error(`unknown type: ${goQuote(flags.type)}: must be one of "${all}"`);
    }
    await inspectObjects(cli, args, flags.format, (name) => findObject(cli, name, flags));
  },
});

async function findObject(
  cli: Cli,
  name: string,
  { type, size }: { readonly type: string; readonly size: boolean },
): Promise<InspectedObject> {
  for (const [kind, { type: goType, fetch }] of Object.entries(kinds)) {
    if (type !== "" && kind !== type) continue;
    try {
      const json = await fetch(cli, name, size);
      if (size && kind !== "container") cli.stderr.line(`WARNING: --size ignored for ${kind}`);
      return { type: goType, json };
    } catch (error) {
      if (type !== "" || !isSkippable(error)) throw error;
    }
  }
  throw new Error(`Error: No such object: ${name}`);
}

/** Not that kind of object: the next kind may know the name. */
function isSkippable(error: unknown): boolean {
  if (!(error instanceof EngineResponseError)) return false;
  return error.status === 404 || /not supported|invalid reference format/.test(error.reason);
}
