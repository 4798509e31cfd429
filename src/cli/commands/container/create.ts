import { createFromBody, toCheckedBody } from "../../actions/create-container.ts";
import { atLeast, defineCommand } from "../../command.ts";
import { createFlags } from "../../options/container-flags.ts";

export const command = defineCommand({
  use: "create [OPTIONS] IMAGE [COMMAND] [ARG...]",
  short: "Create a new container",
  aliases: "container create, create",
  args: atLeast(1),
  flags: createFlags,
  interspersed: false,
  async run({ flags, changed, args: [image = "", ...command], cli }) {
    const body = toCheckedBody(cli, "create", { flags, changed, image, command });
    cli.stdout.line(await createFromBody(cli, body, flags));
  },
});
