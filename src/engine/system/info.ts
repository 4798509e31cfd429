/** `GET /info`: what the engine is, has and can do. Every field is looked up or counted; none is a guess. */
import { readdirSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import type { SystemInfo } from "../../api/types.ts";
import { nowNano, toRfc3339 } from "../../base/times.ts";
import { type EngineConfig, withoutCredentials } from "../../core/config.ts";
import type { Runtime } from "../../core/runtime.ts";
import { backingFileSystem, type HostDescription } from "./host.ts";

export interface SystemDeps {
  /** Stays the same for the life of the data root. */
  readonly engineId: string;
  readonly version: string;
  readonly experimental: boolean;
  /** As it is now: some of it may be reloaded. */
  config(): EngineConfig;
  readonly host: HostDescription;
  readonly runtime: Pick<Runtime, "describe">;
  /** What `--init` puts into containers; undefined if the host has none. */
  readonly initPath: string | undefined;
  readonly storageDriver: string;
  readonly counts: {
    containers(): { readonly running: number; readonly paused: number; readonly stopped: number };
    images(): number;
    eventListeners(): number;
  };
  /** Names of what is built in. */
  readonly plugins: {
    readonly volume: readonly string[];
    readonly network: readonly string[];
    readonly log: readonly string[];
  };
  /** Firewalls of others that drop what they forward, and where in them our links are let through, if they are. */
  readonly neighbours: () => readonly {
    readonly owner: string;
    readonly chain: string;
    readonly place: string | undefined;
  }[];
  readonly defaultAddressPools: readonly { readonly Base: string; readonly Size: number }[];
}

/** What this engine's API has and Docker's lacks. */
const EXTENSIONS = [
  // `GET /containers/{id}/logs?grep=PATTERN`: only lines that match it.
  "logs.grep",
  // `DELETE /containers/{id}/logs`.
  "logs.clear",
] as const;

/** What `docker info` shows. */
export async function systemInfo(
  deps: SystemDeps,
): Promise<SystemInfo & { readonly Extensions: readonly string[] }> {
  const { host } = deps;
  const config = deps.config();
  const { running, paused, stopped } = deps.counts.containers();
  const runtimes = await deps.runtime.describe();
  const defaultRuntime = runtimes.runtimes[runtimes.defaultRuntime];
  return {
    ID: deps.engineId,
    Containers: running + paused + stopped,
    ContainersRunning: running,
    ContainersPaused: paused,
    ContainersStopped: stopped,
    Images: deps.counts.images(),
    Driver: deps.storageDriver,
    DriverStatus: [
      ["Backing Filesystem", await backingFileSystem(config.paths.dataRoot)],
      ["Supports d_type", "true"],
      ["Using metacopy", "false"],
      ["Native Overlay Diff", "true"],
      ["userxattr", "false"],
    ],
    DockerRootDir: config.paths.dataRoot,
    Plugins: {
      Volume: [...deps.plugins.volume],
      Network: [...deps.plugins.network],
      Authorization: [...config.authorizationPlugins],
      Log: [...deps.plugins.log],
    },
    MemoryLimit: host.cgroups.memory,
    SwapLimit: host.cgroups.swap,
    CpuCfsPeriod: host.cgroups.cpuCfs,
    CpuCfsQuota: host.cgroups.cpuCfs,
    CPUShares: host.cgroups.cpuShares,
    CPUSet: host.cgroups.cpuSet,
    PidsLimit: host.cgroups.pids,
    OomKillDisable: host.cgroups.oomKillDisable,
    IPv4Forwarding: isOn("/proc/sys/net/ipv4/ip_forward"),
    Debug: config.logLevel === "debug",
    NFd: entriesOf("/proc/self/fd"),
    NGoroutines: entriesOf("/proc/self/task"),
    SystemTime: toRfc3339(nowNano()),
    LoggingDriver: config.containers.logDriver,
    CgroupDriver: "cgroupfs",
    CgroupVersion: host.cgroups.version === 2 ? "2" : "1",
    NEventsListener: deps.counts.eventListeners(),
    KernelVersion: host.kernelVersion,
    OperatingSystem: host.operatingSystem,
    OSVersion: host.osVersion,
    OSType: "linux",
    Architecture: host.machine,
    NCPU: host.cpus,
    MemTotal: host.memory,
    IndexServerAddress: "https://index.docker.io/v1/",
    RegistryConfig: toRegistryConfig(config),
    GenericResources: [],
    HttpProxy: withoutCredentials(config.registry.proxies?.http),
    HttpsProxy: withoutCredentials(config.registry.proxies?.https),
    NoProxy: config.registry.proxies?.none ?? "",
    Name: host.hostname,
    Labels: [...config.labels],
    ExperimentalBuild: deps.experimental,
    ServerVersion: deps.version,
    Runtimes: Object.fromEntries(
      Object.entries(runtimes.runtimes).map(([name, { path }]) => [name, { path }]),
    ),
    DefaultRuntime: runtimes.defaultRuntime,
    Swarm: { NodeID: "", NodeAddr: "", LocalNodeState: "inactive", ControlAvailable: false, Error: "" },
    LiveRestoreEnabled: true,
    Isolation: "default",
    InitBinary: basename(deps.initPath ?? ""),
    // There is no containerd; the place of runc has whichever runtime is the default one.
    ContainerdCommit: { ID: "" },
    RuncCommit: { ID: defaultRuntime?.version ?? "" },
    InitCommit: { ID: "" },
    SecurityOptions: securityOptions(deps),
    ProductLicense: "",
    DefaultAddressPools: [...deps.defaultAddressPools],
    FirewallBackend: {
      Driver: "nftables",
      Info: deps
        .neighbours()
        .map(({ owner, chain, place }) => [
          `Beside ${owner} (${chain})`,
          place ? `let through in ${place}` : "as it is",
        ]),
    },
    CDISpecDirs: [...config.containers.cdiSpecDirectories],
    Warnings: warnings(deps),
    Extensions: EXTENSIONS,
  };
}

function toRegistryConfig(config: EngineConfig): SystemInfo["RegistryConfig"] {
  const { insecureRegistries, mirrors } = config.registry;
  const cidrs = insecureRegistries.filter((registry) => registry.includes("/"));
  const hosts = insecureRegistries.filter((registry) => !registry.includes("/"));
  const index = (Name: string, Secure: boolean, Official: boolean, Mirrors: string[]) => ({
    Name,
    Mirrors,
    Secure,
    Official,
  });
  return {
    InsecureRegistryCIDRs: ["::1/128", "127.0.0.0/8", ...cidrs],
    IndexConfigs: {
      "docker.io": index("docker.io", true, true, [...mirrors]),
      ...Object.fromEntries(hosts.map((host) => [host, index(host, false, false, [])])),
    },
    Mirrors: [...mirrors],
  };
}

/** Only what is really applied to containers. */
function securityOptions({ host, config }: SystemDeps): string[] {
  const namespace = config().containers.cgroupNamespace ?? (host.cgroups.version === 2 ? "private" : "host");
  const profile = config().containers.seccompProfile ?? "builtin";
  return [
    ...(host.seccomp ? [`name=seccomp,profile=${profile}`] : []),
    ...(namespace === "private" ? ["name=cgroupns"] : []),
  ];
}

function warnings({ host, config, neighbours }: SystemDeps): string[] {
  const missing: [boolean, string][] = [
    [host.cgroups.memory, "WARNING: No memory limit support"],
    [host.cgroups.swap, "WARNING: No swap limit support"],
    [host.cgroups.cpuCfs, "WARNING: No cpu cfs quota support"],
    [host.cgroups.cpuShares, "WARNING: No cpu shares support"],
    [host.cgroups.cpuSet, "WARNING: No cpuset support"],
    [host.cgroups.pids, "WARNING: No pids limit support"],
    [
      !config().network.respectFirewalls || neighbours().length === 0,
      "WARNING: Another firewall of this host drops what containers forward, and is respected (--firewall=respect)",
    ],
    [host.seccomp, "WARNING: No seccomp support: containers run without a system call filter"],
  ];
  const { hosts, tls } = config();
  const open = tls?.verify ? [] : hosts.filter((address) => address.startsWith("tcp://"));
  return [
    ...missing.filter(([there]) => !there).map(([, warning]) => warning),
    ...open.map((address) => insecureTcpWarning(address, tls !== undefined)),
  ];
}

export function insecureTcpWarning(address: string, encrypted: boolean): string {
  const without = encrypted ? "without client certificates" : "without encryption or client certificates";
  const url = address.replace("tcp://", encrypted ? "https://" : "http://");
  return `WARNING: API is accessible on ${url} ${without}: access to it is root access on this host`;
}

function entriesOf(directory: string): number {
  return readdirSync(directory).length;
}

function isOn(sysctl: string): boolean {
  return readFileSync(sysctl, "utf8").trim() !== "0";
}
