import { storeOf } from "../../actions/contexts.ts";
import { defineCommand, exactly } from "../../command.ts";
import { validateContextName } from "../../config/context-store.ts";
import { DEFAULT_CONTEXT } from "../../config/contexts.ts";
import { goQuote } from "../../values/go-text.ts";

export const command = defineCommand({
  use: "use CONTEXT",
  short: "Set the default docker context",
  args: exactly(1),
  flags: {},
  async run({ args: [name = ""], cli }) {
    if (name !== DEFAULT_CONTEXT) {
      validateContextName(name);
      storeOf(cli).get(name);
    }
    cli.config.setCurrentContext(name === DEFAULT_CONTEXT ? undefined : name);
    cli.stdout.line(name);
    cli.stderr.line(`Current context is now ${goQuote(name)}`);
    if (name !== DEFAULT_CONTEXT && cli.environment.DOCKER_HOST) {
      cli.stderr.line(
        `Warning: DOCKER_HOST environment variable overrides the active context. To use ${goQuote(name)}, either set the global --context flag, or unset DOCKER_HOST environment variable.`,
      );
    }
  },
});
