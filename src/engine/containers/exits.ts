/**
 * What happens when a container's process ends: the exit is written down, everything that ran is released, `die`
 * is published, and then the container is removed (`--rm`), started again (its restart policy) or left as it is.
 * In this order: who sees the exit can rely on its record; who waits for it finds ports and mounts free.
 */
import type { HostConfig } from "../../api/types.ts";
import { log } from "../../base/log.ts";
import { msToRfc3339 } from "../../base/times.ts";
import type { ContainerRecord } from "../../core/container.ts";
import { messageOf } from "../../core/errors.ts";
import type { TaskExit } from "../../core/runtime.ts";
import type { ContainerDeps, Needs } from "./deps.ts";
import { discardContainer } from "./discard.ts";
import { publish } from "./events.ts";
import { watchHealth } from "./health/monitor.ts";
import { unwatchedHealth } from "./health/state.ts";
import { restartDelay } from "./restart-policy.ts";
import { bringUp } from "./start.ts";
import { exitCodeOfFailure, toStartFailure } from "./start-failure.ts";
import type { RunningContainer, UnsettledEnd } from "./state/running.ts";

/** Looks after every container that runs from now on. Called once, before the first start. */
export function superviseContainers(deps: ContainerDeps): void {
  deps.running.supervise((id, running) => {
    void seeOut(deps, id, running);
    void watchHealth(deps, id, running);
  });
}

/** The exit code of a process whose end nobody could see. As moby's. */
const LOST = 255;
/** Milliseconds until what could not be written down is tried again. */
const RETRY = 2_000;

/** Waits for the task's end and deals with it. Never rejects. */
async function seeOut(deps: ContainerDeps, id: string, running: RunningContainer): Promise<void> {
  const exit = await running.task.exited;
  using _owner = await deps.locks.acquire(id);
  try {
    await settleExit(deps, id, running, exit);
  } catch (error) {
    log("error", "the end of a container could not be dealt with", {
      container: id,
      error: messageOf(error),
    });
  } finally {
    running.markReleased();
  }
}

async function settleExit(
  deps: ContainerDeps,
  id: string,
  running: RunningContainer,
  exit: TaskExit,
): Promise<void> {
  const end = { exit, ranFor: performance.now() - running.startedAtMonotonic };
  const recorded = tryRecording(deps, id, end);
  deps.running.delete(id);
  deps.execs.endOf(id);
  await release(id, running);
  if (recorded) announceEnd(deps, recorded.stopped, end);
  running.markReleased();
  deps.running.notifyExit(id, { exitCode: exit.exitCode, error: "" });
  if (recorded) await afterExit(deps, recorded.stopped, recorded.delay);
  else settleLater(deps, id, end);
}

interface Recorded {
  readonly stopped: ContainerRecord;
  /** Milliseconds until its policy restarts it, or undefined. */
  readonly delay: number | undefined;
}

function tryRecording(deps: Needs<"running" | "store">, id: string, end: UnsettledEnd): Recorded | undefined {
  try {
    return record(deps, id, end);
  } catch (error) {
    log("error", "the end of a container could not be written down; it is tried again", {
      container: id,
      exitCode: end.exit.exitCode,
      error: messageOf(error),
    });
    return undefined;
  }
}

function record(deps: Needs<"running" | "store">, id: string, { exit, ranFor }: UnsettledEnd): Recorded {
  const ran = ranFor ?? Number.POSITIVE_INFINITY;
  const delay = nextRestart(deps, id, { exitCode: exit.exitCode, ranFor: ran });
  return { stopped: recordExit(deps, id, exit, delay), delay };
}

function announceEnd(deps: Needs<"events">, stopped: ContainerRecord, { exit, ranFor }: UnsettledEnd): void {
  const { startedAt, finishedAt } = stopped.state;
  const ran = ranFor ?? Math.max(0, Date.parse(finishedAt) - Date.parse(startedAt));
  if (exit.oomKilled) publish(deps.events, stopped, "oom");
  publish(deps.events, stopped, "die", {
    exitCode: String(exit.exitCode),
    execDuration: String(Math.floor(ran / 1000)),
  });
}

/** The disk may be full: nobody waits for that, and nothing is forgotten. */
function settleLater(deps: ContainerDeps, id: string, end: UnsettledEnd): void {
  deps.running.setUnsettledEnd(id, end);
  setTimeout(() => void tryToSettle(deps, id, end), RETRY);
}

async function tryToSettle(deps: ContainerDeps, id: string, end: UnsettledEnd): Promise<void> {
  using _owner = await deps.locks.acquire(id);
  if (deps.running.unsettledEnd(id) !== end || !deps.store.byId(id)) return;
  try {
    await settleEnd(deps, id, end);
  } catch (error) {
    log("error", "the end of a container could not be dealt with", {
      container: id,
      error: messageOf(error),
    });
    if (deps.running.unsettledEnd(id) === end) settleLater(deps, id, end);
  }
}

/**
 * Deals with the end of a container of which nothing is left but its record: what could not be written down before,
 * or happened while no daemon looked. Without an `end`, nobody knows how. The lock is held.
 */
