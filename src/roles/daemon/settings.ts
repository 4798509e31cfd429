/**
 * From flags and daemon.json to the engine's configuration: every value is checked here, once, so that nothing
 * behind this line meets a malformed one. Wording is dockerd's where its scripts and users know it.
 */
import { createHash } from "node:crypto";
import { isIP, isIPv4 } from "node:net";
import { isAbsolute, resolve } from "node:path";
import type { LogLevel } from "../../base/log.ts";
import type { ContainerDefaults, EngineConfig, EnginePaths, NetworkConfig } from "../../core/config.ts";
import { InvalidParameterError } from "../../core/errors.ts";
import { BUILT_IN_RUNTIMES } from "../../core/runtime.ts";
import { type ConfigFile, isObject } from "./config-file.ts";
import { type Flags, OPTIONS, type Option } from "./options.ts";

export const DEFAULT_GROUP = "docker";
/** The place of the default daemon's socket, and of what every other daemon's clients look for first. */
const DEFAULT_SOCKET = "/run/gantry/gantry.sock";
const DEFAULT_EXEC_ROOT = "/run/gantry/engine";

/** Options by their flag's name: from the command line, else from the file. */
class Settings {
  readonly #flags: Flags;
  readonly #file: ConfigFile;

  constructor(flags: Flags, file: ConfigFile) {
    this.#flags = flags;
    this.#file = file;
  }

  value(flag: string): unknown {
    const option = (OPTIONS as readonly Option[]).find((candidate) => candidate.flag === flag);
    if (!option) throw new TypeError(`no option ${flag}`);
    return this.#flags.get(flag) ?? (option.key === undefined ? undefined : this.#file[option.key]);
  }

  text(flag: string): string | undefined {
    const value = this.value(flag);
    return value === undefined || value === "" ? undefined : String(value);
  }

  bool(flag: string): boolean | undefined {
    const value = this.value(flag);
    return typeof value === "boolean" ? value : undefined;
  }

  number(flag: string): number | undefined {
    const value = this.value(flag);
    return typeof value === "number" ? value : undefined;
  }

  /** Items as they were given; from the file they are of the shape that `config-file.ts` let through. */
  list(flag: string): readonly unknown[] {
    const value = this.value(flag);
    return Array.isArray(value) ? value : [];
  }

  strings(flag: string): readonly string[] {
    return this.list(flag).map(String);
  }

  /** The file's form of an option whose flag is a list of `name=value`. */
  object(flag: string): Record<string, unknown> | undefined {
    const value = this.value(flag);
    return isObject(value) ? value : undefined;
  }
}

/** @throws InvalidParameterError */
export function toEngineConfig(
  flags: Flags,
  file: ConfigFile,
  environment: { readonly home: string; readonly dockerCertPath: string | undefined },
): EngineConfig {
  const settings = new Settings(flags, file);
  const storageDriver = settings.text("storage-driver") ?? "overlay2";
  if (storageDriver !== "overlay2" && storageDriver !== "overlayfs") {
    throw new InvalidParameterError(
      `unknown storage driver ${JSON.stringify(storageDriver)}: only overlay2 is built in`,
    );
  }
  const tls = toTls(settings, environment);
  const paths = toPaths(settings);
  return {
    paths,
    hosts: toHosts(settings, tls !== undefined),
    group: settings.text("group") ?? DEFAULT_GROUP,
    pidfile: absolute(settings.text("pidfile")),
    tls,
    insecureTcp: settings.bool("insecure-tcp") ?? false,
    labels: toLabels(settings.strings("label")),
    logLevel: settings.bool("debug") ? "debug" : toLogLevel(settings.text("log-level") ?? "info"),
    shutdownTimeout: atLeast(0, "shutdown-timeout", settings.number("shutdown-timeout") ?? 15),
    maxConcurrentDownloads: atLeast(
      1,
      "max-concurrent-downloads",
      settings.number("max-concurrent-downloads") || 3,
    ),
    network: toNetwork(settings),
    registry: {
      insecureRegistries: settings.strings("insecure-registry").map(toInsecureRegistry),
      mirrors: settings.strings("registry-mirror").map(toMirror),
    },
    containers: toContainerDefaults(settings),
  };
}

/** Docker accepts these and they say nothing that Gantry does not do anyway; refusing is told once at start. */
export function settingsWithoutEffect(config: { flags: Flags; file: ConfigFile }): string[] {
  const settings = new Settings(config.flags, config.file);
  const warnings: string[] = [];
  if (settings.bool("live-restore") === false)
    warnings.push("live-restore=false has no effect: containers always outlive the daemon");
  if (settings.bool("iptables") === false)
    warnings.push(
      "iptables=false has no effect: rules are kept in a table of their own, other tables are left alone",
    );
  return warnings;
}

