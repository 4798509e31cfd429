/**
 * From flags and daemon.json to the engine's configuration: every value is checked here, once, so that nothing
 * behind this line meets a malformed one. Wording is dockerd's where its scripts and users know it.
 */
import { createHash } from "node:crypto";
import { isIP, isIPv4 } from "node:net";
import { isAbsolute, resolve } from "node:path";
import type { LogLevel } from "../../base/log.ts";
import {
  type EngineConfig,
  type EnginePaths,
  type NetworkConfig,
  type ProxyConfig,
  withoutCredentials,
} from "../../core/config.ts";
import { InvalidParameterError } from "../../core/errors.ts";
import { type ConfigFile, isObject } from "./config-file.ts";
import { toContainerDefaults, toFeatures } from "./container-settings.ts";
import { checkDockerOptions } from "./docker-options.ts";
import type { Flags } from "./flags.ts";
import { Settings, splitOnce } from "./given.ts";

const NO_PROXIES: ProxyConfig = { http: "", https: "", none: "" };
export const DEFAULT_GROUP = "docker";
const DEFAULT_EXEC_ROOT = "/run/gantry/engine";

/** What the process has besides its arguments. */
export interface Environment {
  readonly home: string;
  readonly dockerCertPath: string | undefined;
  /** From `HTTP_PROXY` and the like. */
  readonly proxies?: ProxyConfig;
  /** Called by this name the program takes Docker's places: its socket, its file, its bridge. */
  readonly calledDockerd?: boolean;
}

interface Places {
  readonly socket: string;
  readonly configFile: string;
  readonly bridge: string;
}

/**
 * Where things are unless an option says so. State keeps its own place by either name: what another engine left in
 * /var/lib/docker is not touched.
 */
export function placesOf({ calledDockerd }: Pick<Environment, "calledDockerd">): Places {
  return calledDockerd
    ? { socket: "/var/run/docker.sock", configFile: "/etc/docker/daemon.json", bridge: "docker0" }
    : { socket: "/run/gantry/gantry.sock", configFile: "/etc/gantry/daemon.json", bridge: "gantry0" };
}

/** @throws InvalidParameterError */
export function toEngineConfig(flags: Flags, file: ConfigFile, environment: Environment): EngineConfig {
  const settings = new Settings(flags, file);
  const storageDriver = settings.text("storage-driver") ?? "overlay2";
  if (storageDriver !== "overlay2" && storageDriver !== "overlayfs") {
    throw new InvalidParameterError(
      `unknown storage driver ${JSON.stringify(storageDriver)}: only overlay2 is built in`,
    );
  }
  const tls = toTls(settings, environment);
  const places = placesOf(environment);
  const paths = toPaths(settings);
  return {
    paths,
    hosts: toHosts(settings, tls !== undefined, places),
    group: settings.text("group") ?? DEFAULT_GROUP,
    pidfile: absolute(settings.text("pidfile")),
    tls,
    insecureTcp: settings.bool("insecure-tcp") ?? false,
    authorizationPlugins: settings.strings("authorization-plugin"),
    auditLog: absolute(settings.text("audit-log")),
    scopedSockets: settings.strings("scoped-socket"),
    labels: toLabels(settings.strings("label")),
    logLevel: settings.bool("debug") ? "debug" : toLogLevel(settings.text("log-level") ?? "info"),
    shutdownTimeout: atLeast(0, "shutdown-timeout", settings.number("shutdown-timeout") ?? 15),
    maxConcurrentDownloads: atLeast(
      1,
      "max-concurrent-downloads",
      settings.number("max-concurrent-downloads") || 3,
    ),
    maxConcurrentUploads: atLeast(
      1,
      "max-concurrent-uploads",
      settings.number("max-concurrent-uploads") || 5,
    ),
    logFormat: toLogFormat(settings.text("log-format") ?? "text"),
    features: toFeatures(settings),
    network: toNetwork(settings, places),
    registry: {
      insecureRegistries: settings.strings("insecure-registry").map(toInsecureRegistry),
      mirrors: settings.strings("registry-mirror").map(toMirror),
      hostDirectories: toHostDirectories(settings.strings("registry-hosts-dir")),
      maxAttempts: atLeast(1, "max-download-attempts", settings.number("max-download-attempts") || 5),
      proxies: toProxies(settings, environment.proxies),
    },
    containers: toContainerDefaults(settings),
  };
}

const HOST_DIRECTORIES = ["/etc/gantry/hosts.d", "/etc/docker/certs.d"];

function toHostDirectories(given: readonly string[]): readonly string[] {
  return given.length > 0 ? given : HOST_DIRECTORIES;
}

