import { checkNewName, endpointHelp, endpointOf, getContext, storeOf } from "../../actions/contexts.ts";
import { defineCommand, exactly } from "../../command.ts";
import { stringToString } from "../../flags/common-flags.ts";
import { string } from "../../flags/flags.ts";
import { goQuote } from "../../values/go-text.ts";

export const command = defineCommand({
  use: "create [OPTIONS] CONTEXT",
  short: "Create a context",
  description: endpointHelp("Create a context", "create", "docker"),
  args: exactly(1),
  flags: {
    description: string({ usage: "Description of the context" }),
    docker: stringToString({ usage: "set the docker endpoint" }),
    from: string({ usage: "create context from a named context" }),
  },
  async run({ flags, changed, args: [name = ""], cli }) {
    checkNewName(cli, name);
    const given = changed("docker");
    if (flags.from !== "" && given) throw new Error("cannot use --docker flag when --from is set");
    const store = storeOf(cli);
    if (given) {
      const { endpoint, tls } = endpointOf(cli, flags.docker);
      store.put(
        { Name: name, Metadata: { Description: flags.description }, Endpoints: { docker: endpoint } },
        tls,
      );
    } else {
      const source = flags.from || cli.currentContext;
      const { Metadata, Endpoints } = getContext(cli, source);
      const described = flags.description === "" ? Metadata : { ...Metadata, Description: flags.description };
      store.put({ Name: name, Metadata: described, Endpoints }, store.tls(source));
    }
    cli.stdout.line(name);
    cli.stderr.line(`Successfully created context ${goQuote(name)}`);
  },
});
