import { readFileSync } from "node:fs";
import { EngineResponseError } from "../../../client/errors.ts";
import type { RegistryCredentials } from "../../../client/images.ts";
import { authenticate } from "../../../client/system.ts";
import { atMost, type Cli, defineCommand, messageOf } from "../../command.ts";
import { HUB_CREDENTIALS_KEY } from "../../config/config-file.ts";
import { bool, string } from "../../flags/flags.ts";
import { readLine } from "../../terminal/confirm.ts";

export const command = defineCommand({
  use: "login [OPTIONS] [SERVER]",
  short: "Authenticate to a registry",
  description: "Authenticate to a registry.\nDefaults to Docker Hub if no server is specified.",
  args: atMost(1),
  flags: {
    password: string({ short: "p", usage: "Password or Personal Access Token (PAT)" }),
    "password-stdin": bool({ usage: "Take the Password or Personal Access Token (PAT) from stdin" }),
    username: string({ short: "u", usage: "Username" }),
  },
  async run({ flags, changed, args: [server = ""], cli }) {
    if (changed("password-stdin") && changed("password")) {
      throw new Error("conflicting options: cannot specify both --password and --password-stdin");
    }
    if (changed("password-stdin") && !changed("username")) {
      throw new Error("the --password-stdin option requires --username to be set");
    }
    if (changed("username") && flags.username === "") throw new Error("username is empty");
    if (changed("password") && flags.password === "") throw new Error("password is empty");
    if (flags.password !== "") {
      cli.stderr.line("WARNING! Using --password via the CLI is insecure. Use --password-stdin.");
    }
    const password = flags["password-stdin"] ? readFileSync(0, "utf8").replace(/\r?\n$/, "") : flags.password;
    const registry = server === "" || server === "docker.io" ? HUB_CREDENTIALS_KEY : toRegistry(server);
    if (flags.username === "" && password === "") {
      const stored = await cli.config.findCredentials(registry);
      if (stored?.username && stored.password) {
        const message = await loginWithStored(cli, stored);
        if (message !== undefined) return cli.stdout.line(message);
      }
    }
    cli.stdout.line(await loginAs(cli, registry, flags.username, password));
  },
});

function toRegistry(server: string): string {
  return server.replace(/^https?:\/\//, "").split("/")[0] ?? server;
}

/** Undefined if the stored credentials no longer hold. */
async function loginWithStored(cli: Cli, stored: RegistryCredentials): Promise<string | undefined> {
  cli.stderr.line(`Authenticating with existing credentials... [Username: ${stored.username}]`);
  cli.stderr.line(
    `\n Info -> To login with a different account, run '${cli.program} logout' followed by '${cli.program} login'\n\n`,
  );
  try {
    return (await authenticate(cli.engine, stored)).Status;
  } catch (error) {
    const refused = error instanceof EngineResponseError && error.status === 401;
    cli.stderr.line(
      refused ? "Stored credentials invalid or expired" : `Login did not succeed, error: ${messageOf(error)}`,
    );
    return undefined;
  }
}

async function loginAs(cli: Cli, registry: string, username: string, password: string): Promise<string> {
  if ((username === "" || password === "") && !cli.stdin.isTerminal) {
    throw new Error("Error: Cannot perform an interactive login from a non TTY device");
  }
  const name = username || ask(cli, "Username: ");
  if (name === "") throw new Error("Error: Non-null Username Required");
  const secret = password || askSecret(cli, "Password: ");
  if (secret === "") throw new Error("Error: Password Required");
  const auth: RegistryCredentials = { username: name, password: secret, serveraddress: registry };
  const { Status, IdentityToken } = await authenticate(cli.engine, auth);
  await cli.config.storeCredentials(
    registry,
    IdentityToken ? { ...auth, password: "", identitytoken: IdentityToken } : auth,
  );
  if (!cli.config.usesHelper) {
    cli.stderr.line(
      `\nWARNING! Your credentials are stored unencrypted in '${cli.config.path}'.\nConfigure a credential helper to remove this warning. See\nhttps://docs.docker.com/go/credential-store/\n`,
    );
  }
  return Status;
}

function ask(cli: Cli, prompt: string): string {
  cli.stdout.write(prompt);
  return readLine().trim();
}

/** A line that the terminal does not show. */
function askSecret(cli: Cli, prompt: string): string {
  cli.stdout.write(prompt);
  Bun.spawnSync(["stty", "-echo"], { stdin: "inherit" });
  try {
    return readLine();
  } finally {
    Bun.spawnSync(["stty", "echo"], { stdin: "inherit" });
    cli.stdout.line();
  }
}
