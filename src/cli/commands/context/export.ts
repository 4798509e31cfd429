import { writeFileSync } from "node:fs";
import { getContext, storeOf } from "../../actions/contexts.ts";
import { between, defineCommand } from "../../command.ts";
import { packContext } from "../../config/context-archive.ts";
import { validateContextName } from "../../config/context-store.ts";
import { DEFAULT_CONTEXT } from "../../config/contexts.ts";
import { goQuote } from "../../values/go-text.ts";

export const command = defineCommand({
  use: "export [OPTIONS] CONTEXT [FILE|-]",
  short: "Export a context to a tar archive FILE or a tar stream on STDOUT.",
  args: between(1, 2),
  flags: {},
  async run({ args: [name = "", given], cli }) {
    if (name !== DEFAULT_CONTEXT) validateContextName(name);
    const archive = packContext(getContext(cli, name), storeOf(cli).tls(name));
    const target = given ?? `${name}.dockercontext`;
    if (target === "-") {
      if (cli.stdout.isTerminal)
        throw new Error("cowardly refusing to export to a terminal, specify a file path");
      return cli.stdout.write(archive);
    }
    writeFileSync(target, archive, { flag: "wx", mode: 0o600 });
    cli.stderr.line(`Written file ${goQuote(target)}`);
  },
});
