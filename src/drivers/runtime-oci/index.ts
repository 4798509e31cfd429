/**
 * Driver of the runtime port: crun (or runc) makes containers, conmon watches each of them and outlives the daemon.
 * Leaves to others: what is in the spec, the root file system, networks.
 *
 * On disk, below the exec root: `tasks/<id>` (bundle, pid files, sockets), `runtime/<id>` (the runtime's own),
 * `exits/<id>`. In the kernel: the cgroup of the spec's `cgroupsPath`, made by the runtime.
 */

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseExactJson } from "../../base/exact-json.ts";
import { log } from "../../base/log.ts";
import type { EnginePaths } from "../../core/config.ts";
import { ConflictError, SystemError } from "../../core/errors.ts";
import type { CreateTaskOptions, RunOnceOptions, Runtime, Task, TaskExit } from "../../core/runtime.ts";
import type { RuntimeSpec } from "../../core/runtime-spec.ts";
import type { HostUsage } from "../../core/usage.ts";
import { CgroupMoves } from "../../linux/cgroup-moves.ts";
import { Cgroup, detectCgroups, groupsBelow } from "../../linux/cgroups.ts";
import { MS, mount } from "../../linux/mounts.ts";
import { isAlive, startTimeOf } from "../../linux/processes.ts";
import { readHostUsage } from "../../linux/usage.ts";
import {
  askVersion,
  getMonitor,
  RuntimeBinaries,
  type RuntimeBinary,
  type RuntimeConfiguration,
} from "./binaries.ts";
import { within } from "./deadline.ts";
import { ExitWatcher } from "./exits.ts";
import { runtimeCommand } from "./host-view.ts";
import { type MonitorMessage, monitorErrors, startMonitor } from "./monitor.ts";
import { exitsDirectory, runtimeRoot, TaskPaths, tasksDirectory } from "./paths.ts";
import { runOnce } from "./run-once.ts";
import { runtimeError } from "./runtime-errors.ts";
import { withSeccompProgram } from "./seccomp-program.ts";
import { toJson } from "./spec-json.ts";
import { killCgroup, OciTask, removeTraces, type TaskHost } from "./task.ts";
import { bootId, readTaskState, writeTaskState } from "./task-state.ts";
import { endWorkers } from "./workers.ts";

export interface OciRuntimeOptions {
  readonly paths: Pick<EnginePaths, "execRoot" | "instance">;
  /** As it is now: it may be reloaded. */
  readonly configuration: () => RuntimeConfiguration;
}

/** The group below which all containers of an engine lie, unless `--cgroup-parent` says otherwise. */
export function engineCgroup(instance: string): string {
  return `/gantry-${instance}`;
}

/** Containers by an OCI runtime (crun or runc), each under a conmon of its own. */
export class OciRuntime implements Runtime, Disposable {
  readonly #host: TaskHost;
  readonly #instance: string;
  readonly #moves: CgroupMoves;

