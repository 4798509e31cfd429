/**
 * The daemon's options as data: each has a flag, most have a key in daemon.json. How they are written on a command line
 * is in `flags.ts`, what the values mean is checked in `settings.ts`; options of dockerd that mean nothing here are in
 * `docker-options.ts`.
 */

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

/** An option of dockerd that is no setting here: `docker-options.ts`. */
export interface DockerOption extends Omit<Option, "usage"> {
  /**
   * Values that ask for what is so anyway. Without it: what is off. With it, a switch that is off asks for something:
   * dockerd's default is on.
   */
  readonly granted?: (value: unknown) => boolean;
  /** What becomes of other values, and what the user is told after the option and its value. */
  readonly otherwise: "ignored" | "refused";
  readonly because: string;
}

export const OPTIONS = [
  {
    flag: "add-runtime",
    key: "runtimes",
    kind: "map",
    value: "runtime",
    usage: "Register an additional OCI compatible runtime (name=path)",
  },
  {
    flag: "allow-direct-routing",
    key: "allow-direct-routing",
    kind: "bool",
    usage: "Let published ports be reached at the containers' own addresses as well",
  },
  {
    flag: "audit-log",
    key: "audit-log",
    kind: "string",
    value: "file",
    usage: "Write down every call of the API",
  },
  {
    flag: "authorization-plugin",
    key: "authorization-plugins",
    kind: "list",
    usage: "Authorization plugins to ask about every call",
  },
  {
    flag: "scoped-socket",
    key: "scoped-sockets",
    kind: "list",
    value: "socket",
    usage:
      "Further socket with fewer rights (unix:///path;group=g;allow=read,ContainerStart;label=k=v;name=n-*)",
  },
  { flag: "bip6", key: "bip6", kind: "string", usage: "IPv6 address for the default bridge (CIDR)" },
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
    flag: "cdi-spec-dir",
    key: "cdi-spec-dirs",
    kind: "list",
    usage:
      'CDI specification directories to use (default "/etc/cdi" and "/var/run/cdi"; an empty one for none)',
  },
  {
    flag: "cgroup-parent",
    key: "cgroup-parent",
    kind: "string",
    usage: "Set parent cgroup for all containers",
  },
  {
    flag: "bridge-accept-fwmark",
    key: "bridge-accept-fwmark",
    kind: "string",
    value: "mark[/mask]",
    usage: "Let packets with this mark into bridge networks",
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
    flag: "default-ipc-mode",
    key: "default-ipc-mode",
    kind: "string",
    usage: 'Default mode for containers ipc ("shareable" | "private")',
    default: "private",
  },
  {
    flag: "default-network-opt",
    key: "default-network-opts",
    kind: "map",
    value: "driver=option=value",
    usage: "Default options of networks, by driver",
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
  { flag: "feature", key: "features", kind: "map", value: "map", usage: "Enable feature in the daemon" },
  {
    flag: "firewall",
    key: "firewall",
    kind: "string",
    usage:
      'Firewalls of others that drop what containers forward: "manage" lets our links through, "respect" leaves them',
    default: "manage",
  },
  {
    flag: "fixed-cidr",
    key: "fixed-cidr",
    kind: "string",
    usage: "IPv4 subnet of the default bridge that addresses are given out from",
  },
  { flag: "fixed-cidr-v6", key: "fixed-cidr-v6", kind: "string", usage: "IPv6 subnet of the default bridge" },
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
  {
    flag: "http-proxy",
    key: "http-proxy",
    kind: "string",
    usage: "HTTP proxy URL to use for outgoing traffic",
  },
  {
    flag: "https-proxy",
    key: "https-proxy",
    kind: "string",
    usage: "HTTPS proxy URL to use for outgoing traffic",
  },
  {
    flag: "host-gateway-ip",
    key: "host-gateway-ips",
    kind: "list",
    value: "ip",
    usage: "What host-gateway means in --add-host (the default bridge's addresses)",
  },
  {
    flag: "icc",
    key: "icc",
    kind: "bool",
    usage: "Let containers of the default bridge reach each other (default true)",
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
    flag: "ip-masq",
    key: "ip-masq",
    kind: "bool",
    usage: "Let containers of the default bridge out under the host's address (default true)",
  },
  {
    flag: "iptables",
    key: "iptables",
    kind: "bool",
    usage: "Accepted for compatibility: rules are always kept, in one nftables table",
  },
  { flag: "ipv6", key: "ipv6", kind: "bool", usage: "Give the default bridge IPv6 as well" },
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
    flag: "log-format",
    key: "log-format",
    kind: "string",
    usage: 'Set the logging format ("text"|"json")',
    default: "text",
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
  {
    flag: "max-concurrent-uploads",
    key: "max-concurrent-uploads",
    kind: "int",
    usage: "Set the max concurrent uploads for each push",
    default: "5",
  },
  {
    flag: "max-download-attempts",
    key: "max-download-attempts",
    kind: "int",
    usage: "Set the max download attempts for each pull",
    default: "5",
  },
  { flag: "mtu", key: "mtu", kind: "int", usage: "Set the containers network MTU (0: the uplink's)" },
  {
    flag: "no-new-privileges",
    key: "no-new-privileges",
    kind: "bool",
    usage: "Set no-new-privileges by default for new containers",
  },
  {
    flag: "no-proxy",
    key: "no-proxy",
    kind: "string",
    usage: "Comma-separated list of hosts or IP addresses for which the proxy is skipped",
  },
  {
    flag: "pidfile",
    short: "p",
    key: "pidfile",
    kind: "string",
    usage: "Path to use for daemon PID file",
  },
  {
    flag: "registry-hosts-dir",
    key: "registry-hosts-dirs",
    kind: "list",
    usage:
      "Directories with a directory for each registry: hosts.toml, certificates (default [/etc/gantry/hosts.d,/etc/docker/certs.d])",
  },
  {
    flag: "registry-mirror",
    key: "registry-mirrors",
    kind: "list",
    usage: "Preferred registry mirror of Docker Hub",
  },
  {
    flag: "seccomp-profile",
    key: "seccomp-profile",
    kind: "string",
    usage: 'Path to seccomp profile; "unconfined" disables the default profile',
    default: "builtin",
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
  {
    flag: "userland-proxy",
    key: "userland-proxy",
    kind: "bool",
    usage:
      "Relay published ports where the kernel has no way: IPv6 to IPv4-only containers, and ::1 (default true)",
  },
  { flag: "validate", kind: "bool", usage: "Validate daemon configuration and exit" },
  { flag: "version", short: "v", kind: "bool", usage: "Print version information and quit" },
] as const satisfies readonly Option[];

export type FlagName = (typeof OPTIONS)[number]["flag"];
