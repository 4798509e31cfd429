/**
 * Ending a container's process: `stop`, `kill`, and the kill that `rm -f` needs. None of them waits longer than its
 * deadline, and none holds the container's lock while it waits: the exit itself needs it (`exits.ts`).
 */
import { LONGEST_TIMER } from "../../base/timers.ts";
import { type ContainerRecord, isRunning } from "../../core/container.ts";
import { ConflictError, NotModifiedError, SystemError } from "../../core/errors.ts";
import type { ContainerDeps, Needs } from "./deps.ts";
import { publish } from "./events.ts";
import { settleEnd } from "./exits.ts";
import { parseSignal } from "./request/signals.ts";
import { ownContainerToEnd } from "./state/owner.ts";
import type { RunningContainer } from "./state/running.ts";

const SIGKILL = 9;
/** Seconds. */
const STOP_TIMEOUT = 10;
/** After SIGKILL: a process that the kernel does not let go is reported, not waited for. Milliseconds. */
const KILL_DEADLINE = 10_000;
/** `kill` comes back at once where the process dies at once, as clients expect of SIGKILL. Milliseconds. */
const KILL_GRACE = 2_000;

export interface StopOptions {
  /** Name or number; the container's own stop signal if absent. */
  readonly signal?: string;
  /** Seconds until SIGKILL; -1 waits for ever; the container's own if absent, or else 10. */
  readonly timeout?: number;
  /** The client went away: stops waiting, the container gets its SIGKILL all the same. */
  readonly aborted?: AbortSignal;
}

/** `docker stop`. @throws NotModifiedError if it does not run; SystemError if it cannot be killed */
export async function stopContainer(
  deps: ContainerDeps,
  reference: string,
  options: StopOptions,
): Promise<void> {
  const { id } = deps.store.get(reference);
  const number = options.signal ? parseSignal(options.signal) : undefined;
  const running = await beginStop(deps, id);
  if (running) await endProcess(deps, id, running, { ...options, number });
  const stopped = deps.store.byId(id);
  if (stopped) publish(deps.events, stopped, "stop");
}

/** Tells policies to leave it alone. Gives back what is to be stopped, or undefined if it only waited for a restart. */
async function beginStop(deps: ContainerDeps, id: string): Promise<RunningContainer | undefined> {
  using _owner = await ownContainerToEnd(deps, id);
  const container = deps.store.get(id);
  if (!isRunning(container)) throw new NotModifiedError("Container is already stopped", { subject: id });
  if (cancelRestart(deps, container)) return undefined;
  return await keepStopped(deps, id);
}

/** From now on no policy restarts it. Gives back what runs; a record without a process behind it is settled. */
async function keepStopped(deps: ContainerDeps, id: string): Promise<RunningContainer | undefined> {
  deps.store.update(id, () => ({ manuallyStopped: true }));
  const running = deps.running.get(id);
  if (!running) await settleEnd(deps, id);
  return running;
}

/** A container in backoff is stopped by forgetting its restart. The lock is held. True if it was one. */
function cancelRestart(deps: Needs<"running" | "store">, container: ContainerRecord): boolean {
  if (container.state.status !== "restarting") return false;
  const { state } = deps.store.update(container.id, ({ state: current }) => ({
    manuallyStopped: true,
    state: { ...current, status: "exited" },
  }));
  deps.running.setPendingRestart(container.id, undefined);
  deps.running.notifyExit(container.id, { exitCode: state.exitCode, error: state.error });
  return true;
}

async function endProcess(
  deps: Needs<"events" | "store">,
  id: string,
  running: RunningContainer,
  options: StopOptions & { number: number | undefined },
): Promise<void> {
  const container = deps.store.get(id);
  const signal = options.number ?? parseSignal(container.config.StopSignal || "SIGTERM");
  const seconds = options.timeout ?? container.config.StopTimeout ?? STOP_TIMEOUT;
  await sendSignal(deps, id, running, signal);
  const deadline = seconds < 0 ? undefined : seconds * 1000;
  if (await settlesWithin(running.released, deadline, options.aborted)) return;
  await killAndWait(deps, id, running);
}