function toPaths(settings: Settings): EnginePaths {
  const dataRoot = absolute(settings.text("data-root")) ?? "/var/lib/gantry";
  const execRoot = absolute(settings.text("exec-root")) ?? DEFAULT_EXEC_ROOT;
  if (dataRoot === execRoot)
    throw new InvalidParameterError("data-root and exec-root must not be the same directory");
  return { dataRoot, execRoot, instance: instanceOf(dataRoot) };
}

/** @see EnginePaths.instance; `dataRoot` is the real path once the directory exists */
export function instanceOf(dataRoot: string): string {
  return createHash("sha256").update(dataRoot).digest("hex").slice(0, 8);
}

function toHosts(settings: Settings, tls: boolean): string[] {
  const hosts = settings.strings("host").map((host) => toHost(host, tls));
  return hosts.length > 0 ? hosts : [`unix://${DEFAULT_SOCKET}`];
}

/** @see moby opts/hosts.go */
function toHost(host: string, tls: boolean): string {
  const [, scheme = "tcp", address = ""] = /^(?:([a-z]+):\/\/)?(.*)$/.exec(host.trim()) ?? [];
  if (scheme === "unix") {
    if (address === "") return `unix://${DEFAULT_SOCKET}`;
    if (!isAbsolute(address)) throw new InvalidParameterError(`invalid unix socket path: ${host}`);
    return `unix://${address}`;
  }
  if (scheme === "fd") return `fd://${address}`;
  if (scheme === "tcp") return toTcpHost(host, address, tls);
  throw new InvalidParameterError(`invalid bind address format: ${host}`);
}

function toTcpHost(host: string, address: string, tls: boolean): string {
  const defaultPort = tls ? 2376 : 2375;
  const [, bracketed, plain, port] =
    /^(?:\[([^\]]*)\]|([^:/]*))(?::(\d*))?$/.exec(address.replace(/\/$/, "")) ?? [];
  const name = bracketed ?? plain;
  const number = port ? Number(port) : defaultPort;
  if (name === undefined || number > 65535 || (bracketed !== undefined && isIP(bracketed) !== 6)) {
    throw new InvalidParameterError(`invalid bind address (${host}): want tcp://host:port`);
  }
  return `tcp://${bracketed === undefined ? name || "127.0.0.1" : `[${bracketed}]`}:${number}`;
}

function toTls(
  settings: Settings,
  environment: { readonly home: string; readonly dockerCertPath: string | undefined },
): EngineConfig["tls"] {
  const verify = settings.bool("tlsverify");
  // As dockerd: --tlsverify alone switches TLS on, and --tlsverify=false does as well (without verification).
  if (!settings.bool("tls") && verify === undefined) return undefined;
  const directory = environment.dockerCertPath ?? resolve(environment.home, ".docker");
  const file = (flag: string, name: string) => absolute(settings.text(flag)) ?? resolve(directory, name);
  return {
    verify: verify ?? false,
    ...(verify && { ca: file("tlscacert", "ca.pem") }),
    cert: file("tlscert", "cert.pem"),
    key: file("tlskey", "key.pem"),
  };
}

function toLabels(labels: readonly string[]): string[] {
  const values = new Map<string, string>();
  for (const label of labels) {
    const [key = "", ...value] = label.split("=");
    if (key === "" || value.length === 0) throw new InvalidParameterError(`bad attribute format: ${label}`);
    const before = values.get(key);
    if (before !== undefined && before !== value.join("=")) {
      throw new InvalidParameterError(`conflict labels for ${key}=${value.join("=")} and ${key}=${before}`);
    }
    values.set(key, value.join("="));
  }
  return [...values].map(([key, value]) => `${key}=${value}`);
}

function toLogLevel(level: string): LogLevel {
  const levels: Record<string, LogLevel> = {
    trace: "debug",
    debug: "debug",
    info: "info",
    warn: "warn",
    warning: "warn",
    error: "error",
    fatal: "error",
    panic: "error",
  };
  const known = levels[level];
  if (!known) throw new InvalidParameterError(`invalid logging level: ${level}`);
  return known;
}

