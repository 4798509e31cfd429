/** Limits: cgroup resources and rlimits. @see moby daemon/daemon_unix.go (getMemoryResources and its siblings) */
import type { HostConfig, Int64 } from "../../../api/types.ts";
import { log } from "../../../base/log.ts";
import type { ContainerHost, ResourceLimit } from "../../../core/container-host.ts";
import { InvalidParameterError } from "../../../core/errors.ts";
import type { RuntimeProcess, RuntimeResources } from "../../../core/runtime-spec.ts";

/** The kernel's own default; what `--cpus` is counted in. Microseconds. */
const CPU_PERIOD = 100_000;

/** Without device rules. Members that were not asked for are absent: the kernel's defaults hold. */
export function toResources(hostConfig: HostConfig, cgroupVersion: 1 | 2): RuntimeResources {
  return {
    memory: withoutUndefined({
      limit: positive(hostConfig.Memory),
      reservation: positive(hostConfig.MemoryReservation),
      swap: nonZero(hostConfig.MemorySwap),
      swappiness: toSwappiness(hostConfig.MemorySwappiness, cgroupVersion),
      disableOOMKiller: cgroupVersion === 1 && hostConfig.OomKillDisable ? true : undefined,
    }),
    cpu: withoutUndefined({
      shares: positive(hostConfig.CpuShares),
      ...toQuota(hostConfig),
      realtimePeriod: positive(hostConfig.CpuRealtimePeriod),
      realtimeRuntime: positive(hostConfig.CpuRealtimeRuntime),
      cpus: hostConfig.CpusetCpus || undefined,
      mems: hostConfig.CpusetMems || undefined,
    }),
    pids: hostConfig.PidsLimit && hostConfig.PidsLimit > 0 ? { limit: hostConfig.PidsLimit } : undefined,
  };
}

function toQuota({ NanoCpus, CpuPeriod, CpuQuota }: HostConfig): { period?: number; quota?: number } {
  if (NanoCpus && NanoCpus > 0) {
    return { period: CPU_PERIOD, quota: Math.trunc((NanoCpus * CPU_PERIOD) / 1e9) };
  }
  // Without a quota is what a new container is anyway; crun cannot say it.
  return { period: positive(CpuPeriod), quota: positive(CpuQuota) };
}

function toSwappiness(value: number | null | undefined, cgroupVersion: 1 | 2): number | undefined {
  return value === undefined || value === null || value < 0 || cgroupVersion === 2 ? undefined : value;
}

/** Weights, where the kernel has them (elsewhere create discards them with a warning), and rates. */
export function toBlockIo(
  hostConfig: HostConfig,
  host: Pick<ContainerHost, "devicesAt" | "blockIoWeight">,
): RuntimeResources["blockIO"] {
  const { BlkioWeight, BlkioWeightDevice } = hostConfig;
  const numbers = (path = ""): { major: number; minor: number } => {
    const [device] = host.devicesAt(path);
    if (device?.type !== "b")
      throw new InvalidParameterError(`${path} is not a block device`, { subject: path });
    return { major: device.major ?? 0, minor: device.minor ?? 0 };
  };
  const rates = (limits: HostConfig["BlkioDeviceReadBps"]) =>
    limits?.length ? limits.map(({ Path, Rate }) => ({ ...numbers(Path), rate: Rate ?? 0 })) : undefined;
  return withoutUndefined({
    weight: host.blockIoWeight ? positive(BlkioWeight) : undefined,
    weightDevice:
      host.blockIoWeight && BlkioWeightDevice?.length
        ? BlkioWeightDevice.map(({ Path, Weight }) => ({ ...numbers(Path), weight: Weight ?? 0 }))
        : undefined,
    throttleReadBpsDevice: rates(hostConfig.BlkioDeviceReadBps),
    throttleWriteBpsDevice: rates(hostConfig.BlkioDeviceWriteBps),
    throttleReadIOPSDevice: rates(hostConfig.BlkioDeviceReadIOps),
    throttleWriteIOPSDevice: rates(hostConfig.BlkioDeviceWriteIOps),
  });
}

interface Ulimit {
  readonly Name?: string;
  readonly Soft?: Int64;
  readonly Hard?: Int64;
}
type Ulimits = readonly Ulimit[];

/** The container's own, then the daemon's defaults of other names. */
export function mergeUlimits(asked: Ulimits, defaults: Ulimits): Ulimit[] {
  const names = new Set(asked.map(({ Name }) => Name));
  return [...asked, ...defaults.filter(({ Name }) => !names.has(Name))];
}

/**
 * The container's own limits, then the daemon's defaults. Without CAP_SYS_RESOURCE nothing can be raised above the
 * daemon's own hard limit: a default is lowered to it with a warning, one that was asked for is an error naming it.
 */
export function toRlimits(
  asked: Ulimits,
  defaults: Ulimits,
  host: Pick<ContainerHost, "limits" | "capabilities">,
): RuntimeProcess["rlimits"] {
  const merged = mergeUlimits(asked, defaults).map((limit) => toRlimit(limit));
  const [explicit, inherited] = [merged.slice(0, asked.length), merged.slice(asked.length)];
  const mayRaise = host.capabilities.includes("CAP_SYS_RESOURCE");
  if (!mayRaise) for (const limit of explicit) checkRlimit(limit, host.limits);
  return [...explicit, ...inherited.map((limit) => (mayRaise ? limit : lowered(limit, host.limits)))];
}

interface Rlimit {
  readonly type: string;
  readonly soft: Int64;
  readonly hard: Int64;
}

/** RLIM_INFINITY as the runtimes' JSON parsers take it: all 64 bits, which a double cannot hold exactly. */
const UNLIMITED = Number.POSITIVE_INFINITY;

function toRlimit({ Name = "", Soft = 0, Hard = 0 }: Ulimits[number]): Rlimit {
  const toLimit = (value: Int64): Int64 => (value < 0 ? UNLIMITED : value);
  return { type: `RLIMIT_${Name.toUpperCase()}`, soft: toLimit(Soft), hard: toLimit(Hard) };
}

function checkRlimit({ type, hard }: Rlimit, limits: ReadonlyMap<string, ResourceLimit>): void {
  const most = limits.get(type)?.hard ?? UNLIMITED;
  if (hard <= most) return;
  const name = type.replace("RLIMIT_", "").toLowerCase();
  throw new InvalidParameterError(
    `ulimit ${name}: the hard limit ${hard === UNLIMITED ? "unlimited" : hard} exceeds what this host allows the engine to set (${most})`,
    { subject: name },
  );
}

function lowered(limit: Rlimit, limits: ReadonlyMap<string, ResourceLimit>): Rlimit {
  const most = limits.get(limit.type)?.hard ?? UNLIMITED;
  if (limit.hard <= most) return limit;
  log("warn", "a default ulimit was lowered to what the host allows", {
    type: limit.type,
    from: limit.hard,
    to: most,
  });
  return { type: limit.type, hard: most, soft: limit.soft < most ? limit.soft : most };
}

function positive<T extends Int64>(value: T | null | undefined): T | undefined {
  return value && value > 0 ? value : undefined;
}

function nonZero(value: Int64 | null | undefined): Int64 | undefined {
  return value || undefined;
}

/** Undefined if nothing is left: an empty object would make the runtime touch the controller. */
function withoutUndefined<T extends object>(value: T): T | undefined {
  const entries = Object.entries(value).filter(([, member]) => member !== undefined);
  return entries.length > 0 ? (Object.fromEntries(entries) as T) : undefined;
}