export async function settleEnd(
  deps: ContainerDeps,
  id: string,
  end: UnsettledEnd = deps.running.unsettledEnd(id) ?? lostEnd(),
): Promise<void> {
  const { stopped, delay } = record(deps, id, end);
  deps.running.setUnsettledEnd(id, undefined);
  announceEnd(deps, stopped, end);
  deps.running.notifyExit(id, { exitCode: end.exit.exitCode, error: "" });
  await afterExit(deps, stopped, delay);
}

function lostEnd(): UnsettledEnd {
  return { exit: { exitCode: LOST, exitedAt: Date.now(), oomKilled: false }, ranFor: undefined };
}

/** What is due once a container has ended. The lock is held. */
async function afterExit(
  deps: ContainerDeps,
  stopped: ContainerRecord,
  delay: number | undefined,
): Promise<void> {
  if (delay !== undefined) scheduleRestart(deps, stopped.id, delay);
  else if (stopped.state.status === "removing" || isRemovedAtEnd(deps, stopped.id, stopped.hostConfig)) {
    await discardContainer(deps, stopped, { removeVolumes: true });
  }
}

/** Milliseconds until the policy restarts it, or undefined. */
function nextRestart(
  deps: Needs<"running" | "store">,
  id: string,
  { exitCode, ranFor }: { exitCode: number; ranFor: number },
): number | undefined {
  const container = deps.store.byId(id);
  if (!container || deps.running.isHeld(id)) return undefined;
  return restartDelay(container.hostConfig.RestartPolicy, {
    exitCode,
    ranFor,
    manuallyStopped: container.manuallyStopped,
    restartCount: container.restartCount,
    lastBackoff: deps.running.pendingRestart(id)?.backoff ?? 0,
  });
}

/** Writes down the end together with what follows it: one commit tells boot what is left to do. */
function recordExit(
  deps: Needs<"running" | "store">,
  id: string,
  exit: TaskExit,
  restartDelay: number | undefined,
): ContainerRecord {
  const restarting = restartDelay !== undefined;
  return deps.store.update(id, ({ state, hostConfig, requestedNetworks, restartCount, removeVolumes }) => {
    const removing = !restarting && isRemovedAtEnd(deps, id, hostConfig);
    return {
      starting: false,
      networks: requestedNetworks,
      restartCount: restarting ? restartCount + 1 : restartCount,
      removeVolumes: removing || removeVolumes,
      state: {
        ...state,
        status: restarting ? "restarting" : removing ? "removing" : "exited",
        pid: 0,
        pidStartTime: 0,
        exitCode: exit.exitCode,
        oomKilled: exit.oomKilled,
        finishedAt: msToRfc3339(exit.exitedAt),
        health: unwatchedHealth(state.health),
      },
    };
  });
}

function isRemovedAtEnd(deps: Needs<"running">, id: string, { AutoRemove }: HostConfig): boolean {
  return (AutoRemove ?? false) && !deps.running.isHeld(id);
}

/** What cannot be released now is found by its name at the next boot; the container is stopped all the same. */
async function release(id: string, running: RunningContainer): Promise<void> {
  try {
    await running.resources.disposeAsync();
  } catch (error) {
    log("error", "resources of a stopped container could not be released", {
      container: id,
      error: messageOf(error),
    });
  }
}

/** Starts the container after its backoff, unless somebody stops, starts or removes it before. */
export function scheduleRestart(deps: ContainerDeps, id: string, delay: number): void {
  const timer = setTimeout(() => void restartByPolicy(deps, id), delay);
  deps.running.setPendingRestart(id, { backoff: delay, timer });
}

async function restartByPolicy(deps: ContainerDeps, id: string): Promise<void> {
  using _owner = await deps.locks.acquire(id);
  const container = deps.store.byId(id);
  const pending = deps.running.pendingRestart(id);
  if (container?.state.status !== "restarting" || pending?.timer === undefined) return;
  deps.running.setPendingRestart(id, { backoff: pending.backoff, timer: undefined });
  try {
    await bringUp(deps, container, { signal: AbortSignal.timeout(RESTART_DEADLINE) });
  } catch (error) {
    await tryAgainLater(deps, id, error).catch((failure) => {
      log("error", "a failed restart could not be written down", {
        container: id,
        error: messageOf(failure),
      });
      scheduleRestart(deps, id, Math.max(RETRY, pending.backoff));
    });
  }
}

const RESTART_DEADLINE = 60_000;

/** A start that fails under a policy counts as an exit: what stood in its way may pass. */
async function tryAgainLater(deps: ContainerDeps, id: string, error: unknown): Promise<void> {
  const exitCode = exitCodeOfFailure(error);
  const { message } = toStartFailure(error);
  log("warn", "a restart by policy failed", { container: id, error: message });
  const delay = nextRestart(deps, id, { exitCode, ranFor: 0 });
  const failed = deps.store.update(id, ({ state, restartCount, requestedNetworks }) => ({
    starting: false,
    networks: requestedNetworks,
    restartCount: delay === undefined ? restartCount : restartCount + 1,
    state: { ...state, status: delay === undefined ? "exited" : "restarting", exitCode, error: message },
  }));
  deps.running.notifyExit(id, { exitCode, error: message });
  await afterExit(deps, failed, delay);
}