function toNetwork(settings: Settings): NetworkConfig {
  const bip = settings.text("bip");
  if (bip !== undefined && !isIPv4Cidr(bip)) throw new InvalidParameterError(`invalid CIDR address: ${bip}`);
  const bridge = settings.text("bridge");
  if (bridge === "none" && bip !== undefined) {
    throw new InvalidParameterError("--bip cannot be used with --bridge=none");
  }
  if (bridge !== undefined && !/^[A-Za-z0-9_.-]{1,15}$/.test(bridge)) {
    throw new InvalidParameterError(`invalid bridge name: ${bridge}: at most 15 of A-Z a-z 0-9 _ . -`);
  }
  const mtu = settings.number("mtu") ?? 0;
  if (mtu < 0 || mtu > 65535) throw new InvalidParameterError(`invalid default MTU: ${mtu}`);
  const publishAddress = settings.text("ip") ?? "0.0.0.0";
  if (!isIP(publishAddress)) throw new InvalidParameterError(`invalid IP address: ${publishAddress}`);
  return {
    bridge: bridge ?? "gantry0",
    bip,
    addressPools: settings.list("default-address-pool").map(toAddressPool),
    mtu: mtu === 0 ? undefined : mtu,
    publishAddress,
    dns: settings.strings("dns").map((server) => {
      if (!isIP(server)) throw new InvalidParameterError(`${server} is not an ip address`);
      return server;
    }),
    dnsOptions: settings.strings("dns-opt"),
    dnsSearch: settings.strings("dns-search").map((domain) => {
      if (domain !== "." && !/^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?$/.test(domain)) {
        throw new InvalidParameterError(`${domain} is not a valid domain`);
      }
      return domain;
    }),
  };
}

/** `base=10.10.0.0/16,size=24`, or the file's `{"base": …, "size": …}`. */
function toAddressPool(item: unknown): { base: string; size: number } {
  const fields = isObject(item)
    ? item
    : Object.fromEntries(
        String(item)
          .split(",")
          .map((field) => splitOnce(field.trim(), "=")),
      );
  const base = String(fields.base ?? "");
  const size = Number(fields.size);
  const prefix = Number(base.split("/")[1]);
  const unknown = Object.keys(fields).find((key) => key !== "base" && key !== "size");
  if (unknown !== undefined)
    throw new InvalidParameterError(`unexpected key '${unknown}' in '${unknown}=${fields[unknown]}'`);
  if (!isCidr(base)) throw new InvalidParameterError(`invalid CIDR address: ${base}`);
  if (!Number.isInteger(size) || size < prefix || size > (isIPv4Cidr(base) ? 30 : 126)) {
    throw new InvalidParameterError(`invalid size for address pool ${base}: ${fields.size}`);
  }
  return { base, size };
}

function toContainerDefaults(settings: Settings): ContainerDefaults {
  const runtimes = toRuntimes(settings);
  const runtime = settings.text("default-runtime") ?? "crun";
  if (!BUILT_IN_RUNTIMES.some((name) => name === runtime) && !(runtime in runtimes)) {
    throw new InvalidParameterError(`specified default runtime '${runtime}' does not exist`);
  }
  const cgroupNamespace = settings.text("default-cgroupns-mode");
  if (cgroupNamespace !== undefined && cgroupNamespace !== "host" && cgroupNamespace !== "private") {
    throw new InvalidParameterError(
      `default cgroup namespace mode (${cgroupNamespace}) is invalid; use "host" or "private"`,
    );
  }
  return {
    init: settings.bool("init") ?? false,
    initPath: settings.text("init-path"),
    runtime,
    runtimes,
    ulimits: toUlimits(settings),
    logDriver: settings.text("log-driver") ?? "json-file",
    logOptions: toLogOptions(settings),
    shmSize: toBytes(settings.value("default-shm-size") ?? "64MiB"),
    cgroupNamespace,
  };
}

function toRuntimes(settings: Settings): ContainerDefaults["runtimes"] {
  const fromFile = Object.entries(settings.object("add-runtime") ?? {}).map(([name, value]) => {
    if (!isObject(value) || typeof value.path !== "string") {
      throw new InvalidParameterError(`invalid runtime ${name}: want an object with a path`);
    }
    const args = Array.isArray(value.runtimeArgs) ? value.runtimeArgs.map(String) : [];
    return [name, { path: value.path, args }] as const;
  });
  const fromFlags = settings.strings("add-runtime").map((text) => {
    const [name, path] = splitOnce(text, "=");
    if (name === "" || path === "") throw new InvalidParameterError(`invalid runtime argument: ${text}`);
    return [name, { path, args: [] as string[] }] as const;
  });
  for (const [name] of [...fromFile, ...fromFlags]) {
    if (BUILT_IN_RUNTIMES.some((builtIn) => builtIn === name))
      throw new InvalidParameterError(`runtime name '${name}' is reserved`);
  }
  return Object.fromEntries([...fromFile, ...fromFlags]);
}

const ULIMITS = new Set(
  "as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack".split(
    " ",
  ),
);

