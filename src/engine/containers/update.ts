/** `docker update`: the restart policy and the limits, also of a running container. */
import type { HostConfig } from "../../api/types.ts";
import { ConflictError, InvalidParameterError } from "../../core/errors.ts";
import { checkResources, checkRestartPolicy } from "./checks.ts";
import type { ContainerDeps } from "./deps.ts";
import { publish } from "./events.ts";
import { ownContainer } from "./owner.ts";
import { toResources } from "./spec/resources.ts";

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
  "PidsLimit",
] as const satisfies readonly (keyof HostConfig)[];

/** @returns warnings @throws InvalidParameterError; ConflictError; SystemError when the kernel refuses */
export async function updateContainer(
  deps: ContainerDeps,
  reference: string,
  change: HostConfig,
): Promise<string[]> {
  const { id } = deps.store.get(reference);
  using _owner = await ownContainer(deps, id);
  const container = deps.store.get(id);
  const { RestartPolicy } = change;
  const resources = Object.fromEntries(
    UPDATABLE.filter((name) => isGiven(change[name])).map((name) => [name, change[name]]),
  );
  if (container.state.status === "removing" || container.state.status === "dead") {
    throw new ConflictError(`Cannot update container ${id}: container is marked for removal`, {
      subject: id,
    });
  }
  const hostConfig: HostConfig = { ...container.hostConfig, ...resources };
  if (RestartPolicy?.Name) {
    checkRestartPolicy(RestartPolicy);
    if (hostConfig.AutoRemove && RestartPolicy.Name !== "no") {
      throw new InvalidParameterError(
        "Restart policy cannot be updated because AutoRemove is enabled for the container",
      );
    }
    hostConfig.RestartPolicy = RestartPolicy;
  }
  const warnings = checkResources(hostConfig, deps.host, { update: true });
  const running = deps.running.get(id);
  if (running && Object.keys(resources).length > 0) {
    await running.task.update(toResources(hostConfig, deps.host.cgroupVersion));
  }
  const updated = deps.store.update(id, () => ({ hostConfig }));
  publish(deps.events, updated, "update");
  return warnings;
}

/** Clients send zero values for what they leave alone. */
function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null && value !== 0 && value !== "";
}