/** Docker's options that say nothing here: told once at start. @throws InvalidParameterError for what cannot be done */
export function settingsWithoutEffect(
  config: { flags: Flags; file: ConfigFile },
  proxies: ProxyConfig = NO_PROXIES,
): string[] {
  const settings = new Settings(config.flags, config.file);
  const warnings = checkDockerOptions((option) => settings.of(option));
  if (toFeatures(settings)["containerd-snapshotter"])
    warnings.push("features: containerd-snapshotter=true has no effect: there is no containerd");
  warnings.push(...overriddenProxies(settings, proxies));
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

function toHosts(settings: Settings, tls: boolean, { socket }: Places): string[] {
  const hosts = settings.strings("host").map((host) => toHost(host, tls, socket));
  return hosts.length > 0 ? hosts : [`unix://${socket}`];
}

/** @see moby opts/hosts.go */
function toHost(host: string, tls: boolean, socket: string): string {
  const [, scheme = "tcp", address = ""] = /^(?:([a-z]+):\/\/)?(.*)$/.exec(host.trim()) ?? [];
  if (scheme === "unix") {
    if (address === "") return `unix://${socket}`;
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

function toTls(settings: Settings, environment: Environment): EngineConfig["tls"] {
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

function toLogFormat(format: string): EngineConfig["logFormat"] {
  if (format === "text" || format === "json") return format;
  throw new InvalidParameterError(`unknown log format: ${format}`);
}

/** An option counts for more than the environment. @see moby daemon/config (Proxies), cmd/dockerd/daemon.go setProxyEnv */
function toProxies(settings: Settings, environment: ProxyConfig = NO_PROXIES): ProxyConfig {
  const url = (flag: string): string | undefined => {
    const text = settings.text(flag);
    if (text !== undefined && !URL.canParse(text.includes("://") ? text : `http://${text}`))
      throw new InvalidParameterError(`invalid ${flag}: not a valid URL`);
    return text;
  };
  return {
    http: url("http-proxy") ?? environment.http,
    https: url("https-proxy") ?? environment.https,
    none: settings.text("no-proxy") ?? environment.none,
  };
}

function overriddenProxies(settings: Settings, environment: ProxyConfig): string[] {
  const named: [string, string, string][] = [
    ["http-proxy", "HTTP_PROXY", environment.http],
    ["https-proxy", "HTTPS_PROXY", environment.https],
    ["no-proxy", "NO_PROXY", environment.none],
  ];
  return named.flatMap(([flag, name, before]) => {
    const value = settings.text(flag);
    if (value === undefined || before === "" || before === value) return [];
    const [old, now] = [before, value].map(withoutCredentials);
    return [`overriding existing proxy variable with value from configuration: ${name}=${old} by ${now}`];
  });
}

function toNetwork(settings: Settings, places: Places): NetworkConfig {
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
    bridge: bridge ?? places.bridge,
    bip,
    defaultBridge: toDefaultBridge(settings),
    defaultOptions: toDefaultNetworkOptions(settings),
    hostGateways: settings.strings("host-gateway-ip").map((address) => {
      if (!isIP(address)) throw new InvalidParameterError(`invalid IP address: ${address}`);
      return address;
    }),
    allowDirectRouting: settings.bool("allow-direct-routing") ?? false,
    acceptMark: toMark(settings.text("bridge-accept-fwmark")),
    addressPools: settings.list("default-address-pool").map(toAddressPool),
    mtu: mtu === 0 ? undefined : mtu,
    publishAddress,
    respectFirewalls: toFirewall(settings.text("firewall") ?? "manage") === "respect",
    userlandProxy: settings.bool("userland-proxy") ?? true,
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

function toDefaultBridge(settings: Settings): NetworkConfig["defaultBridge"] {
  const cidr = (flag: string, isFamily: (text: string) => boolean) => {
    const text = settings.text(flag);
    if (text !== undefined && !isFamily(text))
      throw new InvalidParameterError(`invalid CIDR address: ${text}`);
    return text;
  };
  const isIPv6Cidr = (text: string) => isCidr(text) && !isIPv4Cidr(text);
  const [bip6, fixedCidr6] = [cidr("bip6", isIPv6Cidr), cidr("fixed-cidr-v6", isIPv6Cidr)];
  const ipv6 = settings.bool("ipv6") ?? false;
  return {
    icc: settings.bool("icc") ?? true,
    masquerade: settings.bool("ip-masq") ?? true,
    ipv6,
    fixedCidr: cidr("fixed-cidr", isIPv4Cidr),
    bip6: ipv6 ? bip6 : undefined,
    fixedCidr6: ipv6 ? fixedCidr6 : undefined,
  };
}

/** `bridge=com.docker.network.driver.mtu=1400`, or the file's `{"bridge": {"…": "1400"}}`. */
function toDefaultNetworkOptions(settings: Settings): NetworkConfig["defaultOptions"] {
  const options: Record<string, Record<string, string>> = {};
  for (const [driver, given] of Object.entries(settings.object("default-network-opt") ?? {})) {
    if (!isObject(given)) throw new InvalidParameterError(`invalid default network options of ${driver}`);
    options[driver] = Object.fromEntries(Object.entries(given).map(([name, value]) => [name, String(value)]));
  }
  for (const text of settings.strings("default-network-opt")) {
    const [driver, rest] = splitOnce(text, "=");
    const [name, value] = splitOnce(rest, "=");
    if (driver === "" || name === "" || !rest.includes("="))
      throw new InvalidParameterError(`invalid default network option: ${text}: want driver=option=value`);
    options[driver] = { ...options[driver], [name]: value };
  }
  return options;
}

/** `1`, `0x1/0x3`. */
function toMark(text: string | undefined): NetworkConfig["acceptMark"] {
  if (text === undefined) return undefined;
  const [value, mask = 0xffffffff, ...more] = text.split("/").map(Number);
  const fits = (number: number | undefined) =>
    number !== undefined && Number.isInteger(number) && number >= 0 && number <= 0xffffffff;
  if (value === undefined || !fits(value) || !fits(mask) || more.length > 0)
    throw new InvalidParameterError(`invalid firewall mark: ${text}`);
  return { value, mask };
}

function toFirewall(mode: string): "manage" | "respect" {
  if (mode === "manage" || mode === "respect") return mode;
  throw new InvalidParameterError(`invalid firewall mode: ${mode}: want "manage" or "respect"`);
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
