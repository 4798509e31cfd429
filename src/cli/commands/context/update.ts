import { endpointHelp, endpointOf, storeOf } from "../../actions/contexts.ts";
import { defineCommand, exactly } from "../../command.ts";
import { validateContextName } from "../../config/context-store.ts";
import { stringToString } from "../../flags/common-flags.ts";
import { string } from "../../flags/flags.ts";
import { goQuote } from "../../values/go-text.ts";

export const command = defineCommand({
  use: "update [OPTIONS] CONTEXT",
  short: "Update a context",
  description: endpointHelp("Update a context", "update", "docker"),
  args: exactly(1),
  flags: {
    description: string({ usage: "Description of the context" }),
    docker: stringToString({ usage: "set the docker endpoint" }),
  },
  async run({ flags, changed, args: [name = ""], cli }) {
    validateContextName(name);
    const store = storeOf(cli);
    const context = store.get(name);
    const Metadata =
      flags.description === "" ? context.Metadata : { ...context.Metadata, Description: flags.description };
    const renewed = changed("docker") ? endpointOf(cli, flags.docker) : undefined;
    const Endpoints = renewed ? { ...context.Endpoints, docker: renewed.endpoint } : context.Endpoints;
    store.put({ ...context, Metadata, Endpoints }, renewed?.tls);
    cli.stdout.line(name);
    cli.stderr.line(`Successfully updated context ${goQuote(name)}`);
  },
});
