/** `GET /exec/{id}/json` and `POST /exec/{id}/resize`. */
import { ConflictError } from "../../core/errors.ts";
import type { TerminalSize } from "../../core/runtime.ts";
import type { ExecDeps } from "./deps.ts";
import { noSuchExec } from "./start.ts";
import type { Exec } from "./store.ts";

/** @throws NotFoundError, also when the container is gone or the result is too old */
export function getExec(deps: ExecDeps, id: string): Exec {
  const exec = deps.execs.get(id);
  if (!exec || !deps.store.byId(exec.containerId)) throw noSuchExec(id);
  return exec;
}

/** @throws NotFoundError; ConflictError unless it runs */
export async function resizeExec(deps: ExecDeps, id: string, size: TerminalSize): Promise<void> {
  const { task } = getExec(deps, id);
  if (!task) throw new ConflictError(`Exec command ${id} is not running`, { subject: id });
  await task.resize(size);
}