function toUlimits(settings: Settings): ContainerDefaults["ulimits"] {
  const fromFile = Object.entries(settings.object("default-ulimit") ?? {}).map(([name, value]) => {
    if (!isObject(value)) throw new InvalidParameterError(`invalid ulimit argument: ${name}`);
    const { Soft, Hard } = value;
    return { Name: String(value.Name ?? name), Soft: Number(Soft ?? Hard), Hard: Number(Hard ?? Soft) };
  });
  const limits = [...fromFile, ...settings.strings("default-ulimit").map(parseUlimit)];
  for (const { Name, Soft, Hard } of limits) {
    if (!ULIMITS.has(Name)) throw new InvalidParameterError(`invalid ulimit type: ${Name}`);
    if (!Number.isInteger(Soft) || !Number.isInteger(Hard)) {
      throw new InvalidParameterError(`invalid ulimit argument: ${Name}`);
    }
    if (Hard !== -1 && (Soft === -1 || Soft > Hard)) {
      throw new InvalidParameterError(
        `ulimit soft limit must be less than or equal to hard limit: ${Soft} > ${Hard}`,
      );
    }
  }
  return limits;
}

function parseUlimit(text: string): { Name: string; Soft: number; Hard: number } {
  const match = /^([a-z]+)=(-1|\d+)(?::(-1|\d+))?$/.exec(text);
  if (!match) throw new InvalidParameterError(`invalid ulimit argument: ${text}`);
  const [, Name = "", soft = "", hard = soft] = match;
  return { Name, Soft: Number(soft), Hard: Number(hard) };
}

function toLogOptions(settings: Settings): Record<string, string> {
  const object = settings.object("log-opt");
  const entries = object
    ? Object.entries(object).map(([key, value]) => [key, String(value)] as const)
    : settings.strings("log-opt").map((text) => {
        const [key, value] = splitOnce(text, "=");
        if (!text.includes("="))
          throw new InvalidParameterError(`invalid argument "${text}" for "--log-opt" flag: want key=value`);
        return [key, value] as const;
      });
  return Object.fromEntries(entries);
}

const UNITS: Readonly<Record<string, number>> = { "": 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };

/** go-units' RAMInBytes: `64m`, `64MB`, `64MiB` are the same. */
function toBytes(value: unknown): number {
  const [, digits, unit = ""] = /^(\d+(?:\.\d+)?) ?([kmgt]?)(?:i?b)?$/i.exec(String(value)) ?? [];
  const bytes = Math.floor(Number(digits) * (UNITS[unit.toLowerCase()] ?? Number.NaN));
  if (!Number.isSafeInteger(bytes)) throw new InvalidParameterError(`invalid size: '${value}'`);
  return bytes;
}

function toInsecureRegistry(registry: string): string {
  if (registry.includes("://")) {
    throw new InvalidParameterError(`insecure registry ${registry} should not contain '://'`);
  }
  if (
    !isCidr(registry) &&
    !/^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?)(:\d+)?$/.test(registry)
  ) {
    throw new InvalidParameterError(
      `insecure registry ${registry} is not valid: invalid host ${JSON.stringify(registry)}`,
    );
  }
  return registry;
}

function toMirror(mirror: string): string {
  const url = URL.canParse(mirror) ? new URL(mirror) : undefined;
  if (!url) throw new InvalidParameterError(`invalid mirror: ${JSON.stringify(mirror)} is not a valid URI`);
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw new InvalidParameterError(
      `invalid mirror: unsupported scheme "${url.protocol.slice(0, -1)}" in "${mirror}"`,
    );
  }
  if (url.search !== "" || url.hash !== "") {
    throw new InvalidParameterError(`invalid mirror: query or fragment at end of the URI "${mirror}"`);
  }
  if (url.username !== "" || url.password !== "") {
    throw new InvalidParameterError(
      `invalid mirror: username/password not allowed in URI "${url.protocol}//xxxxx@${url.host}"`,
    );
  }
  return `${url.href.replace(/\/+$/, "")}/`;
}

function atLeast(least: number, flag: string, value: number): number {
  if (value < least) throw new InvalidParameterError(`invalid ${flag}: ${value}`);
  return value;
}

function absolute(path: string | undefined): string | undefined {
  return path === undefined ? undefined : resolve(path);
}

function isCidr(text: string): boolean {
  const [address = "", prefix = "", ...rest] = text.split("/");
  const version = isIP(address);
  return (
    rest.length === 0 && version !== 0 && /^\d+$/.test(prefix) && Number(prefix) <= (version === 4 ? 32 : 128)
  );
}

function isIPv4Cidr(text: string): boolean {
  return isCidr(text) && isIPv4(text.split("/")[0] ?? "");
}

/** The text before and after the first separator; the second is empty if there is none. */
function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + separator.length)];
}
