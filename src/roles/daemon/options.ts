/**
 * The daemon's options as data: each has a flag, most have a key in daemon.json. The syntax of flags is pflag's
 * (`--name value`, `--name=value`, `-Nvalue`, `-N value`, `--bool`, `--bool=false`, `--` ends them), because
 * dockerd's is. What the values mean is checked in `settings.ts`.
 */
import { InvalidParameterError } from "../../core/errors.ts";

export type OptionValue = boolean | number | string | readonly string[];

export interface Option {
  readonly flag: string;
  readonly short?: string;
  /** Its key in daemon.json; absent: a flag only. */
  readonly key?: string;
  /** `list` and `map` may be repeated; their items stay as they were given. */
  readonly kind: "bool" | "int" | "string" | "list" | "map";
  /** How `--help` names the value. */
  readonly value?: string;
  readonly usage: string;
  readonly default?: string;
}

export const OPTIONS = [
  {
    flag: "add-runtime",
    key: "runtimes",
    kind: "map",
    value: "runtime",
    usage: "Register an additional OCI compatible runtime (name=path)",
  },
  { flag: "bip", key: "bip", kind: "string", usage: "IPv4 address for the default bridge (CIDR)" },
  {
    flag: "bridge",
    short: "b",
    key: "bridge",
    kind: "string",
    usage: 'Name of the default bridge; "none" disables it',
    default: "gantry0",
  },
  {
    flag: "config-file",
    kind: "string",
    usage: "Daemon configuration file",
    default: "/etc/gantry/daemon.json",
  },
  {
    flag: "data-root",
    key: "data-root",
    kind: "string",
    usage: "Root directory of persistent state",
    default: "/var/lib/gantry",
  },
  { flag: "debug", short: "D", key: "debug", kind: "bool", usage: "Enable debug mode" },
  {
    flag: "default-address-pool",
    key: "default-address-pools",
    kind: "list",
    value: "pool-options",
    usage: "Default address pools for local networks (base=CIDR,size=N)",
  },
  {
    flag: "default-cgroupns-mode",
    key: "default-cgroupns-mode",
    kind: "string",
    usage: 'Default mode for containers cgroup namespace ("host" | "private")',
  },
  {
    flag: "default-runtime",
    key: "default-runtime",
    kind: "string",
    usage: "Default OCI runtime for containers",
    default: "crun",
  },
  {
    flag: "default-shm-size",
    key: "default-shm-size",
    kind: "string",
    value: "bytes",
    usage: "Default shm size for containers",
    default: "64MiB",
  },
  {
    flag: "default-ulimit",
    key: "default-ulimits",
    kind: "list",
    value: "ulimit",
    usage: "Default ulimits for containers (name=soft[:hard])",
  },
  { flag: "dns", key: "dns", kind: "list", usage: "DNS server to use" },
  { flag: "dns-opt", key: "dns-opts", kind: "list", usage: "DNS options to use" },
  { flag: "dns-search", key: "dns-search", kind: "list", usage: "DNS search domains to use" },
  {
    flag: "exec-root",
    key: "exec-root",
    kind: "string",
    usage: "Root directory for execution state files",
    default: "/run/gantry/engine",
  },
  {
    flag: "group",
    short: "G",
    key: "group",
    kind: "string",
    usage: "Group for the unix socket",
    default: "docker",
  },
  { flag: "help", short: "h", kind: "bool", usage: "Print usage" },
  {
    flag: "host",
    short: "H",
    key: "hosts",
    kind: "list",
    usage: "Daemon socket(s) to listen on: unix://, tcp://, fd://",
  },
  { flag: "init", key: "init", kind: "bool", usage: "Run an init in the container to forward signals" },
  { flag: "init-path", key: "init-path", kind: "string", usage: "Path to the init binary" },
  {
    flag: "insecure-registry",
    key: "insecure-registries",
    kind: "list",
    usage: "Registry that may be spoken to over http or unverified https",
  },
  {
    flag: "insecure-tcp",
    key: "insecure-tcp",
    kind: "bool",
    usage: "Listen on tcp:// without client certificates: whoever reaches the port is root on this host",
  },
  {
    flag: "ip",
    key: "ip",
    kind: "string",
    value: "ip",
    usage: "Default host IP of published ports",
    default: "0.0.0.0",
  },
  {
    flag: "iptables",
    key: "iptables",
    kind: "bool",
    usage: "Accepted for compatibility: rules are always kept, in one nftables table",
  },
  { flag: "label", key: "labels", kind: "list", usage: "Set key=value labels to the daemon" },
  { flag: "list-routes", kind: "bool", usage: "Print every API route with its state and quit" },
  {
    flag: "live-restore",
    key: "live-restore",
    kind: "bool",
    usage: "Always on: containers outlive the daemon",
  },
  {
    flag: "log-driver",
    key: "log-driver",
    kind: "string",
    usage: "Default driver for container logs",
    default: "json-file",
  },
  {
    flag: "log-level",
    short: "l",
    key: "log-level",
    kind: "string",
    usage: 'Set the logging level ("debug"|"info"|"warn"|"error")',
    default: "info",
  },
  {
    flag: "log-opt",
    key: "log-opts",
    kind: "map",
    value: "map",
    usage: "Default log driver options for containers",
  },
  {
    flag: "max-concurrent-downloads",
    key: "max-concurrent-downloads",
    kind: "int",
    usage: "Set the max concurrent downloads for each pull",
    default: "3",
  },
  { flag: "mtu", key: "mtu", kind: "int", usage: "Set the containers network MTU (0: the uplink's)" },
  {
    flag: "pidfile",
    short: "p",
    key: "pidfile",
    kind: "string",
    usage: "Path to use for daemon PID file",
  },
  {
    flag: "registry-mirror",
    key: "registry-mirrors",
    kind: "list",
    usage: "Preferred registry mirror of Docker Hub",
  },
  {
    flag: "shutdown-timeout",
    key: "shutdown-timeout",
    kind: "int",
    usage: "Seconds that a shutdown gives to requests in flight",
    default: "15",
  },
  {
    flag: "storage-driver",
    short: "s",
    key: "storage-driver",
    kind: "string",
    usage: "Storage driver to use: overlay2",
    default: "overlay2",
  },
  { flag: "tls", key: "tls", kind: "bool", usage: "Use TLS; implied by --tlsverify" },
  {
    flag: "tlscacert",
    key: "tlscacert",
    kind: "string",
    usage: "Trust certs signed only by this CA",
    default: "~/.docker/ca.pem",
  },
  {
    flag: "tlscert",
    key: "tlscert",
    kind: "string",
    usage: "Path to TLS certificate file",
    default: "~/.docker/cert.pem",
  },
  {
    flag: "tlskey",
    key: "tlskey",
    kind: "string",
    usage: "Path to TLS key file",
    default: "~/.docker/key.pem",
  },
  { flag: "tlsverify", key: "tlsverify", kind: "bool", usage: "Use TLS and verify the remote" },
  { flag: "validate", kind: "bool", usage: "Validate daemon configuration and exit" },
  { flag: "version", short: "v", kind: "bool", usage: "Print version information and quit" },
] as const satisfies readonly Option[];

