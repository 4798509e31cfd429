/** What is mounted in a container besides its root: Docker's own file systems, identity files, the user's mounts. */
import type { HostConfig } from "../../../api/types.ts";
import type { RuntimeMount } from "../../../core/runtime-spec.ts";
import { byDepth } from "../mounts/targets.ts";

/** Hidden from containers (invariant S15). @see moby daemon/pkg/oci/defaults.go */
export const MASKED_PATHS: readonly string[] = [
  "/proc/asound",
  "/proc/acpi",
  "/proc/interrupts",
  "/proc/kcore",
  "/proc/keys",
  "/proc/latency_stats",
  "/proc/timer_list",
  "/proc/timer_stats",
  "/proc/sched_debug",
  "/proc/scsi",
  "/sys/firmware",
  "/sys/devices/virtual/powercap",
];

export const READONLY_PATHS: readonly string[] = [
  "/proc/bus",
  "/proc/fs",
  "/proc/irq",
  "/proc/sys",
  "/proc/sysrq-trigger",
];

export interface MountRequest {
  readonly hostConfig: HostConfig;
  /** The user's, parents before what lies in them. */
  readonly userMounts: readonly RuntimeMount[];
  readonly files: { readonly hostname?: string; readonly hosts?: string; readonly resolvConf?: string };
  /** Host path of `/sbin/docker-init`. */
  readonly initPath: string | undefined;
  /** Host path of a /dev/shm that is shared with others; undefined: one of its own. */
  readonly sharedMemory: string | undefined;
  readonly writableCgroups: boolean;
}

/** In the order in which the runtime makes them. */
export function toMounts(request: MountRequest): RuntimeMount[] {
  const { hostConfig, userMounts, files, initPath } = request;
  const taken = new Set(userMounts.map(({ destination }) => destination));
  const own = defaultMounts(request).filter(
    ({ destination }) => !taken.has(destination) && !(taken.has("/dev") && destination.startsWith("/dev/")),
  );
  const identity = [
    bindFile("/etc/resolv.conf", files.resolvConf, hostConfig),
    bindFile("/etc/hostname", files.hostname, hostConfig),
    bindFile("/etc/hosts", files.hosts, hostConfig),
  ].filter((mount) => mount !== undefined && !taken.has(mount.destination));
  const init =
    initPath === undefined
      ? []
      : [{ destination: INIT_PATH, type: "bind", source: initPath, options: ["bind", "ro", "rprivate"] }];
  // A volume over /etc comes before what is mounted in it.
  return [...own, ...byDepth([...(identity as RuntimeMount[]), ...userMounts]), ...init];
}

/** Where Docker puts the init, too. */
export const INIT_PATH = "/sbin/docker-init";

function defaultMounts({ hostConfig, sharedMemory, writableCgroups }: MountRequest): RuntimeMount[] {
  const { Privileged, IpcMode, ShmSize } = hostConfig;
  const sysAccess = Privileged ? "rw" : "ro";
  const cgroupAccess = Privileged || writableCgroups ? "rw" : "ro";
  return [
    { destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev"] },
    {
      destination: "/dev",
      type: "tmpfs",
      source: "tmpfs",
      options: ["nosuid", "strictatime", "mode=755", "size=65536k"],
    },
    {
      destination: "/dev/pts",
      type: "devpts",
      source: "devpts",
      options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    },
    {
      destination: "/sys",
      type: "sysfs",
      source: "sysfs",
      options: ["nosuid", "noexec", "nodev", sysAccess],
    },
    {
      destination: "/sys/fs/cgroup",
      type: "cgroup",
      source: "cgroup",
      options: [cgroupAccess, "nosuid", "noexec", "nodev"],
    },
    // Shows the queues of the IPC namespace that it is mounted in, also when that is the host's.
    { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: ["nosuid", "noexec", "nodev"] },
    ...(IpcMode === "none" ? [] : [sharedMemoryMount(sharedMemory, ShmSize ?? 64 * 1024 * 1024)]),
  ];
}

function sharedMemoryMount(source: string | undefined, size: number | bigint): RuntimeMount {
  const destination = "/dev/shm";
  if (source !== undefined) return { destination, type: "bind", source, options: ["rbind", "rprivate"] };
  const options = ["nosuid", "noexec", "nodev", "mode=1777", `size=${size}`];
  return { destination, type: "tmpfs", source: "shm", options };
}

function bindFile(
  destination: string,
  source: string | undefined,
  { ReadonlyRootfs }: HostConfig,
): RuntimeMount | undefined {
  if (source === undefined) return undefined;
  return { destination, type: "bind", source, options: ["bind", ReadonlyRootfs ? "ro" : "rw", "rprivate"] };
}
