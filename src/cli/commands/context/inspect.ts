import { getContext, storeOf } from "../../actions/contexts.ts";
import { inspectObjects } from "../../actions/inspect.ts";
import { atLeast, defineCommand } from "../../command.ts";
import { DEFAULT_CONTEXT } from "../../config/contexts.ts";
import { inspectFormatFlag } from "../../flags/common-flags.ts";

export const command = defineCommand({
  use: "inspect [OPTIONS] [CONTEXT] [CONTEXT...]",
  short: "Display detailed information on one or more contexts",
  args: atLeast(0),
  flags: { format: inspectFormatFlag },
  async run({ flags, args, cli }) {
    const names = args.length > 0 ? args : [cli.currentContext];
    await inspectObjects(cli, names, flags.format, async (name) => {
      const store = storeOf(cli);
      const files = Object.keys(store.tls(name));
      const { metadata, tls } = store.paths(name);
      const stored = name !== DEFAULT_CONTEXT;
      const json = JSON.stringify({
        ...getContext(cli, name),
        TLSMaterial: files.length > 0 ? { docker: files } : {},
        Storage: {
          MetadataPath: stored ? metadata : "<IN MEMORY>",
          TLSPath: stored ? tls : "<IN MEMORY>",
        },
      });
      return { type: "context.contextWithTLSListing", json };
    });
  },
});
