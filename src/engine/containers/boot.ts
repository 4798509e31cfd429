/**
 * What a new daemon finds: containers that went on running without it, exits that happened meanwhile, and creates,
 * starts and removals that were cut short. Records and kernel are made to agree, once, before the first request:
 *
 *   1. which tasks are there, running or ended (the runtime destroys what belongs to nobody);
 *   2. those that run keep their network, root and volumes; all others' are taken down;
 *   3. each container is brought to a state that a request could have left it in.
 *
 * Restart policies go on in the background afterwards: a container that cannot start must not hold up the daemon.
 */
import { existsSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path/posix";
import { setTimeout as sleep } from "node:timers/promises";
import { log } from "../../base/log.ts";
import { msToRfc3339 } from "../../base/times.ts";
import { type ContainerRecord, ZERO_TIME } from "../../core/container.ts";
import { messageOf } from "../../core/errors.ts";
import type { Digest } from "../../core/ids.ts";
import type { ContainerSandbox } from "../../core/networking.ts";
import type { Task, TaskExit } from "../../core/runtime.ts";
import type { ContainerDeps, Needs } from "./deps.ts";
import { discardContainer } from "./discard.ts";
import { scheduleRestart, settleEnd, superviseContainers } from "./exits.ts";
import { startingHealth } from "./health/state.ts";
import { toLogProducer, toLogSubject } from "./log-subject.ts";
import { adoptImageMounts, imageLayersOf, imageSnapshotsOf } from "./mounts/image-mounts.ts";
import { volumeNamesOf } from "./mounts/populate.ts";

const FIRST_BACKOFF = 100;
/** So long the first request waits for what is being deleted; more goes on behind it. Milliseconds. */
const DELETION_GRACE = 1_000;

export interface BootOptions {
  /** Layers that images need; those of containers are added. */
  readonly imageLayers: ReadonlySet<Digest>;
}

/** Call once. Resolves when requests can be served. */
export async function bootContainers(deps: ContainerDeps, { imageLayers }: BootOptions): Promise<void> {
  superviseContainers(deps);
  const records = deps.store.list();
  const tasks = await deps.runtime.recover(new Set(records.filter(mayHaveTask).map(({ id }) => id)));
  const exits = await missedExits(deps, records, tasks);
  const survivors = records.filter(
    ({ id, starting, state }) =>
      tasks.has(id) &&
      !exits.has(id) &&
      !starting &&
      (state.status === "running" || state.status === "paused"),
  );
  const surviving = new Set<string>(survivors.map(({ id }) => id));

  // A task nobody adopts goes first: it holds the namespaces, mounts and ports that are taken down next.
  const abandoned = [...tasks].filter(([id]) => !surviving.has(id));
  await Promise.all(
    abandoned.map(([id, task]) =>
      attempt("removing what is left of a task", { container: id }, () => task[Symbol.asyncDispose]()),
    ),
  );
  const sandboxes = await attempt("taking over networks", {}, () => deps.sandboxes.recover(survivors));
  const deletion = attempt("putting snapshots in order", {}, () =>
    deps.snapshots.reconcile({
      keys: new Set<string>(records.flatMap((record) => [record.id, ...imageSnapshotsOf(record)])),
      mounted: new Set(survivors.flatMap((record) => [record.id, ...imageSnapshotsOf(record)])),
      layers: new Set([
        ...imageLayers,
        ...records.flatMap(({ layers, mounts }) => [...layers, ...imageLayersOf(mounts)]),
      ]),
    }),
  );
  await attempt("putting volumes in order", {}, () =>
    deps.volumes.recover(usesOfVolumes(records, surviving)),
  );
  await sweepDirectories(deps);

  for (const container of survivors) {
    const task = tasks.get(container.id);
    if (task) await adopt(deps, container, task, sandboxes?.get(container.id));
  }
  await attempt("taking over execs", {}, () =>
    deps.execs.recover(new Map([...tasks].filter(([id]) => surviving.has(id)))),
  );
  // Every record is in order at once; what is deleted with some of them may take its time.
  const settled = records
    .filter(({ id }) => !surviving.has(id))
    .map((container) =>
      attempt("bringing a container in order", { container: container.id }, () =>
        settle(deps, container, exits.get(container.id)),
      ),
    );
  await Promise.race([Promise.all([deletion, ...settled]), sleep(DELETION_GRACE)]);
}

/**
 * One object that cannot be put in order does not keep the daemon from serving all others: it is named in the log and
 * left for the next time. Gives back nothing then.
 */
async function attempt<T>(
  what: string,
  subject: Readonly<Record<string, string>>,
  work: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    log("error", `boot: ${what} failed; the next boot tries again`, { ...subject, error: messageOf(error) });
    return undefined;
  }
}

