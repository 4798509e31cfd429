/**
 * How a container starts. Everything that is made on the way is registered for its undoing in the statement that
 * makes it; only a container whose program runs takes it all over. The intent is durable before the first kernel
 * resource is made, and each resource is named after the container, so that boot can finish or undo a start that
 * was cut short.
 *
 * Whoever calls `bringUp` holds the container's lock. What happens at its end is in `exits.ts`.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { log } from "../../base/log.ts";
import { nowNano, toRfc3339 } from "../../base/times.ts";
import { type ContainerRecord, isRunning, ZERO_TIME } from "../../core/container.ts";
import { ConflictError, messageOf, NotFoundError, NotModifiedError } from "../../core/errors.ts";
import type { ContainerSandbox } from "../../core/networking.ts";
import type { MountedRoot } from "../../core/snapshots.ts";
import type { ContainerDeps, Needs, SpecInput } from "./deps.ts";
import { discardContainer } from "./discard.ts";
import { publish } from "./events.ts";
import { startingHealth } from "./health/state.ts";
import { toLogProducer, toLogSubject } from "./log-subject.ts";
import { prepareMounts } from "./mounts/prepare.ts";
import { exitCodeOfFailure, toPreparationFailure, toStartFailure } from "./start-failure.ts";
import { checkDonors, joinedContainers } from "./state/joined.ts";
import { ownContainer } from "./state/owner.ts";
import { containerDirectory, identityFiles } from "./state/paths.ts";

/**
 * `docker start`.
 * @throws NotModifiedError when it runs already; ConflictError when paused or being removed; what stood in the way
 */
export async function startContainer(
  deps: ContainerDeps,
  reference: string,
  options: { signal: AbortSignal },
): Promise<void> {
  const { id } = deps.store.get(reference);
  using _owner = await ownContainer(deps, id, options.signal);
  const container = deps.store.get(id);
  checkStartable(container);
  try {
    deps.running.setPendingRestart(id, undefined);
    await bringUp(deps, { ...container, restartCount: 0 }, options);
  } catch (error) {
    await abandonStart(deps, id, error).catch((failure) =>
      log("error", "a failed start could not be written down", { container: id, error: messageOf(failure) }),
    );
    throw error;
  }
}

function checkStartable(container: ContainerRecord): void {
  const { status } = container.state;
  if (status === "paused") {
    throw new ConflictError("cannot start a paused container, try unpause instead", {
      subject: container.id,
    });
  }
  if (isRunning(container)) {
    throw new NotModifiedError("Container is already started", { subject: container.id });
  }
  if (status === "removing" || status === "dead") {
    throw new ConflictError("container is marked for removal and cannot be started", {
      subject: container.id,
    });
  }
}

