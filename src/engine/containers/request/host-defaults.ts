/**
 * The host configuration with everything filled in that the request left open, as dockerd does at create
 * (moby `adaptContainerSettings`): inspect shows it, and a later change of the daemon's defaults leaves the
 * container alone.
 */

import type { HostConfig, Int64 } from "../../../api/types.ts";
import { doubled } from "../../../base/int64.ts";
import type { ContainerDefaults } from "../../../core/config.ts";
import type { HostFacts } from "../deps.ts";

export interface HostDefaults {
  readonly defaults: ContainerDefaults;
  readonly host: HostFacts;
  /** The full id of the container that `container:<name or id>` means, if there is one. */
  readonly findContainer: (reference: string) => string | undefined;
}

/** Everything that is left open has its value afterwards; nothing that was asked for changes. */
export function withHostDefaults(requested: HostConfig, options: HostDefaults): HostConfig {
  const { defaults, host } = options;
  const resolveMode = (mode: string | undefined) => withContainerId(mode ?? "", options.findContainer);
  const networkMode = resolveMode(requested.NetworkMode);
  return {
    ...requested,
    NetworkMode: networkMode === "" || networkMode === "default" ? "bridge" : networkMode,
    ...(requested.PortBindings && { PortBindings: withOpenBindings(requested.PortBindings) }),
    PidMode: resolveMode(requested.PidMode),
    IpcMode: resolveMode(requested.IpcMode) || defaults.ipcMode,
    CgroupnsMode: requested.CgroupnsMode || defaultCgroupNamespace(requested, options),
    RestartPolicy: {
      Name: requested.RestartPolicy?.Name || "no",
      MaximumRetryCount: requested.RestartPolicy?.MaximumRetryCount ?? 0,
    },
    LogConfig: withLogDefaults(requested.LogConfig, defaults),
    Runtime: requested.Runtime || defaults.runtime,
    ShmSize: requested.ShmSize || defaults.shmSize,
    CpuShares: requested.CpuShares ?? 0,
    BlkioWeight: host.blockIoWeight ? requested.BlkioWeight : undefined,
    BlkioWeightDevice: host.blockIoWeight ? requested.BlkioWeightDevice : undefined,
    MemorySwap: defaultSwap(requested, host),
    MemorySwappiness:
      requested.MemorySwappiness === -1 || host.cgroupVersion === 2 ? undefined : requested.MemorySwappiness,
    OomKillDisable: host.cgroupVersion === 2 ? undefined : (requested.OomKillDisable ?? false),
    CpuPercent: 0,
    PidsLimit:
      requested.PidsLimit !== undefined && (requested.PidsLimit ?? 0) <= 0 ? undefined : requested.PidsLimit,
    Init: requested.Init ?? undefined,
    ConsoleSize: requested.ConsoleSize ?? [0, 0],
  };
}

/** A port that is bound to nothing named is bound to any. @see moby container create backfillEmptyPBs */
function withOpenBindings(bindings: NonNullable<HostConfig["PortBindings"]>): HostConfig["PortBindings"] {
  return Object.fromEntries(
    Object.entries(bindings).map(([port, bound]) => [
      port,
      bound?.length ? bound : [{ HostIp: "", HostPort: "" }],
    ]),
  );
}

/** `container:` modes keep meaning the same container when it is renamed. */
function withContainerId(mode: string, find: HostDefaults["findContainer"]): string {
  if (!mode.startsWith("container:")) return mode;
  const id = find(mode.slice("container:".length));
  return id === undefined ? mode : `container:${id}`;
}

function defaultCgroupNamespace(requested: HostConfig, { defaults, host }: HostDefaults): "private" | "host" {
  if (requested.Privileged && host.cgroupVersion === 1) return "host";
  return defaults.cgroupNamespace ?? (host.cgroupVersion === 2 ? "private" : "host");
}

/** The daemon's options belong to the daemon's driver: another driver starts with none. */
function withLogDefaults(
  requested: HostConfig["LogConfig"],
  defaults: ContainerDefaults,
): HostConfig["LogConfig"] {
  const Type = (requested?.Type || defaults.logDriver) as NonNullable<HostConfig["LogConfig"]>["Type"];
  const inherited = Type === defaults.logDriver ? defaults.logOptions : {};
  return { Type, Config: { ...inherited, ...requested?.Config } };
}

/** Twice the memory; without a limit where that is more than there can be. */
function defaultSwap(requested: HostConfig, host: HostFacts): Int64 {
  const memory = requested.Memory ?? 0;
  const swap = requested.MemorySwap ?? 0;
  if (memory > 0 && !host.swapLimit) return -1;
  return memory > 0 && swap === 0 ? (doubled(memory) ?? -1) : swap;
}
