/**
 * What belongs to containers only while this daemon process lives: the task, sandbox and root of each running
 * container, the clients that wait for a container to start, end or go away, and timers of restart policies.
 * Nothing in here is durable; boot rebuilds it from the records and the kernel.
 */
import { type ContainerRecord, isRunning } from "../../../core/container.ts";
import { ConflictError } from "../../../core/errors.ts";
import type { ContainerSandbox } from "../../../core/networking.ts";
import type { Task, TaskExit } from "../../../core/runtime.ts";

export interface RunningContainer {
  readonly task: Task;
  readonly sandbox: ContainerSandbox;
  /** Root, sandbox and task, released in the reverse order of their making. */
  readonly resources: AsyncDisposableStack;
  /** `performance.now()` when it started: how long it ran must not depend on the wall clock. */
  readonly startedAtMonotonic: number;
  /** Settles when the end was written down and all is released. Never rejects. */
  readonly released: Promise<void>;
  readonly markReleased: () => void;
}

/** How a container's last process ended, or that the container is gone. */
export interface Ended {
  readonly exitCode: number;
  /** Why it could not start, or why its removal failed. */
  readonly error: string;
}

export type WaitCondition = "not-running" | "next-exit" | "removed";

/** Called with the task once it is made, before its program runs. */
export type AttachWaiter = (task: Task) => Promise<void>;

