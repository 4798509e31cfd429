import { atMost, defineCommand } from "../../command.ts";
import { HUB_CREDENTIALS_KEY } from "../../config/config-file.ts";

export const command = defineCommand({
  use: "logout [SERVER]",
  short: "Log out from a registry",
  description: "Log out from a registry.\nIf no server is specified, the default is defined by the daemon.",
  args: atMost(1),
  flags: {},
  async run({ args: [server = ""], cli }) {
    const host = server.replace(/^https?:\/\//, "").split("/")[0] ?? server;
    const keys =
      server === "" ? [HUB_CREDENTIALS_KEY] : new Set([server, host, `http://${host}`, `https://${host}`]);
    cli.stdout.line(`Removing login credentials for ${server === "" ? HUB_CREDENTIALS_KEY : host}`);
    for (const key of keys) await cli.config.eraseCredentials(key);
  },
});
