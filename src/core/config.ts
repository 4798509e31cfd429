/** The engine's configuration, validated once at start (`roles/daemon/`); each module gets the part that it needs. */
import type { LogLevel } from "../base/log.ts";

/** Where this engine's state lies. Several engines run on one host, each with its own. */
export interface EnginePaths {
  /** Durable state, 0710: `gantry.db`, `content/`, `layers/`, `containers/<id>/`, `volumes/<name>/_data`, `tmp/` (0700). */
  readonly dataRoot: string;
  /** Gone after a reboot, 0700: `rootfs/<id>`, `tasks/<id>`, `runtime/`, `netns/<id>`, `exits/`. */
  readonly execRoot: string;
  /**
   * Eight hex digits from the real path of the data root: part of the name of everything in the kernel that is
   * shared by the whole host (nft table, links, cgroups), so that boot reclaims its own and nobody else's.
   */
  readonly instance: string;
}

export interface NetworkConfig {
  /** Name of the default bridge link; `none` disables it. */
  readonly bridge: string;
  /** Address of the default bridge, `172.17.0.1/16`; undefined: the first free pool. */
  readonly bip: string | undefined;
  /** The default bridge's settings besides its address. */
  readonly defaultBridge: {
    readonly icc: boolean;
    readonly masquerade: boolean;
    readonly ipv6: boolean;
    /** Where addresses are given out from: within `bip`, or the subnet itself. */
    readonly fixedCidr: string | undefined;
    /** `fd00::1/64`, or a subnet whose first address is the bridge's. */
    readonly bip6: string | undefined;
    readonly fixedCidr6: string | undefined;
  };
  /** Options that networks of a driver have unless they are made with others. */
  readonly defaultOptions: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** What `host-gateway` means; empty: the default bridge's addresses. */
  readonly hostGateways: readonly string[];
  readonly allowDirectRouting: boolean;
  readonly acceptMark: { readonly value: number; readonly mask: number } | undefined;
  readonly addressPools: readonly { readonly base: string; readonly size: number }[];
  /** undefined: the uplink's. */
  readonly mtu: number | undefined;
  /** Default host address of published ports. */
  readonly publishAddress: string;
  /** Published ports are relayed where the kernel has no way: to containers of the other family, and from `::1`. */
  readonly userlandProxy: boolean;
  /** What a firewall of somebody else drops of our containers' traffic stays dropped. */
  readonly respectFirewalls: boolean;
  readonly dns: readonly string[];
  readonly dnsOptions: readonly string[];
  readonly dnsSearch: readonly string[];
}

/** How the engine itself reaches registries. Empty: not set. */
export interface ProxyConfig {
  readonly http: string;
  readonly https: string;
  /** Comma-separated hosts, domains, addresses and networks that are reached directly. */
  readonly none: string;
}

export interface RegistryConfig {
  /** `host[:port]` or CIDR, spoken to over http or unverified https. 127.0.0.0/8, ::1 and localhost always are. */
  readonly insecureRegistries: readonly string[];
  readonly mirrors: readonly string[];
  /** Tries for one blob, those without progress in a row; undefined: 5. */
  /** Where administrators describe single registries (`registry/client/host-files.ts`), the most particular first. */
  readonly hostDirectories?: readonly string[];
  readonly maxAttempts?: number | undefined;
  readonly proxies?: ProxyConfig | undefined;
}

export interface ContainerDefaults {
  readonly init: boolean;
  readonly initPath: string | undefined;
  readonly runtime: string;
  /** Name → path of the executable and its arguments. */
  readonly runtimes: Readonly<Record<string, { readonly path: string; readonly args: readonly string[] }>>;
  readonly ulimits: readonly { readonly Name: string; readonly Soft: number; readonly Hard: number }[];
  readonly logDriver: string;
  readonly logOptions: Readonly<Record<string, string>>;
  readonly shmSize: number;
  /** `host` or `private`; undefined: by the host's cgroup version, as Docker does. */
  readonly cgroupNamespace: "host" | "private" | undefined;
  readonly ipcMode: "private" | "shareable";
  /** For containers that name none; undefined: the engine's own group. */
  readonly cgroupParent: string | undefined;
  readonly noNewPrivileges: boolean;
  /** `unconfined`, or the path of a profile in place of the built-in one. */
  readonly seccompProfile: string | undefined;
  /** Where specifications of devices lie; empty: there are none. @see https://github.com/cncf-tags/container-device-interface */
  readonly cdiSpecDirectories: readonly string[];
}

export interface EngineConfig {
  readonly paths: EnginePaths;
  readonly hosts: readonly string[];
  readonly group: string;
  readonly pidfile: string | undefined;
  readonly tls:
    | { readonly verify: boolean; readonly ca?: string; readonly cert: string; readonly key: string }
    | undefined;
  readonly insecureTcp: boolean;
  /** Plugins that are asked about every call, in this order. */
  readonly authorizationPlugins: readonly string[];
  /** Where every call is written down. */
  readonly auditLog: string | undefined;
  /** As they were written: `unix:///run/ci.sock;allow=read`. */
  readonly scopedSockets: readonly string[];
  readonly labels: readonly string[];
  readonly logLevel: LogLevel;
  /** Seconds that a daemon shutdown gives to requests in flight. */
  readonly shutdownTimeout: number;
  readonly maxConcurrentDownloads: number;
  readonly maxConcurrentUploads: number;
  readonly logFormat: "text" | "json";
  readonly features: Readonly<Record<string, boolean>>;
  readonly network: NetworkConfig;
  readonly registry: RegistryConfig;
  readonly containers: ContainerDefaults;
}

/** A proxy as it may be shown and logged. @see moby daemon/config MaskCredentials */
export function withoutCredentials(proxy = ""): string {
  const url = URL.parse(proxy);
  if (!url || (url.username === "" && url.password === "")) return proxy;
  return proxy.replace(/\/\/[^@/]*@/, "//xxxxx:xxxxx@");
}
