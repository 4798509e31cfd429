/** Execs, as clients and as containers see them. Each story is a function in a file of its own. */
import type { ExecId } from "../../core/ids.ts";
import type { Task, TerminalSize } from "../../core/runtime.ts";
import type { ContainerExecs } from "../containers/deps.ts";
import type { StdioClient } from "../containers/streams/stdio.ts";
import { createExec } from "./create.ts";
import type { ExecDeps } from "./deps.ts";
import { recoverExecs } from "./ends.ts";
import { getExec, resizeExec } from "./inspect.ts";
import { runToEnd } from "./run-to-end.ts";
import { type ExecSession, openExec } from "./start.ts";
import type { Exec, ExecConfig } from "./store.ts";

/** @throws EngineError with Docker's wording from all of them */
export class Execs implements ContainerExecs {
  readonly #deps: ExecDeps;

  constructor(deps: ExecDeps) {
    this.#deps = deps;
  }

  /** Notes what is to be run in a running container, by id, name or unique prefix. @throws EngineError */
  create(container: string, config: ExecConfig): Promise<ExecId> {
    return createExec(this.#deps, container, config);
  }

  /** Takes the exec, which can be started once. @throws NotFoundError; ConflictError */
  open(id: string, options: { consoleSize?: TerminalSize } = {}): ExecSession {
    return openExec(this.#deps, id, options);
  }

  /** @throws NotFoundError, also when the container is gone or the result is too old */
  get(id: string): Exec {
    return getExec(this.#deps, id);
  }

  /** @throws NotFoundError; ConflictError unless it runs */
  resize(id: string, size: TerminalSize, signal: AbortSignal): Promise<void> {
    return resizeExec(this.#deps, id, size, signal);
  }

  idsOf(containerId: string): string[] {
    return this.#deps.execs.idsOf(containerId);
  }

  endOf(containerId: string): void {
    this.#deps.execs.endOf(containerId);
  }

  deleteOf(containerId: string): void {
    this.#deps.execs.deleteOf(containerId);
  }

  recover(running: ReadonlyMap<string, Task>): Promise<void> {
    return recoverExecs(this.#deps, running);
  }

  runToEnd(
    containerId: string,
    command: readonly string[],
    options: { output: StdioClient; timeout: number },
  ): Promise<number | undefined> {
    return runToEnd(this.#deps, containerId, command, options);
  }
}
