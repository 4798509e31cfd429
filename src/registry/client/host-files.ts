/**
 * What an administrator says about one registry, in files: its mirrors, how they are reached, whom they are trusted by.
 * Looked at for each operation, so that a change needs no restart.
 *
 *     <directory>/<host[:port]>/hosts.toml           containerd's form; `_default` for registries without a directory
 *     <directory>/<host[:port]>/*.crt                Docker's form: authorities, besides those of the system
 *     <directory>/<host[:port]>/*.cert, *.key        and client certificates
 *
 * @see containerd docs/hosts.md; https://docs.docker.com/engine/security/certificates/
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { rootCertificates } from "node:tls";
import { InvalidParameterError, messageOf } from "../../core/errors.ts";

/** Certificates, as PEM. */
export interface HostTls {
  readonly ca?: readonly string[];
  readonly cert?: string;
  readonly key?: string;
}

/** A host that a file describes; what the file leaves open is undefined. */
export interface HostEntry {
  readonly address: string;
  readonly scheme: "http" | "https";
  /** In place of `/v2`, without a slash at the end. */
  readonly root: string;
  readonly capabilities: ReadonlySet<HostCapability>;
  readonly skipVerify: boolean;
  readonly tls?: HostTls;
  readonly headers: Readonly<Record<string, string>>;
}

export type HostCapability = "pull" | "resolve" | "push";

export interface HostFile {
  /** In the order of the file. */
  readonly mirrors: readonly HostEntry[];
  /** The registry itself, if the file says anything about it. */
  readonly server?: HostEntry;
  /** Docker's certificates for it. */
  readonly tls?: HostTls;
}

const ALL: readonly HostCapability[] = ["pull", "resolve", "push"];

/** The first directory that knows the registry. @throws InvalidParameterError naming the file that cannot be understood */
export function readHostFile(directories: readonly string[], domain: string): HostFile | undefined {
  for (const name of [...namesOf(domain), "_default"]) {
    for (const directory of directories) {
      const place = join(directory, name);
      if (existsSync(place)) return readPlace(place);
    }
  }
  return undefined;
}

/** containerd writes the port either way. */
function namesOf(domain: string): string[] {
  const [, host, port] = /^(.*):(\d+)$/.exec(domain) ?? [];
  return host === undefined ? [domain] : [domain, `${host}_${port}_`, host];
}

function readPlace(place: string): HostFile {
  const file = join(place, "hosts.toml");
  const tls = readDockerCertificates(place);
  if (!existsSync(file)) return { mirrors: [], ...(tls ? { tls } : {}) };
  try {
    return { ...parseHosts(readFileSync(file, "utf8"), place), ...(tls ? { tls } : {}) };
  } catch (error) {
    throw new InvalidParameterError(`${file}: ${messageOf(error)}`, { subject: file, cause: error });
  }
}

function readDockerCertificates(place: string): HostTls | undefined {
  const names = readdirSync(place).sort();
  const ca = names
    .filter((name) => name.endsWith(".crt"))
    .map((name) => readFileSync(join(place, name), "utf8"));
  const cert = names.find((name) => name.endsWith(".cert"));
  const key = cert?.replace(/\.cert$/, ".key");
  if (cert && (!key || !names.includes(key))) {
    throw new InvalidParameterError(`missing key ${key} for client certificate ${cert} in ${place}`, {
      subject: place,
    });
  }
  if (ca.length === 0 && !cert) return undefined;
  return {
    ...(ca.length > 0 ? { ca: [...rootCertificates, ...ca] } : {}),
    ...(cert && key
      ? { cert: readFileSync(join(place, cert), "utf8"), key: readFileSync(join(place, key), "utf8") }
      : {}),
  };
}

type Table = Readonly<Record<string, unknown>>;

function parseHosts(text: string, place: string): Pick<HostFile, "mirrors" | "server"> {
  const document = Bun.TOML.parse(text) as Table;
  const hosts = tableOf(document.host, "host");
  const mirrors = Object.entries(hosts).map(([url, entry]) => toEntry(url, tableOf(entry, url), place));
  if (typeof document.server !== "string") return { mirrors };
  return { mirrors, server: toEntry(document.server, document, place) };
}

function toEntry(address: string, fields: Table, place: string): HostEntry {
  const url = URL.parse(address.includes("://") ? address : `https://${address}`);
  if (!url || (url.protocol !== "http:" && url.protocol !== "https:"))
    throw new Error(`invalid address ${address}`);
  const path = url.pathname.replace(/\/+$/, "");
  const tls = tlsOf(fields, place);
  return {
    address: url.host,
    scheme: url.protocol === "http:" ? "http" : "https",
    root: fields.override_path === true || path.endsWith("/v2") ? path : `${path}/v2`,
    capabilities: new Set(capabilitiesOf(fields.capabilities)),
    skipVerify: fields.skip_verify === true,
    ...(tls ? { tls } : {}),
    headers: headersOf(fields.header),
  };
}

function capabilitiesOf(value: unknown): readonly HostCapability[] {
  if (value === undefined) return ALL;
  const names = stringsOf(value, "capabilities");
  const unknown = names.find((name) => !ALL.includes(name as HostCapability));
  if (unknown !== undefined) throw new Error(`unknown capability ${JSON.stringify(unknown)}`);
  return names as readonly HostCapability[];
}

function tlsOf(fields: Table, place: string): HostTls | undefined {
  const read = (name: string): string => readFileSync(isAbsolute(name) ? name : join(place, name), "utf8");
  const ca = fields.ca === undefined ? [] : stringsOf(fields.ca, "ca").map(read);
  const [cert, key] = clientOf(fields.client);
  if (ca.length === 0 && cert === undefined) return undefined;
  return {
    ...(ca.length > 0 ? { ca: [...rootCertificates, ...ca] } : {}),
    // One file may hold both.
    ...(cert === undefined ? {} : { cert: read(cert), key: read(key ?? cert) }),
  };
}

/** `"cert.pem"`, `["cert.pem"]`, `[["cert.pem", "key.pem"]]`. */
function clientOf(value: unknown): readonly [cert?: string, key?: string] {
  if (value === undefined) return [];
  const first: unknown = Array.isArray(value) ? value[0] : value;
  const [cert, key] = Array.isArray(first) ? first : [first];
  if (typeof cert !== "string" || (key !== undefined && key !== "" && typeof key !== "string")) {
    throw new Error("client must name files");
  }
  return [cert, key || undefined];
}

function headersOf(value: unknown): Record<string, string> {
  if (value === undefined) return {};
  return Object.fromEntries(
    Object.entries(tableOf(value, "header")).map(([name, values]) => [
      name,
      stringsOf(values, name).join(", "),
    ]),
  );
}

function tableOf(value: unknown, name: string): Table {
  if (value === undefined) return {};
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new Error(`${name} is not a table`);
  return value as Table;
}

function stringsOf(value: unknown, name: string): string[] {
  const list = Array.isArray(value) ? value : [value];
  if (!list.every((item) => typeof item === "string"))
    throw new Error(`${name} must be text, or a list of texts`);
  return list as string[];
}