  /** @throws SystemError if conmon is missing */
  constructor({ paths, configuration }: OciRuntimeOptions) {
    const { execRoot, instance } = paths;
    for (const directory of [tasksDirectory(execRoot), exitsDirectory(execRoot), runtimeRoot(execRoot)]) {
      mkdirSync(directory, { recursive: true, mode: 0o700 });
    }
    this.#instance = instance;
    const cgroups = detectCgroups();
    this.#moves = new CgroupMoves(cgroups);
    this.#host = {
      execRoot,
      cgroups,
      binaries: new RuntimeBinaries(configuration),
      exits: new ExitWatcher(exitsDirectory(execRoot)),
      monitor: getMonitor(),
      // conmon names its console socket `conmon-term.XXXXXX` in there, and cuts a longer address without a word.
      temporary: execRoot.length < 80 ? execRoot : "/run",
    };
  }

  hostUsage(): HostUsage {
    return readHostUsage();
  }

  expectStart(): void {
    this.#moves.expect();
  }

  async create(options: CreateTaskOptions): Promise<Task> {
    const { id, spec, signal } = options;
    const binary = await this.#host.binaries.get(options.runtime);
    signal.throwIfAborted();

    const paths = new TaskPaths(this.#host.execRoot, id);
    const cgroup = new Cgroup(this.#host.cgroups, spec.linux.cgroupsPath);
    await this.#clearWay(paths, cgroup);
    await using undo = new AsyncDisposableStack();
    undo.defer(() => this.#destroy(paths, cgroup));
    mkdirSync(paths.directory, { mode: 0o700 });
    rmSync(paths.exitFile, { force: true });
    if (options.sharedMemory !== undefined) mountSharedMemory(paths, options.sharedMemory);
    const written = binary.kind === "crun" ? withSeccompProgram(spec) : spec;
    writeFileSync(paths.config, toJson(written), { mode: 0o600 });

    const pid = await this.#runMonitor(paths, binary, options);
    const monitorPid = Number(readFileSync(paths.monitorPid, "utf8"));
    const init = { pid, startTime: startTimeOf(pid) };
    const monitor = { pid: monitorPid, startTime: startTimeOf(monitorPid) };
    if (init.startTime === undefined || monitor.startTime === undefined)
      throw monitorErrors(paths.monitorLog);
    const state = {
      bootId: bootId(),
      init: { pid, startTime: init.startTime },
      monitor: { pid: monitorPid, startTime: monitor.startTime },
      runtime: options.runtime ?? this.#host.binaries.defaultName,
      cgroupPath: spec.linux.cgroupsPath,
      tty: options.tty,
      stdin: options.stdin,
      stdinOnce: options.stdinOnce,
      logPath: options.logPath,
    };
    writeTaskState(paths, state);
    const task = new OciTask(this.#host, paths, state);
    undo.move();
    return task;
  }

  /** What an end left that could not be removed then may go now. @throws ConflictError; SystemError if it does not go */
  async #clearWay(paths: TaskPaths, cgroup: Cgroup): Promise<void> {
    if (!existsSync(paths.directory)) return;
    const state = readTaskState(paths);
    if (state && isAlive(state.init)) {
      throw new ConflictError(`a task of container ${paths.id} exists already`, { subject: paths.id });
    }
    await this.#destroy(paths, state ? new Cgroup(this.#host.cgroups, state.cgroupPath) : cgroup);
  }

  /** The pid of the created init. @throws SystemError with the runtime's text in Docker's words */
  async #runMonitor(paths: TaskPaths, binary: RuntimeBinary, options: CreateTaskOptions): Promise<number> {
    const root = runtimeRoot(this.#host.execRoot);
    using runtime = runtimeCommand(binary, this.#host.cgroups, "--root", root);
    const [program, ...args] = runtime.command;
    using monitor = startMonitor({
      monitor: this.#host.monitor,
      directory: paths.directory,
      logFile: paths.monitorLog,
      temporary: this.#host.temporary,
      args: [
        ...["--api-version", "1", "-c", paths.id, "-u", paths.id, "-r", program],
        ...args.map((arg) => `--runtime-arg=${arg}`),
        ...["-b", paths.directory, "-p", paths.initPid, "-P", paths.monitorPid],
        ...["--exit-dir", exitsDirectory(this.#host.execRoot), "--full-attach", "--no-sync-log"],
        ...["-l", logOption(options.logPath)],
        ...(options.tty ? ["-t"] : []),
        ...(options.stdin ? ["-i"] : []),
        // conmon closes stdin when any client goes, unless told not to; a terminal stays open.
        ...(options.stdin && (!options.stdinOnce || options.tty) ? ["--leave-stdin-open"] : []),
      ],
    });
    const [message] = await within(Promise.all([monitor.next(), monitor.detached]), {
      what: `creating container ${paths.id}`,
      signal: options.signal,
    });
    return pidFrom(message, paths, options.spec);
  }

  async runOnce(options: RunOnceOptions): Promise<Pick<TaskExit, "exitCode">> {
    const { id, spec } = options;
    const binary = await this.#host.binaries.get(options.runtime);
    const paths = new TaskPaths(this.#host.execRoot, id);
    const cgroup = new Cgroup(this.#host.cgroups, spec.linux.cgroupsPath);
    mkdirSync(paths.directory, { mode: 0o700 });
    try {
      const written = binary.kind === "crun" ? withSeccompProgram(spec) : spec;
      writeFileSync(paths.config, toJson(written), { mode: 0o600 });
      return await runOnce(options, { paths, binary, cgroup, host: this.#host });
    } finally {
      await killCgroup(cgroup);
      await removeTraces(paths, cgroup);
    }
  }

  sharedMemoryPath(id: string): string {
    return new TaskPaths(this.#host.execRoot, id).sharedMemory;
  }

  async recover(ids: ReadonlySet<string>): Promise<Map<string, Task>> {
    const tasks = new Map<string, Task>();
    const found = new Set(readdirSync(tasksDirectory(this.#host.execRoot)));
    for (const name of readdirSync(runtimeRoot(this.#host.execRoot))) found.add(name);
    const known = new Set<string>();
    for (const id of found) {
      const paths = new TaskPaths(this.#host.execRoot, id);
      try {
        const state = ids.has(id) ? readTaskState(paths) : undefined;
        if (state && state.bootId === bootId()) {
          known.add(state.cgroupPath);
          tasks.set(id, new OciTask(this.#host, paths, state));
        } else {
          await this.#destroyUnknown(paths);
        }
      } catch (error) {
        log("error", "a task could not be recovered; the next start tries again", { id, error });
      }
    }
    for (const name of readdirSync(exitsDirectory(this.#host.execRoot))) {
      if (!tasks.has(name)) rmSync(join(exitsDirectory(this.#host.execRoot), name), { force: true });
    }
    await this.#removeUnknownCgroups(known);
    return tasks;
  }

  async #destroyUnknown(paths: TaskPaths): Promise<void> {
    log("info", "destroying a task that has no owner", { id: paths.id });
    const cgroupPath = cgroupOf(paths) ?? `${engineCgroup(this.#instance)}/${paths.id}`;
    await this.#destroy(paths, new Cgroup(this.#host.cgroups, cgroupPath));
  }

  async #removeUnknownCgroups(known: ReadonlySet<string>): Promise<void> {
    const parent = engineCgroup(this.#instance);
    for (const name of groupsBelow(this.#host.cgroups, parent)) {
      const path = `${parent}/${name}`;
      if (known.has(path)) continue;
      const cgroup = new Cgroup(this.#host.cgroups, path);
      try {
        await killCgroup(cgroup);
        await cgroup.remove();
      } catch (error) {
        log("error", "a cgroup that has no owner could not be removed", { path, error });
      }
    }
  }

  /** Ends and removes a task of which nothing is certain: a create that failed, or what a dead daemon left half-made. */
  async #destroy(paths: TaskPaths, cgroup: Cgroup): Promise<void> {
    await endWorkers(paths.directory);
    await killCgroup(cgroup);
    await removeTraces(paths, cgroup);
  }

  async describe(): ReturnType<Runtime["describe"]> {
    const { binaries, monitor } = this.#host;
    const runtimes: Record<string, { path: string; version: string }> = {};
    for (const name of binaries.names()) {
      try {
        const { path, version } = await binaries.get(name);
        runtimes[name] = { path, version };
      } catch (error) {
        log("warn", "a configured runtime cannot be used", { runtime: name, error });
      }
    }
    const { version } = await askVersion(monitor);
    return { defaultRuntime: binaries.defaultName, runtimes, monitor: { path: monitor, version } };
  }

  /** The daemon stops; containers go on. The engine's own group goes if no container is left in it. */
  [Symbol.dispose](): void {
    this.#host.exits[Symbol.dispose]();
    new Cgroup(this.#host.cgroups, engineCgroup(this.#instance)).removeIfEmpty();
  }
}

function mountSharedMemory(paths: TaskPaths, size: number | bigint): void {
  mkdirSync(paths.sharedMemory);
  mount({
    source: "shm",
    target: paths.sharedMemory,
    type: "tmpfs",
    flags: MS.NOSUID | MS.NODEV | MS.NOEXEC,
    data: `mode=1777,size=${size}`,
  });
}

function pidFrom(message: MonitorMessage | undefined, paths: TaskPaths, spec: RuntimeSpec): number {
  if (message === undefined) throw monitorErrors(paths.monitorLog);
  if (message.data > 0) return message.data;
  throw runtimeError("create", message.message ?? "", spec.process.args[0] ?? "");
}

/** @throws SystemError: conmon splits its option at colons */
function logOption(path: string | undefined): string {
  if (path === undefined) return "none";
  if (path.includes(":"))
    throw new SystemError("the data root must not have a colon in its path", { subject: path });
  return `k8s-file:${path}`;
}

/** The cgroup that the bundle's spec names, if it was written. */
function cgroupOf(paths: TaskPaths): string | undefined {
  try {
    const spec = parseExactJson(readFileSync(paths.config, "utf8")) as RuntimeSpec;
    return spec.linux.cgroupsPath;
  } catch {
    return undefined;
  }
}