/** The start itself. On failure nothing is left but the intent in the record. @throws EngineError as the client sees it */
export async function bringUp(
  deps: ContainerDeps,
  stopped: ContainerRecord,
  options: { signal: AbortSignal },
): Promise<void> {
  const { id } = stopped;
  using start = deps.running.beginStart(id);
  const signal = AbortSignal.any([options.signal, start.signal]);
  deps.runtime.expectStart();
  const joined = joinedContainers(deps.store, stopped);
  const container = deps.store.update(id, () => ({
    starting: true,
    manuallyStopped: false,
    restartCount: stopped.restartCount,
    networks: stopped.requestedNetworks,
  }));

  await using undo = new AsyncDisposableStack();
  const root = undo.use(await mountRoot(deps, container));
  const sandbox = undo.use(await deps.sandboxes.create(container, { joined: joined.network, signal }));
  const files = writeIdentityFiles(deps, container, { sandbox, joined: joined.network });
  const prepared = undo.use(await prepareMounts(container, deps));
  const spec = await deps
    .toSpec({ container, rootfs: root.path, sandbox, prepared, files, joined })
    .catch((error) => {
      throw toPreparationFailure(error);
    });
  using output = deps.logs.prepare(toLogSubject(container));
  try {
    const task = undo.use(
      await deps.runtime.create({
        id,
        spec,
        tty: container.config.Tty ?? false,
        stdin: container.config.OpenStdin ?? false,
        stdinOnce: container.config.StdinOnce ?? false,
        logPath: output.path,
        sharedMemory: container.hostConfig.IpcMode === "shareable" ? container.hostConfig.ShmSize : undefined,
        runtime: container.hostConfig.Runtime ?? undefined,
        signal,
      }),
    );
    checkDonors(deps.running, joined);
    deps.logs.follow(toLogSubject(container), toLogProducer(task));
    await deps.running.connectAttached(id, task);
    await task.start();

    const started = deps.store.update(id, ({ state }) => ({
      starting: false,
      networks: sandbox.endpoints,
      state: {
        ...state,
        status: "running",
        pid: task.pid,
        pidStartTime: task.pidStartTime,
        exitCode: 0,
        error: "",
        oomKilled: false,
        startedAt: toRfc3339(nowNano()),
        health: startingHealth(container.config, state.health),
      },
    }));
    publish(deps.events, started, "start");
    deps.running.adopt(id, { task, sandbox, resources: undo.move() });
  } catch (error) {
    throw toStartFailure(error);
  }
}

/**
 * The directories of a snapshot may be lost with the power though the record is there. In one that never ran there was
 * nothing: it is made again. @throws NotFoundError
 */
async function mountRoot(
  deps: Needs<"paths" | "snapshots">,
  { id, layers, state }: ContainerRecord,
): Promise<MountedRoot> {
  try {
    return await deps.snapshots.mount(id);
  } catch (error) {
    if (!(error instanceof NotFoundError) || state.startedAt !== ZERO_TIME) throw error;
    log("warn", "a container that never ran has lost its file system: made again", { container: id });
    await deps.snapshots.prepare(id, layers, { mountPoints: true });
    mkdirSync(containerDirectory(deps.paths, id), { recursive: true, mode: 0o710 });
    return await deps.snapshots.mount(id);
  }
}

/** Writes the files that say who the container is. With another container's network come that container's files. */
function writeIdentityFiles(
  deps: Needs<"paths">,
  container: ContainerRecord,
  { sandbox, joined }: { sandbox: ContainerSandbox; joined: { id: string } | undefined },
): SpecInput["files"] {
  if (joined) return identityFiles(deps.paths, joined.id);
  const paths = identityFiles(deps.paths, container.id);
  const { Hostname = "", Domainname } = container.config;
  const { hosts, resolvConf } = sandbox.files;
  writeFileSync(paths.hostname, `${Domainname ? `${Hostname}.${Domainname}` : Hostname}\n`, { mode: 0o644 });
  if (hosts !== undefined) writeFileSync(paths.hosts, hosts, { mode: 0o644 });
  if (resolvConf !== undefined) writeFileSync(paths.resolvConf, resolvConf, { mode: 0o644 });
  return {
    hostname: paths.hostname,
    hosts: hosts === undefined ? undefined : paths.hosts,
    resolvConf: resolvConf === undefined ? undefined : paths.resolvConf,
  };
}

/** Writes down why a start failed; a `--rm` container is gone with that. The container's lock is held. */
async function abandonStart(deps: ContainerDeps, id: string, error: unknown): Promise<void> {
  const { message } = toStartFailure(error);
  const exitCode = exitCodeOfFailure(error);
  const failed = deps.store.update(id, ({ state, requestedNetworks }) => ({
    starting: false,
    networks: requestedNetworks,
    state: { ...state, exitCode, error: message },
  }));
  log("info", "container did not start", { container: id, error: message });
  deps.running.notifyExit(id, { exitCode, error: message });
  if (failed.hostConfig.AutoRemove) await discardContainer(deps, failed, { removeVolumes: true });
}