function usesOfVolumes(
  records: readonly ContainerRecord[],
  running: ReadonlySet<string>,
): Parameters<ContainerDeps["volumes"]["recover"]>[0] {
  return records.map(({ id, mounts }) => ({ id, running: running.has(id), volumes: volumeNamesOf(mounts) }));
}

function mayHaveTask({ starting, state }: ContainerRecord): boolean {
  return starting || state.status === "running" || state.status === "paused";
}

/**
 * Exits that nobody saw. The code is in the task's traces, which go with the task: it is in the record before that,
 * for this boot may be killed as well. A `running` container without a pid is one whose exit was noted so.
 */
async function missedExits(
  deps: Needs<"store">,
  records: readonly ContainerRecord[],
  tasks: ReadonlyMap<string, Task>,
): Promise<Map<string, TaskExit>> {
  const exits = await exitsOf(tasks);
  for (const { id, starting, state } of records) {
    if (starting || (state.status !== "running" && state.status !== "paused")) continue;
    const exit = exits.get(id);
    if (exit) noteExit(deps, id, exit);
    else if (state.pid === 0) exits.set(id, notedExit(state));
  }
  return exits;
}

/** A full disk does not keep the daemon from serving: this boot knows the exit all the same. */
function noteExit(deps: Needs<"store">, id: string, { exitCode, exitedAt, oomKilled }: TaskExit): void {
  try {
    deps.store.update(id, ({ state }) => ({
      state: { ...state, pid: 0, pidStartTime: 0, exitCode, oomKilled, finishedAt: msToRfc3339(exitedAt) },
    }));
  } catch (error) {
    log("error", "a missed exit could not be written down", {
      container: id,
      exitCode,
      error: messageOf(error),
    });
  }
}

function notedExit({ exitCode, finishedAt, oomKilled }: ContainerRecord["state"]): TaskExit {
  return { exitCode, exitedAt: Date.parse(finishedAt), oomKilled };
}

/** Tasks that ended already have settled by the next turn of the event loop. */
async function exitsOf(tasks: ReadonlyMap<string, Task>): Promise<Map<string, TaskExit>> {
  const exits = new Map<string, TaskExit>();
  for (const [id, task] of tasks) void task.exited.then((exit) => exits.set(id, exit));
  await new Promise((resolve) => setImmediate(resolve));
  return new Map(exits);
}

/**
 * Runs on as before: it is supervised, and released at its end like one that this daemon started. Whatever of it could
 * not be taken over: its process goes on, and can be stopped.
 */
async function adopt(
  deps: ContainerDeps,
  container: ContainerRecord,
  task: Task,
  known: ContainerSandbox | undefined,
): Promise<void> {
  const { id } = container;
  const sandbox = known ?? unmanaged(container);
  // A connect or disconnect that was cut short: the kernel has it, the record does not.
  if (endpointsOf(container.networks) !== endpointsOf(sandbox.endpoints)) {
    await attempt("noting what networks it has", { container: id }, async () => {
      deps.store.update(id, () => ({ networks: sandbox.endpoints }));
    });
  }
  // Whatever it was before: this daemon has not seen it healthy yet.
  const health = startingHealth(container.config, container.state.health);
  if (health) deps.store.note(id, { state: { ...deps.store.get(id).state, health } });
  const resources = new AsyncDisposableStack();
  const root = await attempt("taking over a root", { container: id }, () => deps.snapshots.mount(id));
  if (root) resources.use(root);
  const images = await attempt("taking over image mounts", { container: id }, () =>
    adoptImageMounts(container, deps.snapshots),
  );
  if (images) resources.use(images);
  resources.use(sandbox);
  resources.defer(() => deps.volumes.unmount(id));
  resources.use(task);
  await attempt("taking over a log", { container: id }, async () =>
    deps.logs.follow(toLogSubject(container), toLogProducer(task)),
  );
  deps.running.adopt(id, { task, sandbox, resources });
}

