/** Port: what this host can give to a container. Read once at start, but for devices, which come and go. */
import type { RuntimeDevice } from "./runtime-spec.ts";

export interface ResourceLimit {
  /** `Infinity` is unlimited. */
  readonly soft: number;
  readonly hard: number;
}

export interface ContainerHost {
  /** `CAP_…`: those that the daemon itself holds, and can hand on. */
  readonly capabilities: readonly string[];
  readonly cgroupVersion: 1 | 2;
  /** The kernel shares block devices by weight. */
  readonly blockIoWeight: boolean;
  /** Time can be given to real-time processes by cgroup. */
  readonly cpuRealtime: boolean;
  /** As the kernel writes it: `0-1`. */
  readonly memoryNodes: string;
  /** As Docker writes it: `amd64`, `arm64`. */
  readonly architecture: string;
  readonly apparmor: boolean;
  readonly selinux: boolean;
  /** The distribution's profile in Docker's format, or undefined: then only what is known to be dangerous is refused. */
  readonly seccompProfile: SeccompProfile | undefined;
  /** A small static init, for `--init`. */
  readonly initPath: string | undefined;
  /** By `RLIMIT_…`. */
  readonly limits: ReadonlyMap<string, ResourceLimit>;
  /** Directories of CPUs with thermal throttle counters, hidden from containers. */
  readonly thermalThrottlePaths: readonly string[];
  /** True for a sysctl that this kernel has. */
  hasSysctl(name: string): boolean;
  /** The device node at a path, its links followed; of a directory all nodes in it. @throws NotFoundError, InvalidParameterError */
  devicesAt(path: string): readonly RuntimeDevice[];
  /** All devices of the host, for privileged containers. */
  allDevices(): readonly RuntimeDevice[];
}

/** The format of Docker's and Podman's seccomp.json: OCI's, with conditions. */
export interface SeccompProfile {
  readonly defaultAction: string;
  readonly defaultErrnoRet?: number;
  readonly architectures?: readonly string[];
  readonly archMap?: readonly {
    readonly architecture: string;
    readonly subArchitectures: readonly string[] | null;
  }[];
  readonly listenerPath?: string;
  readonly listenerMetadata?: string;
  readonly flags?: readonly string[];
  readonly syscalls?: readonly SeccompRule[] | null;
}

export interface SeccompRule {
  readonly name?: string;
  readonly names?: readonly string[];
  readonly action: string;
  readonly errnoRet?: number;
  readonly args?:
    | readonly {
        readonly index: number;
        readonly value: number;
        readonly valueTwo?: number;
        readonly op: string;
      }[]
    | null;
  readonly includes?: SeccompCondition;
  readonly excludes?: SeccompCondition;
}

export interface SeccompCondition {
  readonly caps?: readonly string[];
  readonly arches?: readonly string[];
  readonly minKernel?: string;
}
