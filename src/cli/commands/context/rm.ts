import { storeOf } from "../../actions/contexts.ts";
import { atLeast, defineCommand, joinErrors } from "../../command.ts";
import { DEFAULT_CONTEXT } from "../../config/contexts.ts";
import { bool } from "../../flags/flags.ts";
import { goQuote } from "../../values/go-text.ts";

export const command = defineCommand({
  use: "rm CONTEXT [CONTEXT...]",
  short: "Remove one or more contexts",
  aliases: "context rm, context remove",
  args: atLeast(1),
  flags: { force: bool({ short: "f", usage: "Force the removal of a context in use" }) },
  async run({ flags, args, cli }) {
    const store = storeOf(cli);
    const errors: Error[] = [];
    for (const name of args) {
      const current = name === cli.currentContext;
      if (name === DEFAULT_CONTEXT) errors.push(new Error('context "default" cannot be removed'));
      else if (current && !flags.force) {
        errors.push(new Error(`context ${goQuote(name)} is in use, set -f flag to force remove`));
      } else if (!flags.force && !store.has(name)) {
        errors.push(new Error(`context ${goQuote(name)} does not exist`));
      } else {
        if (current) cli.config.setCurrentContext(undefined);
        store.remove(name);
        cli.stdout.line(name);
      }
    }
    const failed = joinErrors(errors);
    if (failed) throw failed;
  },
});
