/**
 * What a registry can be told: flags, then the environment, then a file in the form that users of `registry:2` know
 * (`http.addr`, `storage.filesystem.rootdirectory`, …). Every key is known or refused; what is known has its effect.
 */
import { existsSync, readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { InvalidParameterError } from "../../core/errors.ts";
import type { S3Options } from "../../drivers/registry-bytes-s3/client.ts";
import { DEFAULT_POLICY, type RegistryPolicy } from "../../registry/server/deps.ts";

export interface RegistryConfig {
  readonly host: string;
  readonly port: number;
  /** Files in PEM form. */
  readonly tls: { readonly certificate: string; readonly key: string } | undefined;
  readonly dataRoot: string;
  /** `postgres://…`; undefined for SQLite below the data root. */
  readonly database: string | undefined;
  /** Undefined for files below the data root. */
  readonly s3: (S3Options & { readonly redirects: boolean }) | undefined;
  readonly htpasswd: string | undefined;
  readonly policy: RegistryPolicy;
  /** Everybody may do everything as long as there is no account, also beyond loopback. */
  readonly open: boolean;
  /** Plain HTTP beyond loopback. */
  readonly plain: boolean;
  readonly logLevel: "debug" | "info" | "warn" | "error";
}

const DEFAULT_ADDRESS = "127.0.0.1:5000";
const DEFAULT_DATA_ROOT = "/var/lib/gantry-registry";

export const USAGE = `Usage:  gantry registry serve [OPTIONS]

Run a registry that any client can push to and pull from

Options:
      --addr string        Address to listen on (default "${DEFAULT_ADDRESS}")
      --config string      Configuration file, in the form of registry:2's config.yml
      --data-root string   Where everything is kept (default "${DEFAULT_DATA_ROOT}")
      --open               Let everybody do everything while there are no accounts, also beyond loopback
      --plain              Serve plain HTTP beyond loopback
      --tls-cert string    Certificate, in PEM form
      --tls-key string     Its key, in PEM form
`;

/** Dotted keys of the file; each can be given in the environment too: `http.addr` is REGISTRY_HTTP_ADDR. */
const KEYS = [
  "version",
  "log.level",
  "http.addr",
  "http.tls.certificate",
  "http.tls.key",
  "storage.filesystem.rootdirectory",
  "storage.delete.enabled",
  "storage.redirect.disable",
  "storage.s3.region",
  "storage.s3.regionendpoint",
  "storage.s3.bucket",
  "storage.s3.accesskey",
  "storage.s3.secretkey",
  "auth.htpasswd.realm",
  "auth.htpasswd.path",
  "registry.database",
  "registry.visibility",
  "registry.grace.upload",
  "registry.grace.delete",
] as const;
type Key = (typeof KEYS)[number];

/** @throws InvalidParameterError that names key and value */
export function readRegistryConfig(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): RegistryConfig | "help" {
  const flags = parseFlags(args);
  if (flags.help) return "help";
  const settings = {
    ...(flags.config === undefined ? {} : readFile(flags.config)),
    ...fromEnvironment(environment),
  };
  const get = (key: Key): string | undefined => settings[key];
  const certificate = flags["tls-cert"] ?? get("http.tls.certificate");
  const key = flags["tls-key"] ?? get("http.tls.key");
  if ((certificate === undefined) !== (key === undefined))
    throw bad("a certificate needs its key, and a key its certificate");
  return {
    ...parseAddress(flags.addr ?? get("http.addr") ?? DEFAULT_ADDRESS),
    tls: certificate !== undefined && key !== undefined ? { certificate, key } : undefined,
    dataRoot: flags["data-root"] ?? get("storage.filesystem.rootdirectory") ?? DEFAULT_DATA_ROOT,
    database: toDatabase(get("registry.database")),
    s3: toS3(get),
    htpasswd: get("auth.htpasswd.path"),
    policy: {
      ...DEFAULT_POLICY,
      // registry:2 deletes only where it is told to; here it is the other way round, since disks fill.
      deletion: toBoolean("storage.delete.enabled", get("storage.delete.enabled")) ?? DEFAULT_POLICY.deletion,
      visibility: toVisibility(get("registry.visibility")) ?? DEFAULT_POLICY.visibility,
      uploadGrace:
        toDuration("registry.grace.upload", get("registry.grace.upload")) ?? DEFAULT_POLICY.uploadGrace,
      deleteGrace:
        toDuration("registry.grace.delete", get("registry.grace.delete")) ?? DEFAULT_POLICY.deleteGrace,
    },
    open: flags.open ?? false,
    plain: flags.plain ?? false,
    logLevel: toLevel(get("log.level")),
  };
}

function parseFlags(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        addr: { type: "string" },
        config: { type: "string" },
        "data-root": { type: "string" },
        "tls-cert": { type: "string" },
        "tls-key": { type: "string" },
        open: { type: "boolean" },
        plain: { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    }).values;
  } catch (error) {
    throw bad(error instanceof Error ? error.message : String(error));
  }
}