/** Stands for a network that could not be taken over. What it has in the kernel goes with the next start or boot. */
function unmanaged({ id, networks }: ContainerRecord): ContainerSandbox {
  log("error", "a container goes on without its network being looked after", { container: id });
  return {
    id,
    namespacePath: "",
    endpoints: networks,
    ports: {},
    files: {},
    environment: [],
    [Symbol.asyncDispose]: async () => {},
  };
}

function endpointsOf(networks: ContainerRecord["networks"]): string {
  return Object.entries(networks)
    .map(([name, { EndpointID }]) => `${name} ${EndpointID}`)
    .sort()
    .join();
}

async function settle(
  deps: ContainerDeps,
  container: ContainerRecord,
  exit: TaskExit | undefined,
): Promise<void> {
  await attempt("logging what it wrote", { container: container.id }, async () =>
    deps.logs.settle(toLogSubject(container)),
  );
  using _owner = await deps.locks.acquire(container.id);
  const { status } = container.state;
  if (status === "removing" || status === "dead") {
    await discardContainer(deps, container, { removeVolumes: container.removeVolumes ?? false });
  } else if (container.starting) {
    await settleInterruptedStart(deps, container);
  } else if (status === "running" || status === "paused") {
    await settleEnd(deps, container.id, exit && { exit, ranFor: undefined });
  } else if (status === "restarting") {
    scheduleRestart(deps, container.id, FIRST_BACKOFF);
  } else if (container.state.startedAt !== ZERO_TIME) {
    await settleStopped(deps, container);
  }
}

/**
 * Nobody was told that it started, so it has not: what it made is gone by now. If a policy was starting it, or
 * would restart it, it is tried again.
 */
async function settleInterruptedStart(deps: ContainerDeps, container: ContainerRecord): Promise<void> {
  const { id, hostConfig, state } = container;
  const again =
    state.status === "restarting" ||
    hostConfig.RestartPolicy?.Name === "always" ||
    hostConfig.RestartPolicy?.Name === "unless-stopped";
  const settled = deps.store.update(id, ({ state: current, requestedNetworks }) => ({
    starting: false,
    networks: requestedNetworks,
    state: {
      ...current,
      status: again ? "restarting" : current.status,
      error: again ? current.error : "the engine ended while the container was being started",
    },
  }));
  if (again) scheduleRestart(deps, id, FIRST_BACKOFF);
  else if (hostConfig.AutoRemove) await discardContainer(deps, settled, { removeVolumes: true });
}

/** `always` means also: after `docker stop`, once the daemon starts again. @see docs.docker.com on restart policies */
async function settleStopped(deps: ContainerDeps, container: ContainerRecord): Promise<void> {
  const { id, hostConfig } = container;
  if (hostConfig.AutoRemove) {
    await discardContainer(deps, container, { removeVolumes: true });
  } else if (hostConfig.RestartPolicy?.Name === "always") {
    deps.store.update(id, ({ state }) => ({ state: { ...state, status: "restarting" } }));
    scheduleRestart(deps, id, FIRST_BACKOFF);
  }
}

/** Directories of creates that never came to a record, and of removals that came to delete theirs. */
async function sweepDirectories(deps: Needs<"paths" | "store">): Promise<void> {
  const directory = join(deps.paths.dataRoot, "containers");
  const names = existsSync(directory) ? await readdir(directory) : [];
  for (const name of names) {
    if (deps.store.byId(name)) continue;
    await attempt("deleting a directory that has no owner", { container: name }, () =>
      rm(join(directory, name), { recursive: true, force: true }),
    );
  }
}
