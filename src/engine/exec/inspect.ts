/** `GET /exec/{id}/json` and `POST /exec/{id}/resize`. */
import { setTimeout as sleep } from "node:timers/promises";
import { KeyedLock } from "../../base/keyed-lock.ts";
import { ConflictError } from "../../core/errors.ts";
import type { TerminalSize } from "../../core/runtime.ts";
import type { ExecDeps } from "./deps.ts";
import { noSuchExec } from "./start.ts";
import type { Exec } from "./store.ts";

type InspectDeps = Pick<ExecDeps, "execs" | "store">;

/** @throws NotFoundError, also when the container is gone or the result is too old */
export function getExec(deps: InspectDeps, id: string): Exec {
  const exec = deps.execs.get(id);
  if (!exec || !deps.store.byId(exec.containerId)) throw noSuchExec(id);
  return exec;
}

/** So long a process that was just started may take to be there: clients resize right after the start. Milliseconds. */
const START_PATIENCE = 10_000;
const LOOK_INTERVAL = 5;
/** By exec: ids are unique in all of the engine's life. */
const turns = new KeyedLock();

/** @throws NotFoundError; ConflictError unless it runs, or will in a moment */
export async function resizeExec(
  deps: InspectDeps,
  id: string,
  size: TerminalSize,
  signal: AbortSignal,
): Promise<void> {
  // One that waits for the process must not come after a newer one that found it there.
  using _turn = await turns.acquire(id, signal);
  const deadline = performance.now() + START_PATIENCE;
  let exec = getExec(deps, id);
  while (exec.state === "running" && !exec.task && performance.now() < deadline) {
    signal.throwIfAborted();
    await sleep(LOOK_INTERVAL);
    exec = getExec(deps, id);
  }
  if (!exec.task) throw new ConflictError(`Exec command ${id} is not running`, { subject: id });
  await exec.task.resize(size);
}
