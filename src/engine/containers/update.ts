/** `docker update`: the restart policy and the limits, also of a running container. */
import type { HostConfig } from "../../api/types.ts";
import { ConflictError } from "../../core/errors.ts";
import type { Needs } from "./deps.ts";
import { publish } from "./events.ts";
import { toResources } from "./oci-spec/resources.ts";
import { checkResources, checkRestartPolicy } from "./request/checks.ts";
import { ownContainer } from "./state/owner.ts";

type UpdateDeps = Needs<"events" | "host" | "locks" | "running" | "store">;

/**
 * What an update may change. The rest of the request's fields decide what a container is, not how much it gets
 * (devices, its cgroup, --init): they are ignored, as dockerd does. @see moby container/container_unix.go UpdateContainer
 */
const UPDATABLE = [
  "BlkioWeight",
  "CpuShares",
  "CpuPeriod",
  "CpuQuota",
  "CpuRealtimePeriod",
  "CpuRealtimeRuntime",
  "CpusetCpus",
  "CpusetMems",
  "Memory",
  "MemoryReservation",
  "MemorySwap",
  "NanoCpus",
] as const satisfies readonly (keyof HostConfig)[];

/** @returns warnings @throws InvalidParameterError; ConflictError; SystemError when the kernel refuses */
export async function updateContainer(
  deps: UpdateDeps,
  reference: string,
  change: HostConfig,
): Promise<string[]> {
  const { id } = deps.store.get(reference);
  using _owner = await ownContainer(deps, id);
  const container = deps.store.get(id);
  const { RestartPolicy, PidsLimit } = change;
  const resources: HostConfig = Object.fromEntries(
    UPDATABLE.filter((name) => isGiven(change[name])).map((name) => [name, change[name]]),
  );
  // Zero means something here: no limit.
  if (PidsLimit !== undefined && PidsLimit !== null) resources.PidsLimit = Math.max(0, PidsLimit);
  if (container.state.status === "removing" || container.state.status === "dead") {
    throw cannotUpdate(id, 'container is marked for removal and cannot be "update"');
  }
  checkConsistent(id, container.hostConfig, resources);
  const hostConfig: HostConfig = { ...container.hostConfig, ...resources };
  if (RestartPolicy?.Name) {
    checkRestartPolicy(RestartPolicy);
    if (hostConfig.AutoRemove && RestartPolicy.Name !== "no") {
      throw cannotUpdate(
        id,
        "Restart policy cannot be updated because AutoRemove is enabled for the container",
      );
    }
    hostConfig.RestartPolicy = RestartPolicy;
  }
  const warnings = checkResources(hostConfig, deps.host, { update: true });
  const running = deps.running.get(id);
  if (running && Object.keys(resources).length > 0) {
    const limits = toResources(hostConfig, deps.host.cgroupVersion);
    await running.task.update({
      ...limits,
      ...(resources.PidsLimit === 0 && { pids: { limit: -1 } }),
      ...((resources.CpuQuota ?? 0) < 0 && { cpu: { ...limits.cpu, quota: -1 } }),
    });
  }
  const updated = deps.store.update(id, () => ({ hostConfig }));
  publish(deps.events, updated, "update");
  return warnings;
}

/** What is changed against what stays. @throws ConflictError in moby's words */
function checkConsistent(id: string, before: HostConfig, { Memory, MemorySwap, ...cpu }: HostConfig): void {
  const { NanoCpus = 0, CpuPeriod = 0, CpuQuota = 0 } = cpu;
  const refuse = (what: string, other: string) =>
    cannotUpdate(id, `Conflicting options: ${what} cannot be updated as ${other} has already been set`);
  if (NanoCpus > 0 && (before.CpuPeriod ?? 0) > 0) throw refuse("Nano CPUs", "CPU Period");
  if (NanoCpus > 0 && (before.CpuQuota ?? 0) > 0) throw refuse("Nano CPUs", "CPU Quota");
  if (CpuPeriod > 0 && (before.NanoCpus ?? 0) > 0) throw refuse("CPU Period", "NanoCPUs");
  if (CpuQuota > 0 && (before.NanoCpus ?? 0) > 0) throw refuse("CPU Quota", "NanoCPUs");
  if (Memory && !MemorySwap && Memory > (before.MemorySwap ?? 0)) {
    throw cannotUpdate(
      id,
      "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time",
    );
  }
}

function cannotUpdate(id: string, reason: string): ConflictError {
  return new ConflictError(`Cannot update container ${id}: ${reason}`, { subject: id });
}

/** Clients send zero values for what they leave alone. */
function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null && value !== 0 && value !== "";
}
