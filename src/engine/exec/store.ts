/**
 * Execs: processes that were added to running containers. Kept in memory, as Docker does: they live as long as their
 * container's run, and their results for a while after, so that a client can ask for the exit code.
 */
import type { ExecId } from "../../core/ids.ts";
import type { ExecTask, TerminalSize } from "../../core/runtime.ts";

/** How long the result of an exec that ended can be asked for. Milliseconds. */
const KEPT = 5 * 60_000;

export interface ExecConfig {
  readonly cmd: readonly string[];
  readonly env: readonly string[];
  /** `user[:group]`; empty is the container's. */
  readonly user: string;
  readonly workingDir: string;
  readonly privileged: boolean;
  readonly tty: boolean;
  readonly attachStdin: boolean;
  readonly attachStdout: boolean;
  readonly attachStderr: boolean;
  readonly detachKeys: string | undefined;
  readonly consoleSize: TerminalSize | undefined;
}

/** `created` → `running` → `ended`; a start that fails goes straight to the end. */
export interface Exec {
  readonly id: ExecId;
  readonly containerId: string;
  readonly config: ExecConfig;
  readonly state: "created" | "running" | "ended";
  readonly task: ExecTask | undefined;
  readonly pid: number;
  readonly exitCode: number | undefined;
  /** `performance.now()` of the end. */
  readonly endedAt: number | undefined;
}

export class ExecStore {
  readonly #execs = new Map<string, Exec>();

  get(id: string): Exec | undefined {
    this.#dropOld();
    return this.#execs.get(id);
  }

  put(exec: Exec): Exec {
    this.#dropOld();
    this.#execs.set(exec.id, exec);
    return exec;
  }

  /** Those that did not end yet: inspect's `ExecIDs`. */
  idsOf(containerId: string): string[] {
    return [...this.#execs.values()]
      .filter((exec) => exec.containerId === containerId && exec.state !== "ended")
      .map(({ id }) => id);
  }

  /** The container's process ended, and all others in it with it. */
  endOf(containerId: string): void {
    const endedAt = performance.now();
    for (const exec of this.#execs.values()) {
      if (exec.containerId !== containerId || exec.state === "ended") continue;
      // One that runs gets its own exit code from its monitor, soon.
      if (exec.state === "created") this.#execs.set(exec.id, { ...exec, state: "ended", endedAt });
    }
  }

  deleteOf(containerId: string): void {
    for (const exec of this.#execs.values()) {
      if (exec.containerId === containerId) this.#execs.delete(exec.id);
    }
  }

  /** The map is in the order of making: not quite that of ending, but nothing stays for longer than it has to. */
  #dropOld(): void {
    const horizon = performance.now() - KEPT;
    for (const { id, endedAt } of this.#execs.values()) {
      if (endedAt !== undefined && endedAt < horizon) this.#execs.delete(id);
    }
  }
}
