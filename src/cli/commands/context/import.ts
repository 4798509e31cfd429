import { readFileSync } from "node:fs";
import { checkNewName, storeOf } from "../../actions/contexts.ts";
import { defineCommand, exactly } from "../../command.ts";
import { unpackContext } from "../../config/context-archive.ts";
import { goQuote } from "../../values/go-text.ts";

export const command = defineCommand({
  use: "import CONTEXT FILE|-",
  short: "Import a context from a tar or zip file",
  args: exactly(2),
  flags: {},
  async run({ args: [name = "", source = ""], cli }) {
    checkNewName(cli, name);
    const { context, tls } = unpackContext(readFileSync(source === "-" ? 0 : source));
    storeOf(cli).put({ ...context, Name: name }, tls);
    cli.stdout.line(name);
    cli.stderr.line(`Successfully imported context ${goQuote(name)}`);
  },
});
