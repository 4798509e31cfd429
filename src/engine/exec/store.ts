/**
 * Execs: processes that were added to running containers. One that runs is durable, so that its exit code can be
 * asked for though the daemon was down when it ended; its result is kept for a while after.
 */

import type { ExecId } from "../../core/ids.ts";
import type { ExecTask, TerminalSize } from "../../core/runtime.ts";
import type { StateStore, Table } from "../../core/state.ts";
import type { AddedProcess } from "../containers/oci-spec/spec.ts";

/** How long the result of an exec that ended can be asked for. Milliseconds. */
const KEPT = 5 * 60_000;
/** How long an exec waits to be started, far longer than any client does. Milliseconds. */
const STARTABLE = 60 * 60_000;
const LOOK_INTERVAL = 1_000;

/** As the request says it. */
export interface ExecConfig extends AddedProcess {
  readonly attachStdin: boolean;
  readonly attachStdout: boolean;
  readonly attachStderr: boolean;
  readonly detachKeys?: string;
  readonly consoleSize?: TerminalSize;
}

/** What is durable of an exec that was started. */
export interface ExecRow {
  readonly id: ExecId;
  readonly containerId: string;
  readonly config: ExecConfig;
  /** Once it ended: a client that started it may ask another daemon for the code. `at`: ms since the epoch. */
  readonly result?: { readonly exitCode: number; readonly at: number };
}

/** `created` → `running` → `ended`; a start that fails goes straight to the end. */
export interface Exec extends ExecRow {
  readonly state: "created" | "running" | "ended";
  readonly task: ExecTask | undefined;
  readonly pid: number;
  readonly exitCode: number | undefined;
  /** `performance.now()` of the end. */
  readonly endedAt: number | undefined;
  /** `performance.now()` of its making. */
  readonly createdAt?: number;
}

/** Every exec that can still be asked for. */
export class ExecStore {
  readonly #state: StateStore;
  readonly #table: Table<ExecRow>;
  readonly #execs = new Map<string, Exec>();
  #nextLook = 0;

  constructor(state: StateStore) {
    this.#state = state;
    this.#table = state.table<ExecRow>("execs");
  }

  get(id: string): Exec | undefined {
    this.#dropOld();
    return this.#execs.get(id);
  }

  put(exec: Exec): Exec {
    this.#dropOld();
    this.#execs.set(exec.id, exec);
    return exec;
  }

  /** Before its process is made, and again with its result: both are known after a crash. */
  persist({ id, containerId, config, result }: ExecRow): void {
    this.#table.put(id, { id, containerId, config, result });
  }

  /** Boot: takes over a result of a former daemon, for the rest of its time. False if that is over. */
  restore(row: ExecRow): boolean {
    if (row.result === undefined) return false;
    const age = Math.max(0, Date.now() - row.result.at);
    if (age > KEPT) return false;
    const { exitCode } = row.result;
    this.#execs.set(row.id, {
      ...row,
      state: "ended",
      task: undefined,
      pid: 0,
      exitCode,
      endedAt: performance.now() - age,
    });
    return true;
  }

  forget(id: string): void {
    this.#table.delete(id);
  }

  /** Those that ran when the last daemon ended, and those whose result it kept. */
  persisted(): ExecRow[] {
    return this.#table.entries().map(([, row]) => row);
  }

  /** Those that did not end yet: inspect's `ExecIDs`. */
  idsOf(containerId: string): string[] {
    return [...this.#execs.values()]
      .filter((exec) => exec.containerId === containerId && exec.state !== "ended")
      .map(({ id }) => id);
  }

  /** The container's process ended: those that were never started are gone, as in Docker. Others end by themselves, now. */
  endOf(containerId: string): void {
    for (const { id, containerId: owner, state } of this.#execs.values()) {
      if (owner === containerId && state === "created") this.#execs.delete(id);
    }
  }

  deleteOf(containerId: string): void {
    const execs = [...this.#execs.values()].filter((exec) => exec.containerId === containerId);
    for (const { id } of execs) this.#execs.delete(id);
    this.#deleteRows(execs);
  }

  /** At most once a second; their rows go in one commit, however many they are. */
  #dropOld(): void {
    const now = performance.now();
    if (now < this.#nextLook) return;
    this.#nextLook = now + LOOK_INTERVAL;
    const old = [...this.#execs.values()].filter((exec) => isOld(exec, now));
    if (old.length === 0) return;
    for (const { id } of old) this.#execs.delete(id);
    this.#deleteRows(old);
  }

  #deleteRows(execs: readonly Exec[]): void {
    const durable = execs.filter(({ state }) => state !== "created");
    if (durable.length === 0) return;
    this.#state.transaction(() => {
      for (const { id } of durable) this.#table.delete(id);
    });
  }
}

/** One that runs is never old. */
function isOld({ state, endedAt, createdAt = 0 }: Exec, now: number): boolean {
  if (state === "created") return now - createdAt > STARTABLE;
  return endedAt !== undefined && now - endedAt > KEPT;
}