export type FlagName = (typeof OPTIONS)[number]["flag"];

/** The flags that were given, by their long name. */
export type Flags = ReadonlyMap<string, OptionValue>;

/** The command line cannot be understood; the process ends with 125, as dockerd's does. */
export class UsageError extends InvalidParameterError {}

const byFlag = new Map<string, Option>(OPTIONS.map((option) => [option.flag, option]));
const byShort = new Map<string, Option>(
  (OPTIONS as readonly Option[]).flatMap((option) => (option.short ? [[option.short, option] as const] : [])),
);

/** @throws UsageError in pflag's words */
export function parseFlags(args: readonly string[]): Flags {
  const flags = new Map<string, OptionValue>();
  const rest = [...args];
  for (let arg = rest.shift(); arg !== undefined; arg = rest.shift()) {
    if (arg === "--") {
      if (rest.length > 0) throw noArguments();
    } else if (arg.startsWith("--")) {
      takeLong(arg, rest, flags);
    } else if (arg.startsWith("-") && arg.length > 1) {
      takeShort(arg, rest, flags);
    } else {
      throw noArguments();
    }
  }
  return flags;
}

function takeLong(arg: string, rest: string[], flags: Map<string, OptionValue>): void {
  const [name = "", ...value] = arg.slice(2).split("=");
  const option = byFlag.get(name);
  if (!option) throw new UsageError(`unknown flag: --${name}`);
  const inline = value.length > 0 ? value.join("=") : undefined;
  setFlag(
    flags,
    option,
    `--${name}`,
    inline ?? implied(option) ?? next(rest, `flag needs an argument: --${name}`),
  );
}

