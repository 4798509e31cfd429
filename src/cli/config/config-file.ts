/**
 * Docker's own `config.json`: credentials and preferences that users already have. Only read here and, for
 * `login`/`logout`, rewritten; unknown keys survive.
 */
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import { hasCode } from "../../base/error-codes.ts";
import type { RegistryCredentials } from "../../client/images.ts";

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
  statsFormat?: string;
  imagesFormat?: string;
  networksFormat?: string;
  volumesFormat?: string;
  detachKeys?: string;
  currentContext?: string;
  pruneFilters?: string[];
  cliPluginsExtraDirs?: string[];
  proxies?: Record<string, Record<string, string>>;
}

/** The key under which Docker Hub's credentials are kept. */
export const HUB_CREDENTIALS_KEY = "https://index.docker.io/v1/";
/** As a user name, marks the secret as an identity token. */
const TOKEN_USERNAME = "<token>";

export class ConfigFile {
  readonly directory: string;
  readonly path: string;
  readonly #warn: (warning: string) => void;
  #document: ConfigDocument | undefined;
  #problem: Error | undefined;

  /** @param warn is told, once, that the file cannot be read */
  constructor(directory: string, warn: (warning: string) => void) {
    this.directory = directory;
    this.path = join(directory, "config.json");
    this.#warn = warn;
  }

  /** Keys of the file; empty if there is none or it cannot be read, which does not keep a command from running. */
  get settings(): Readonly<ConfigDocument> {
    this.#document ??= this.#loadOrWarn();
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

  /** @param name undefined for the default one; writes nothing if it is so already */
  setCurrentContext(name: string | undefined): void {
    if ((this.settings.currentContext || undefined) === name) return;
    const { currentContext: _before, ...rest } = this.settings;
    this.#save(name === undefined ? rest : { ...rest, currentContext: name });
  }

  get usesHelper(): boolean {
    return this.settings.credsStore !== undefined;
  }

  #helperOf(registry: string): string | undefined {
    const { credHelpers = {}, credsStore } = this.settings;
    // A registry's own helper, and "" for the file itself, go before the one for all registries.
    return (Object.hasOwn(credHelpers, registry) ? credHelpers[registry] : credsStore) || undefined;
  }

  #loadOrWarn(): ConfigDocument {
    try {
      return load(this.path);
    } catch (error) {
      this.#problem = error as Error;
      this.#warn(`WARNING: Error ${this.#problem.message}`);
      return {};
    }
  }

  #save(document: ConfigDocument): void {
    // What cannot be read may still be mended by hand: it is not replaced.
    if (this.#problem) throw this.#problem;
    const path = followLink(this.path);
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    const temporary = `${path}.${process.pid}`;
    writeFileSync(temporary, JSON.stringify(document, null, "\t"), { mode: 0o600 });
    copyPermissions(path, temporary);
    renameSync(temporary, path);
    this.#document = document;
  }
}

/** @throws Error in Docker's words, for a file that is there and cannot be understood */
function load(path: string): ConfigDocument {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    if (hasCode(cause, "ENOENT")) return {};
    throw new Error(`loading config file: ${(cause as Error).message}`, { cause });
  }
  if (text.trim() === "") return {};
  try {
    const document: unknown = JSON.parse(text);
    if (typeof document !== "object" || Array.isArray(document)) throw new Error("not an object");
    return document ?? {};
  } catch (cause) {
    throw new Error(`parsing config file (${path}): ${(cause as Error).message}`, { cause });
  }
}

/** Where a symbolic link points to, even if nothing is there yet; other paths as they are. */
function followLink(path: string): string {
  try {
    return resolve(dirname(path), readlinkSync(path));
  } catch {
    return path;
  }
}

/** A file that is replaced keeps its mode and, where that is allowed, its owner. */
function copyPermissions(from: string, to: string): void {
  try {
    const { mode, uid, gid } = statSync(from);
    chmodSync(to, mode & 0o7777);
    chownSync(to, uid, gid);
  } catch (error) {
    if (!hasCode(error, "ENOENT", "EPERM")) throw error;
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