/** What is known of the containers that run, by id. */
export class RunningContainers {
  readonly #running = new Map<string, RunningContainer>();
  readonly #exitWaiters = new Map<string, Set<(ended: Ended) => void>>();
  readonly #removalWaiters = new Map<string, Set<(ended: Ended) => void>>();
  readonly #attachWaiters = new Map<string, Set<AttachWaiter>>();
  readonly #restarts = new Map<string, PendingRestart>();
  readonly #starts = new Map<string, AbortController>();
  readonly #unsettled = new Map<string, UnsettledEnd>();
  /** Whose next exit must be followed by neither restart policy nor removal, and how many `docker restart` are at work. */
  readonly #held = new Map<string, number>();
  #supervisor: (id: string, running: RunningContainer) => void = () => {
    throw new Error("nobody supervises containers yet");
  };

  get(id: string): RunningContainer | undefined {
    return this.#running.get(id);
  }

  /** Who looks after a container that runs from now on: `exits.ts`, set once at boot. */
  supervise(supervisor: (id: string, running: RunningContainer) => void): void {
    this.#supervisor = supervisor;
  }

  /** Takes over what a start has made. Everything is released by the supervisor when the task has ended. */
  adopt(id: string, adopted: Pick<RunningContainer, "task" | "sandbox" | "resources">): void {
    const { promise: released, resolve: markReleased } = Promise.withResolvers<void>();
    const running = { ...adopted, startedAtMonotonic: performance.now(), released, markReleased };
    this.#running.set(id, running);
    this.#supervisor(id, running);
  }

  delete(id: string): void {
    this.#running.delete(id);
  }

  ids(): string[] {
    return [...this.#running.keys()];
  }

  /** Settles at the next exit (or removal) from now on; undefined once `signal` aborted. */
  nextExit(id: string, signal: AbortSignal): Promise<Ended | undefined> {
    return waitIn(this.#exitWaiters, id, signal);
  }

  removal(id: string, signal: AbortSignal): Promise<Ended | undefined> {
    return waitIn(this.#removalWaiters, id, signal);
  }

  notifyExit(id: string, ended: Ended): void {
    settle(this.#exitWaiters, id, ended);
  }

  notifyRemoval(id: string, ended: Ended): void {
    settle(this.#exitWaiters, id, ended);
    settle(this.#removalWaiters, id, ended);
    this.#attachWaiters.delete(id);
    this.#unsettled.delete(id);
    this.setPendingRestart(id, undefined);
  }

  /** A start is at work; its signal aborts when somebody calls it off. Dispose when it is over. */
  beginStart(id: string): Disposable & { readonly signal: AbortSignal } {
    const start = new AbortController();
    this.#starts.set(id, start);
    return {
      signal: start.signal,
      [Symbol.dispose]: () => {
        if (this.#starts.get(id) === start) this.#starts.delete(id);
      },
    };
  }

  /** Without effect if none is at work. */
  callOffStart(id: string): void {
    this.#starts.get(id)?.abort(new ConflictError(`the start of container ${id} was called off`));
  }

  /** The end of a container that could not be written down yet. */
  unsettledEnd(id: string): UnsettledEnd | undefined {
    return this.#unsettled.get(id);
  }

  setUnsettledEnd(id: string, end: UnsettledEnd | undefined): void {
    if (end) this.#unsettled.set(id, end);
    else this.#unsettled.delete(id);
  }

  /** Runs `connect` in the next start, between making the task and running its program. Dispose to withdraw. */
  onTask(id: string, connect: AttachWaiter): Disposable {
    const waiters = this.#attachWaiters.get(id) ?? new Set();
    this.#attachWaiters.set(id, waiters.add(connect));
    return { [Symbol.dispose]: () => void waiters.delete(connect) };
  }

  /** Connects everybody who waits. A client that fails loses its own connection only. */
  async connectAttached(id: string, task: Task): Promise<void> {
    const waiters = this.#attachWaiters.get(id);
    if (!waiters) return;
    this.#attachWaiters.delete(id);
    await Promise.allSettled([...waiters].map((connect) => connect(task)));
  }

  pendingRestart(id: string): PendingRestart | undefined {
    return this.#restarts.get(id);
  }

  setPendingRestart(id: string, restart: PendingRestart | undefined): void {
    const before = this.#restarts.get(id);
    if (before?.timer !== restart?.timer) clearTimeout(before?.timer);
    if (restart) this.#restarts.set(id, restart);
    else this.#restarts.delete(id);
  }

  hold(id: string): Disposable {
    this.#held.set(id, (this.#held.get(id) ?? 0) + 1);
    return {
      [Symbol.dispose]: () => {
        const left = (this.#held.get(id) ?? 1) - 1;
        if (left > 0) this.#held.set(id, left);
        else this.#held.delete(id);
      },
    };
  }

  isHeld(id: string): boolean {
    return this.#held.has(id);
  }
}

export interface UnsettledEnd {
  readonly exit: TaskExit;
  /** Milliseconds, by the monotonic clock; undefined if this daemon did not see it start. */
  readonly ranFor: number | undefined;
}

/** The backoff of a restart policy. */
export interface PendingRestart {
  /** Milliseconds waited before the last restart; 0 when it ran long enough to begin anew. */
  readonly backoff: number;
  /** Running while the container waits to be started again. */
  readonly timer: ReturnType<typeof setTimeout> | undefined;
}

function waitIn(
  waiters: Map<string, Set<(ended: Ended) => void>>,
  id: string,
  signal: AbortSignal,
): Promise<Ended | undefined> {
  const { promise, resolve } = Promise.withResolvers<Ended | undefined>();
  const mine = waiters.get(id) ?? new Set();
  waiters.set(id, mine.add(resolve));
  const withdraw = () => {
    mine.delete(resolve);
    if (mine.size === 0 && waiters.get(id) === mine) waiters.delete(id);
    resolve(undefined);
  };
  if (signal.aborted) withdraw();
  else signal.addEventListener("abort", withdraw, { once: true });
  return promise.finally(() => signal.removeEventListener("abort", withdraw));
}

function settle(waiters: Map<string, Set<(ended: Ended) => void>>, id: string, ended: Ended): void {
  const mine = waiters.get(id);
  waiters.delete(id);
  for (const resolve of mine ?? []) resolve(ended);
}

/** The live side of a container that runs or is paused. @throws ConflictError in Docker's words */
export function getRunning(
  deps: { readonly running: RunningContainers },
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