/** `-D`, `-H unix:///x`, `-Hunix:///x`, `-H=unix:///x`, `-Dl debug`. */
function takeShort(arg: string, rest: string[], flags: Map<string, OptionValue>): void {
  for (let letters = arg.slice(1); letters !== ""; ) {
    const letter = letters.charAt(0);
    const option = byShort.get(letter);
    if (!option) throw new UsageError(`unknown shorthand flag: '${letter}' in ${arg}`);
    const after = letters.slice(1);
    const name = `-${letter}, --${option.flag}`;
    if (option.kind === "bool" && !after.startsWith("=")) {
      setFlag(flags, option, name, "true");
      letters = after;
      continue;
    }
    const value = after.replace(/^=/, "") || next(rest, `flag needs an argument: '${letter}' in ${arg}`);
    setFlag(flags, option, name, value);
    letters = "";
  }
}

function setFlag(flags: Map<string, OptionValue>, option: Option, name: string, text: string): void {
  if (option.kind === "list" || option.kind === "map") {
    const before = flags.get(option.flag);
    flags.set(option.flag, [...(Array.isArray(before) ? (before as string[]) : []), text]);
  } else if (option.kind === "bool") {
    const value = parseBool(text);
    if (value === undefined)
      throw invalid(text, name, `strconv.ParseBool: parsing ${JSON.stringify(text)}: invalid syntax`);
    flags.set(option.flag, value);
  } else if (option.kind === "int") {
    if (!/^[+-]?\d+$/.test(text))
      throw invalid(text, name, `strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
    flags.set(option.flag, Number(text));
  } else {
    flags.set(option.flag, text);
  }
}

function implied(option: Option): string | undefined {
  return option.kind === "bool" ? "true" : undefined;
}

function next(rest: string[], missing: string): string {
  const value = rest.shift();
  if (value === undefined) throw new UsageError(missing);
  return value;
}

/** Go's strconv.ParseBool. */
function parseBool(text: string): boolean | undefined {
  if (["1", "t", "T", "true", "TRUE", "True"].includes(text)) return true;
  if (["0", "f", "F", "false", "FALSE", "False"].includes(text)) return false;
  return undefined;
}

function invalid(text: string, name: string, reason: string): UsageError {
  return new UsageError(`invalid argument ${JSON.stringify(text)} for "${name}" flag: ${reason}`);
}

function noArguments(): UsageError {
  return new UsageError('"gantry daemon" accepts no arguments.');
}

/** What `--help` prints. */
export function usage(): string {
  const rows = (OPTIONS as readonly Option[]).map((option) => {
    const short = option.short ? `-${option.short}, ` : "    ";
    const value =
      option.value ?? { bool: "", int: "int", string: "string", list: "list", map: "map" }[option.kind];
    return {
      name: `  ${short}--${option.flag}${value && ` ${value}`}`,
      text:
        option.usage + (option.default === undefined ? "" : ` (default ${JSON.stringify(option.default)})`),
    };
  });
  const width = Math.max(...rows.map((row) => row.name.length)) + 3;
  return [
    "",
    "Usage:  gantry daemon [OPTIONS]",
    "",
    "A self-sufficient runtime for containers.",
    "",
    "Options:",
    ...rows.map((row) => row.name.padEnd(width) + row.text),
    "",
  ].join("\n");
}