function readFile(path: string): Record<string, string> {
  if (!existsSync(path)) throw bad(`there is no configuration file ${path}`);
  let document: unknown;
  try {
    document = Bun.YAML.parse(readFileSync(path, "utf8"));
  } catch (error) {
    throw bad(`${path} is not YAML: ${error instanceof Error ? error.message : String(error)}`);
  }
  const settings = Object.fromEntries(flatten(document, ""));
  const unknown = Object.keys(settings).find((key) => !isKey(key));
  if (unknown !== undefined) throw bad(`${path}: the key ${unknown} is not known to this registry`);
  return settings;
}

function flatten(value: unknown, prefix: string): [string, string][] {
  if (value === null || value === undefined) return [];
  if (typeof value !== "object") return [[prefix, String(value)]];
  return Object.entries(value).flatMap(([key, inner]) =>
    flatten(inner, prefix === "" ? key : `${prefix}.${key}`),
  );
}

function fromEnvironment(environment: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const known = KEYS.flatMap((key): [string, string][] => {
    const value = environment[`REGISTRY_${key.replaceAll(".", "_").toUpperCase()}`];
    return value === undefined ? [] : [[key, value]];
  });
  return Object.fromEntries(known);
}

function isKey(text: string): text is Key {
  return (KEYS as readonly string[]).includes(text);
}

/** `HOST:PORT`, `[::1]:5000`, `:5000` for all addresses. */
function parseAddress(text: string): { host: string; port: number } {
  const [, bracketed, plain, port = ""] = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text) ?? [];
  if (port === "" || Number(port) > 65_535) throw bad(`address ${JSON.stringify(text)} is not HOST:PORT`);
  const host = bracketed ?? plain ?? "";
  return { host: host === "" ? "::" : host, port: Number(port) };
}

function toDatabase(url: string | undefined): string | undefined {
  if (url === undefined || /^postgres(ql)?:\/\//.test(url)) return url;
  // Not told: it may hold a password.
  throw bad("registry.database is not a postgres:// address");
}

/** Keys as registry:2 has them; what S3 needs is asked for together. */
function toS3(get: (key: Key) => string | undefined): RegistryConfig["s3"] {
  const bucket = get("storage.s3.bucket");
  const accessKeyId = get("storage.s3.accesskey");
  const secretAccessKey = get("storage.s3.secretkey");
  const region = get("storage.s3.region");
  const given = [bucket, accessKeyId, secretAccessKey, region, get("storage.s3.regionendpoint")];
  if (given.every((value) => value === undefined)) return undefined;
  if (!bucket || !accessKeyId || !secretAccessKey || !region) {
    throw bad("storage.s3 needs bucket, region, accesskey and secretkey");
  }
  const endpoint = get("storage.s3.regionendpoint") ?? `https://s3.${region}.amazonaws.com`;
  const redirects = toBoolean("storage.redirect.disable", get("storage.redirect.disable")) !== true;
  return { bucket, accessKeyId, secretAccessKey, region, endpoint, redirects };
}

function toBoolean(key: Key, value: string | undefined): boolean | undefined {
  if (value === undefined) return undefined;
  if (value !== "true" && value !== "false")
    throw bad(`${key}: ${JSON.stringify(value)} is neither true nor false`);
  return value === "true";
}

function toVisibility(value: string | undefined): "public" | "private" | undefined {
  if (value === undefined || value === "public" || value === "private") return value;
  throw bad(`registry.visibility: ${JSON.stringify(value)} is neither public nor private`);
}

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** `90s`, `24h`: milliseconds. */
function toDuration(key: Key, value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const [, count = "", unit = ""] = /^(\d{1,9})(ms|s|m|h)$/.exec(value) ?? [];
  if (unit === "") throw bad(`${key}: ${JSON.stringify(value)} is no time such as 30s or 24h`);
  return Number(count) * (UNITS[unit] ?? 1);
}

function toLevel(value: string | undefined): RegistryConfig["logLevel"] {
  if (value === undefined) return "info";
  if (value === "debug" || value === "info" || value === "warn" || value === "error") return value;
  throw bad(`log.level: ${JSON.stringify(value)} is none of debug, info, warn, error`);
}

function bad(message: string): InvalidParameterError {
  return new InvalidParameterError(message);
}
