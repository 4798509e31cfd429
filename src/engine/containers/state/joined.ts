/** The running containers whose namespaces another container shares: `container:<id>` modes. */
import type { HostConfig } from "../../../api/types.ts";
import type { ContainerRecord } from "../../../core/container.ts";
import { ConflictError, NotFoundError, SystemError } from "../../../core/errors.ts";
import type { RunningContainers } from "./running.ts";
import type { ContainerStore } from "./store.ts";

export interface Joined {
  readonly id: string;
  readonly pid: number;
}

export interface JoinedContainers {
  readonly network: Joined | undefined;
  readonly ipc: Joined | undefined;
  readonly pid: Joined | undefined;
}

/** @throws SystemError when one of them is gone; ConflictError when one of them does not run or keeps its IPC to itself */
export function joinedContainers(store: ContainerStore, container: ContainerRecord): JoinedContainers {
  const { NetworkMode, IpcMode, PidMode } = container.hostConfig;
  return {
    network: join(store, container, NetworkMode, "network namespace"),
    ipc: join(store, container, IpcMode, "IPC", checkShareable),
    pid: join(store, container, PidMode, "PID namespace"),
  };
}

/**
 * Namespaces are joined through a pid, which the kernel may give to another process once the donor's init is gone. To be
 * asked after joining: a donor that is there now was there then. @throws ConflictError
 */
export function checkDonors(running: RunningContainers, { network, ipc, pid }: JoinedContainers): void {
  for (const donor of [network, ipc, pid]) {
    if (!donor || running.get(donor.id)?.task.alive) continue;
    throw new ConflictError(
      `cannot join the namespaces of a non running container: container ${donor.id} has exited`,
      { subject: donor.id },
    );
  }
}

function join(
  store: ContainerStore,
  container: ContainerRecord,
  mode: string | undefined,
  what: string,
  check: (donor: HostConfig, id: string) => void = () => {},
): Joined | undefined {
  if (!mode?.startsWith("container:")) return undefined;
  const donor = donorOf(store, mode.slice("container:".length), what);
  if (donor.id === container.id) throw new ConflictError(`cannot join own ${what}`, { subject: donor.id });
  if (donor.state.status === "restarting") {
    throw new ConflictError(`Container ${donor.id} is restarting, wait until the container is running`);
  }
  if (donor.state.pid === 0) {
    throw notRunning(donor, what);
  }
  check(donor.hostConfig, donor.id);
  return { id: donor.id, pid: donor.state.pid };
}

/** As moby wraps it for a start: the engine's failure for PID and IPC, a conflict for the network. */
function notRunning({ id }: ContainerRecord, what: string): SystemError | ConflictError {
  if (what === "network namespace") {
    return new ConflictError(`cannot join network namespace of a non running container: ${id}`, {
      subject: id,
    });
  }
  const namespace = what === "IPC" ? "IPC namespace" : what;
  return new SystemError(`failed to join ${namespace}: container ${id} is not running`, { subject: id });
}

/** Its absence is not that of the container which was asked for: 404 would mean that one. @throws SystemError */
function donorOf(store: ContainerStore, reference: string, what: string): ContainerRecord {
  try {
    return store.get(reference);
  } catch (error) {
    if (!(error instanceof NotFoundError)) throw error;
    throw new SystemError(`joining ${what} of container: ${error.message}`, {
      subject: reference,
      cause: error,
    });
  }
}

function checkShareable({ IpcMode }: HostConfig, id: string): void {
  if (IpcMode === "shareable" || IpcMode === "host") return;
  throw new ConflictError(
    `cannot join IPC of container ${id}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)`,
    { subject: id },
  );
}
