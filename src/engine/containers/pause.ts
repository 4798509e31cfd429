/** `docker pause` and `unpause`: the freezer of the container's cgroup. */
import { ConflictError } from "../../core/errors.ts";
import type { Needs } from "./deps.ts";
import { publish } from "./events.ts";
import { unwatchedHealth } from "./health/state.ts";
import { ownContainer } from "./state/owner.ts";
import { getRunning } from "./state/running.ts";

type PauseDeps = Needs<"events" | "locks" | "running" | "store">;

/** @throws ConflictError unless it runs and is not paused */
export async function pauseContainer(deps: PauseDeps, reference: string): Promise<void> {
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
export async function unpauseContainer(deps: PauseDeps, reference: string): Promise<void> {
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
