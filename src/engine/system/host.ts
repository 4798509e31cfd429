/** The host as the engine finds it, read once at boot: what `/info` tells, and what container settings depend on. */
import { existsSync, readFileSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { availableParallelism, hostname, machine, release, totalmem } from "node:os";

export interface HostDescription {
  readonly hostname: string;
  /** `6.1.0-13-amd64`. */
  readonly kernelVersion: string;
  /** `Debian GNU/Linux 12 (bookworm)`. */
  readonly operatingSystem: string;
  readonly osVersion: string;
  /** As the kernel names it: `x86_64`. */
  readonly machine: string;
  /** As Go names it: `amd64`. */
  readonly architecture: string;
  readonly cpus: number;
  /** Bytes. */
  readonly memory: number;
  readonly cgroups: CgroupFacts;
  readonly seccomp: boolean;
}

/** Which limits the kernel can set. */
export interface CgroupFacts {
  readonly version: 1 | 2;
  readonly memory: boolean;
  readonly swap: boolean;
  readonly oomKillDisable: boolean;
  readonly cpuCfs: boolean;
  readonly cpuShares: boolean;
  readonly cpuSet: boolean;
  readonly pids: boolean;
}

/** What this host has, read once: it does not change while the daemon runs. */
export function describeHost(): HostDescription {
  const os = parseOsRelease(readIfThere("/etc/os-release") ?? readIfThere("/usr/lib/os-release") ?? "");
  return {
    hostname: hostname(),
    kernelVersion: release(),
    operatingSystem: os.PRETTY_NAME ?? "Linux",
    osVersion: os.VERSION_ID ?? "",
    machine: machine(),
    architecture: toGoArchitecture(machine()),
    cpus: availableParallelism(),
    memory: totalmem(),
    cgroups: describeCgroups(),
    seccomp: existsSync("/proc/sys/kernel/seccomp/actions_avail"),
  };
}

/** The name that Docker has for the file system under the data root. */
export async function backingFileSystem(path: string): Promise<string> {
  const names: Readonly<Record<number, string>> = {
    61267: "extfs",
    1481003842: "xfs",
    2435016766: "btrfs",
    16914836: "tmpfs",
    2035054128: "overlayfs",
    801189825: "zfs",
  };
  return names[(await statfs(path)).type] ?? "<unknown>";
}

function describeCgroups(): CgroupFacts {
  const root = "/sys/fs/cgroup";
  const unified = readIfThere(`${root}/cgroup.controllers`);
  if (unified !== undefined) {
    const has = (controller: string) => unified.trim().split(" ").includes(controller);
    return {
      version: 2,
      memory: has("memory"),
      swap: has("memory") && existsSync("/proc/swaps"),
      oomKillDisable: false,
      cpuCfs: has("cpu"),
      cpuShares: has("cpu"),
      cpuSet: has("cpuset"),
      pids: has("pids"),
    };
  }
  return {
    version: 1,
    memory: existsSync(`${root}/memory/memory.limit_in_bytes`),
    swap: existsSync(`${root}/memory/memory.memsw.limit_in_bytes`),
    oomKillDisable: existsSync(`${root}/memory/memory.oom_control`),
    cpuCfs: existsSync(`${root}/cpu/cpu.cfs_quota_us`),
    cpuShares: existsSync(`${root}/cpu/cpu.shares`),
    cpuSet: existsSync(`${root}/cpuset/cpuset.cpus`),
    pids: existsSync(`${root}/pids`),
  };
}

/** @see os-release(5) */
function parseOsRelease(text: string): Record<string, string> {
  const pairs = [...text.matchAll(/^([A-Z_]+)=(?:"([^"]*)"|'([^']*)'|(.*))$/gm)];
  return Object.fromEntries(pairs.map(([, key = "", a, b, c]) => [key, a ?? b ?? c ?? ""]));
}

function toGoArchitecture(name: string): string {
  const names: Readonly<Record<string, string>> = {
    x86_64: "amd64",
    aarch64: "arm64",
    armv7l: "arm",
    i686: "386",
    riscv64: "riscv64",
  };
  return names[name] ?? name;
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