/** @throws SystemError if it is still there after the deadline */
async function killAndWait(
  deps: Needs<"events" | "store">,
  id: string,
  running: RunningContainer,
): Promise<void> {
  await sendSignal(deps, id, running, SIGKILL);
  if (await settlesWithin(running.released, KILL_DEADLINE)) return;
  throw new SystemError(
    `tried to kill container, but did not receive an exit event: container ${id} PID ${running.task.pid} is ` +
      "a zombie or waits in the kernel",
    { subject: id },
  );
}

/** A frozen process gets its signal only once it is thawed. */
async function sendSignal(
  deps: Needs<"events" | "store">,
  id: string,
  running: RunningContainer,
  signal: number,
): Promise<void> {
  await running.task.kill(signal);
  const container = deps.store.byId(id);
  if (!container) return;
  publish(deps.events, container, "kill", { signal: String(signal) });
  if (container.state.status !== "paused") return;
  await running.task.resume();
  if (deps.store.byId(id)?.state.status !== "paused") return;
  const resumed = deps.store.update(id, ({ state }) => ({ state: { ...state, status: "running" } }));
  publish(deps.events, resumed, "unpause");
}

/**
 * `docker kill`. SIGKILL, and the container's own stop signal, mean that it shall stay ended.
 * @throws ConflictError if it does not run
 */
export async function killContainer(deps: ContainerDeps, reference: string, signal: string): Promise<void> {
  const number = signal === "" ? SIGKILL : parseSignal(signal);
  const { id } = deps.store.get(reference);
  const running = await beginKill(deps, id, reference, number);
  if (!running) return;
  await sendSignal(deps, id, running, number);
  if (number === SIGKILL && !(await settlesWithin(running.released, KILL_GRACE))) {
    await killAndWait(deps, id, running);
  }
}

async function beginKill(
  deps: ContainerDeps,
  id: string,
  reference: string,
  signal: number,
): Promise<RunningContainer | undefined> {
  using _owner = await ownContainerToEnd(deps, id);
  const container = deps.store.get(id);
  const running = deps.running.get(id);
  if (!isRunning(container)) {
    throw new ConflictError(`cannot kill container: ${reference}: container ${id} is not running`, {
      subject: id,
    });
  }
  if (cancelRestart(deps, container)) return undefined;
  if (!running) {
    await settleEnd(deps, id);
    return undefined;
  }
  const stopSignal = container.config.StopSignal ? parseSignal(container.config.StopSignal) : signal;
  if (signal === SIGKILL || signal === stopSignal) deps.store.update(id, () => ({ manuallyStopped: true }));
  return running;
}

/** Ends it at once, for `rm -f`. Not running is fine. @throws SystemError if it cannot be killed */
export async function forceStop(deps: ContainerDeps, id: string): Promise<void> {
  const running = await beginForcedStop(deps, id);
  if (running) await killAndWait(deps, id, running);
}

async function beginForcedStop(deps: ContainerDeps, id: string): Promise<RunningContainer | undefined> {
  using _owner = await ownContainerToEnd(deps, id);
  const container = deps.store.get(id);
  if (!isRunning(container) || cancelRestart(deps, container)) return undefined;
  return await keepStopped(deps, id);
}

/** False when the deadline passed or the waiting was given up. */
async function settlesWithin(
  promise: Promise<void>,
  milliseconds: number | undefined,
  aborted?: AbortSignal,
): Promise<boolean> {
  const { promise: gaveUp, resolve } = Promise.withResolvers<false>();
  const timed = milliseconds !== undefined && milliseconds <= LONGEST_TIMER;
  const timer = timed ? setTimeout(() => resolve(false), milliseconds) : undefined;
  const onAbort = () => resolve(false);
  aborted?.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([promise.then(() => true), gaveUp]);
  } finally {
    clearTimeout(timer);
    aborted?.removeEventListener("abort", onAbort);
  }
}
