/**
 * Docker's own `config.json`: credentials and preferences that users already have. Only read here and, for
 * `login`/`logout`, rewritten; unknown keys survive.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { RegistryCredentials } from "../client/images.ts";

interface StoredAuth {
  auth?: string;
  username?: string;
  password?: string;
  identitytoken?: string;
  registrytoken?: string;
}

interface ConfigDocument {
  auths?: Record<string, StoredAuth>;
  credsStore?: string;
  credHelpers?: Record<string, string>;
  HttpHeaders?: Record<string, string>;
  psFormat?: string;
  imagesFormat?: string;
  networksFormat?: string;
  volumesFormat?: string;
  detachKeys?: string;
  currentContext?: string;
  pruneFilters?: string[];
  proxies?: Record<string, Record<string, string>>;
}

/** The key under which Docker Hub's credentials are kept. */
export const HUB_CREDENTIALS_KEY = "https://index.docker.io/v1/";
/** As a user name, marks the secret as an identity token. */
const TOKEN_USERNAME = "<token>";

export class ConfigFile {
  readonly path: string;
  #document: ConfigDocument | undefined;

  constructor(directory: string) {
    this.path = join(directory, "config.json");
  }

  /** Keys of the file; empty if there is none. @throws Error if it is not JSON */
  get settings(): Readonly<ConfigDocument> {
    this.#document ??= this.#load();
    return this.#document;
  }

  /** Credentials for a registry, from a helper process or the file itself; undefined if there are none. */
  async findCredentials(registry: string): Promise<RegistryCredentials | undefined> {
    const helper = this.#helperOf(registry);
    if (helper !== undefined) return await credentialsFromHelper(helper, registry);
    const { auths = {} } = this.settings;
    const stored =
      auths[registry] ?? Object.entries(auths).find(([key]) => hostOf(key) === hostOf(registry))?.[1];
    return stored === undefined ? undefined : toCredentials(registry, stored);
  }

  /** Keeps credentials; with a helper configured, there, else in the file. */
  async storeCredentials(registry: string, auth: RegistryCredentials): Promise<void> {
    const helper = this.#helperOf(registry);
    if (helper !== undefined) {
      const token = auth.identitytoken;
      await runHelper(helper, "store", {
        ServerURL: registry,
        Username: token ? TOKEN_USERNAME : auth.username,
        Secret: token || auth.password,
      });
      this.#save({ ...this.settings, auths: { ...this.settings.auths, [registry]: {} } });
      return;
    }
    const stored: StoredAuth = {
      auth: Buffer.from(`${auth.username ?? ""}:${auth.identitytoken ? "" : (auth.password ?? "")}`).toString(
        "base64",
      ),
      ...(auth.identitytoken && { identitytoken: auth.identitytoken }),
    };
    this.#save({ ...this.settings, auths: { ...this.settings.auths, [registry]: stored } });
  }

  /** False if there were none. */
  async eraseCredentials(registry: string): Promise<boolean> {
    const { [registry]: stored, ...auths } = this.settings.auths ?? {};
    const helper = this.#helperOf(registry);
    if (helper !== undefined) await runHelper(helper, "erase", registry).catch(() => undefined);
    if (stored === undefined) return false;
    this.#save({ ...this.settings, auths });
    return true;
  }

  get usesHelper(): boolean {
    return this.settings.credsStore !== undefined;
  }

  #helperOf(registry: string): string | undefined {
    return this.settings.credHelpers?.[hostOf(registry)] ?? (this.settings.credsStore || undefined);
  }

  #load(): ConfigDocument {
    if (!existsSync(this.path)) return {};
    try {
      return JSON.parse(readFileSync(this.path, "utf8")) as ConfigDocument;
    } catch (cause) {
      throw new Error(`Error loading config file: ${this.path}: ${String(cause)}`, { cause });
    }
  }

  #save(document: ConfigDocument): void {
    mkdirSync(dirname(this.path), { recursive: true, mode: 0o700 });
    const temporary = `${this.path}.${process.pid}`;
    writeFileSync(temporary, JSON.stringify(document, null, "\t"), { mode: 0o600 });
    renameSync(temporary, this.path);
    this.#document = document;
  }
}

/** The host of a registry's key, which may be a URL. */
function hostOf(key: string): string {
  return key.replace(/^https?:\/\//, "").split("/")[0] ?? key;
}

function toCredentials(registry: string, stored: StoredAuth): RegistryCredentials {
  const decoded = stored.auth ? Buffer.from(stored.auth, "base64").toString() : "";
  const colon = decoded.indexOf(":");
  return {
    username: stored.username ?? (colon < 0 ? decoded : decoded.slice(0, colon)),
    password: stored.password ?? (colon < 0 ? "" : decoded.slice(colon + 1).replace(/\0+$/, "")),
    serveraddress: registry,
    ...(stored.identitytoken && { identitytoken: stored.identitytoken }),
    ...(stored.registrytoken && { registrytoken: stored.registrytoken }),
  };
}

async function credentialsFromHelper(
  helper: string,
  registry: string,
): Promise<RegistryCredentials | undefined> {
  const answer = await runHelper(helper, "get", registry);
  if (answer === undefined) return undefined;
  const { Username = "", Secret = "" } = JSON.parse(answer) as { Username?: string; Secret?: string };
  return Username === TOKEN_USERNAME
    ? { identitytoken: Secret, serveraddress: registry }
    : { username: Username, password: Secret, serveraddress: registry };
}

/** Undefined if the helper has nothing for that registry. @throws Error with the helper's words */
async function runHelper(helper: string, verb: string, input: unknown): Promise<string | undefined> {
  const text = typeof input === "string" ? input : JSON.stringify(input);
  const program = `docker-credential-${helper}`;
  if (!Bun.which(program)) {
    throw new Error(
      `error getting credentials - err: exec: "${program}": executable file not found in $PATH, out: \`\``,
    );
  }
  const child = Bun.spawn([program, verb], { stdin: Buffer.from(text), stdout: "pipe", stderr: "inherit" });
  const output = (await new Response(child.stdout).text()).trim();
  if ((await child.exited) === 0) return output;
  if (/credentials not found/i.test(output)) return undefined;
  throw new Error(`error getting credentials - err: exit status ${child.exitCode}, out: \`${output}\``);
}
