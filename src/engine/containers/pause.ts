/** `docker pause` and `unpause`: the freezer of the container's cgroup. */
import { type ContainerRecord, isRunning } from "../../core/container.ts";
import { ConflictError } from "../../core/errors.ts";
import type { ContainerDeps } from "./deps.ts";
import { publish } from "./events.ts";
import { unwatchedHealth } from "./health/state.ts";
import { ownContainer } from "./state/owner.ts";
import type { RunningContainer } from "./state/running.ts";

/** @throws ConflictError unless it runs and is not paused */
export async function pauseContainer(deps: ContainerDeps, reference: string): Promise<void> {
  const { id } = deps.store.get(reference);
  using _owner = await ownContainer(deps, id);
  const container = deps.store.get(id);
  if (container.state.status === "paused") {
    throw new ConflictError(`container ${id} is already paused`, { subject: id });
  }
  const { task } = getRunning(deps, container);
  await task.pause();
  const paused = deps.store.update(id, ({ state }) => ({
    state: { ...state, status: "paused", health: unwatchedHealth(state.health) },
  }));
  publish(deps.events, paused, "pause");
}

/** @throws ConflictError unless it is paused */
export async function unpauseContainer(deps: ContainerDeps, reference: string): Promise<void> {
  const { id } = deps.store.get(reference);
  using _owner = await ownContainer(deps, id);
  const container = deps.store.get(id);
  if (container.state.status !== "paused") {
    throw new ConflictError(`container ${id} is not paused`, { subject: id });
  }
  const { task } = getRunning(deps, container);
  await task.resume();
  const running = deps.store.update(id, ({ state }) => ({ state: { ...state, status: "running" } }));
  publish(deps.events, running, "unpause");
}

/** The live side of a container that runs or is paused. @throws ConflictError in Docker's words */
export function getRunning(
  deps: Pick<ContainerDeps, "running">,
  container: ContainerRecord,
): RunningContainer {
  const { id, state } = container;
  if (state.status === "restarting") {
    throw new ConflictError(`container ${id} is restarting, wait until the container is running`, {
      subject: id,
    });
  }
  const running = deps.running.get(id);
  if (!isRunning(container) || !running) {
    throw new ConflictError(`container ${id} is not running`, { subject: id });
  }
  return running;
}
