/** What happens when the process of an exec ends, also of one that a former daemon started. */
import { log } from "../../base/log.ts";
import { messageOf } from "../../core/errors.ts";
import type { ExecTask, Task } from "../../core/runtime.ts";
import { publish } from "../containers/events.ts";
import type { ExecDeps } from "./deps.ts";
import type { Exec, ExecRow } from "./store.ts";

const RELEASE_AFTER_MS = 50;

type EndDeps = Pick<ExecDeps, "execs" | "store" | "events">;

/** Settles when the exit code can be asked for. Never rejects. */
export async function seeExecOut(deps: EndDeps, exec: ExecRow, task: ExecTask): Promise<void> {
  const { exitCode } = await task.exited;
  recordEnd(deps, exec, exitCode);
  // Not in the way of the client, who asks for the exit code next. Until then the traces tell it to another daemon.
  setTimeout(() => void release(deps, exec, { task, exitCode }), RELEASE_AFTER_MS);
}

/** Its exit code can be asked for from here on. */
export function recordEnd(deps: EndDeps, { id, containerId, config }: ExecRow, exitCode: number): void {
  const container = deps.store.byId(containerId);
  // Gone with its container.
  if (!container) return;
  const pid = deps.execs.get(id)?.pid ?? 0;
  const ended: Exec = {
    id,
    containerId,
    config,
    state: "ended",
    task: undefined,
    pid,
    exitCode,
    endedAt: performance.now(),
  };
  deps.execs.put(ended);
  publish(deps.events, container, "exec_die", { execID: id, exitCode: String(exitCode) });
}

/** The result is durable before the traces on the host are removed that would tell it to another daemon. */
async function release(
  deps: EndDeps,
  { id, containerId, config }: ExecRow,
  { task, exitCode }: { task: ExecTask; exitCode: number },
): Promise<void> {
  try {
    const kept = deps.store.byId(containerId) !== undefined;
    if (kept) deps.execs.persist({ id, containerId, config, result: { exitCode, at: Date.now() } });
    await task[Symbol.asyncDispose]();
  } catch (error) {
    log("warn", "traces of an exec could not be removed", { exec: task.id, error: messageOf(error) });
  }
}

/** Boot: execs in the containers that still run go on being looked after, results are kept for their time. */
export async function recoverExecs(deps: EndDeps, running: ReadonlyMap<string, Task>): Promise<void> {
  const known = new Set<string>();
  for (const row of deps.execs.persisted()) {
    if (deps.store.byId(row.containerId) && deps.execs.restore(row)) continue;
    const task = running.get(row.containerId)?.execs.get(row.id);
    if (!task) {
      deps.execs.forget(row.id);
      continue;
    }
    known.add(row.id);
    deps.execs.put({
      ...row,
      state: "running",
      task,
      pid: task.pid,
      exitCode: undefined,
      endedAt: undefined,
    });
    void seeExecOut(deps, row, task);
  }
  for (const { execs } of running.values()) {
    for (const [id, task] of execs) if (!known.has(id)) await task[Symbol.asyncDispose]();
  }
}
