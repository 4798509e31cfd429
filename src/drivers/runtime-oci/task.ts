/** A container's init process under its monitor, made by `OciRuntime.create` or found by `recover`. */

import {
  closeSync,
  constants,
  existsSync,
  openSync,
  rmSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { log } from "../../base/log.ts";
import { ConflictError, SystemError } from "../../core/errors.ts";
import type {
  AttachOptions,
  ExecOptions,
  ExecTask,
  StdioConnection,
  Task,
  TaskExit,
  TerminalSize,
} from "../../core/runtime.ts";
import type { RuntimeProcess, RuntimeResources } from "../../core/runtime-spec.ts";
import type { TaskUsage } from "../../core/usage.ts";
import { Cgroup, type CgroupHost } from "../../linux/cgroups.ts";
import { unmount } from "../../linux/mounts.ts";
import { isAlive, signalProcess, waitUntilGone } from "../../linux/processes.ts";
import { readInterfaces, readUsage } from "../../linux/usage.ts";
import { CLEAN_ENVIRONMENT, type RuntimeBinaries } from "./binaries.ts";
import { resizeTerminal } from "./control.ts";
import { recoverExecs, startExec } from "./exec.ts";
import type { ExitRecord, ExitWatcher } from "./exits.ts";
import { runtimeCommand } from "./host-view.ts";
import { runtimeRoot, type TaskPaths } from "./paths.ts";
import { runtimeError } from "./runtime-errors.ts";
import { toJson } from "./spec-json.ts";
import { TaskStdio } from "./stdio.ts";
import type { TaskState } from "./task-state.ts";

/** What all tasks of one engine share. */
export interface TaskHost {
  readonly execRoot: string;
  readonly cgroups: CgroupHost;
  readonly binaries: RuntimeBinaries;
  readonly exits: ExitWatcher;
  readonly monitor: string;
  /** For the monitors' console sockets. */
  readonly temporary: string;
}

const KILLED = 137;
const SIGKILL = 9;
const SIGCONT = 18;
const SIGSTOP = 19;
/** What a monitor may take on a busy host to tell an end. Milliseconds. */
const MONITOR_PATIENCE = 2000;
/** How long processes may take to die of SIGKILL before dispose gives up on them. */
const KILL_TIMEOUT = 8000;

/** A container's process with its monitor, from create to delete. */
export class OciTask implements Task {
  readonly id: string;
  readonly exited: Promise<TaskExit>;
  readonly execs = new Map<string, ExecTask>();
  readonly #host: TaskHost;
  readonly #paths: TaskPaths;
  readonly #state: TaskState;
  readonly #cgroup: Cgroup;
  readonly #stdio: TaskStdio;
  #ended = false;
  #watchingKill = false;
  #disposed: Promise<void> | undefined;

  constructor(host: TaskHost, paths: TaskPaths, state: TaskState) {
    this.id = paths.id;
    this.#host = host;
    this.#paths = paths;
    this.#state = state;
    this.#cgroup = new Cgroup(host.cgroups, state.cgroupPath);
    // A daemon that died may have held it.
    this.holdOutput(false);
    for (const exec of recoverExecs(paths.execs, paths.id)) {
      this.execs.set(exec.id, exec);
      void exec.forgotten.then(() => this.execs.delete(exec.id));
    }
    this.exited = host.exits.wait(paths.id, state.monitor).ended.then((record) => this.#settle(record));
    this.#stdio = new TaskStdio({
      directory: paths.directory,
      logPath: state.logPath,
      stdin: state.stdin,
      closable: state.stdinOnce && !state.tty,
      ended: this.exited,
    });
  }

  get pid(): number {
    return this.#state.init.pid;
  }

  get pidStartTime(): number {
    return this.#state.init.startTime;
  }

  get alive(): boolean {
    return isAlive(this.#state.init);
  }

  get started(): boolean {
    return this.#ended || !existsSync(this.#paths.execFifo);
  }

  async start(): Promise<void> {
    const binary = await this.#host.binaries.get(this.#state.runtime);
    if (binary.kind === "crun") this.#releaseInit();
    else await this.#callRuntime("start", this.id);
  }

  /** What `crun start` does: one byte to the init that waits, then the fifo goes. In this order: a crash leaves no stuck init. */
  #releaseInit(): void {
    let fifo: number;
    try {
      fifo = openSync(this.#paths.execFifo, constants.O_WRONLY | constants.O_NONBLOCK);
    } catch (error) {
      throw new SystemError("OCI runtime start failed: the container's init is gone: unknown", {
        cause: error,
        subject: this.id,
      });
    }
    try {
      writeSync(fifo, Buffer.alloc(1));
    } finally {
      closeSync(fifo);
    }
    unlinkSync(this.#paths.execFifo);
  }

  async kill(signal: number, options: { all?: boolean } = {}): Promise<void> {
    if (options.all) this.#cgroup.signalAll(signal);
    else signalProcess(this.#state.init, signal);
    if (signal !== SIGKILL) return;
    // Whoever froze it: what is frozen does not die.
    this.#cgroup.thaw();
    void this.#seeKilled();
  }

  /** The monitor tells the end; one that was stopped is woken, and one that still says nothing is ended itself. Never rejects. */
  async #seeKilled(): Promise<void> {
    if (this.#watchingKill || !(await waitUntilGone(this.#state.init, KILL_TIMEOUT))) return;
    this.#watchingKill = true;
    for (const signal of [SIGCONT, SIGKILL]) {
      await Promise.race([this.exited, sleep(MONITOR_PATIENCE)]);
      if (this.#ended) return;
      log("warn", "a monitor does not tell the end of its container", { id: this.id, signal });
      signalProcess(this.#state.monitor, signal);
    }
  }

  async pause(): Promise<void> {
    await this.#cgroup.freeze(true);
  }

  async resume(): Promise<void> {
    await this.#cgroup.freeze(false);
  }

  async resize(size: TerminalSize): Promise<void> {
    if (!this.#state.tty)
      throw new ConflictError(`container ${this.id} has no terminal`, { subject: this.id });
    resizeTerminal(this.#paths.control, size);
  }

  holdOutput(held: boolean): void {
    if (this.#ended) return;
    signalProcess(this.#state.monitor, held ? SIGSTOP : SIGCONT);
  }

  get outputReadTo(): number | undefined {
    return this.#stdio.readTo;
  }

  attach(options: AttachOptions = {}): Promise<StdioConnection> {
    return this.#stdio.attach(options);
  }

  async exec(id: string, process: RuntimeProcess, options: ExecOptions): Promise<ExecTask> {
    const binary = await this.#host.binaries.get(this.#state.runtime);
    const exec = await startExec({
      host: this.#host,
      binary,
      containerId: this.id,
      directory: join(this.#paths.execs, id),
      id,
      process,
      options,
    });
    this.execs.set(id, exec);
    void exec.forgotten.then(() => this.execs.delete(id));
    return exec;
  }

  usage(): TaskUsage {
    return {
      ...readUsage(this.#host.cgroups, this.#cgroup),
      networks: readInterfaces(this.#state.init.pid),
    };
  }

  async processIds(): Promise<number[]> {
    return this.#cgroup.processIds();
  }

  async update(resources: RuntimeResources): Promise<void> {
    // crun writes -1 as it stands, which the kernel refuses.
    const anyProcesses = resources.pids?.limit === -1;
    const anyTime = (resources.cpu?.quota ?? 0) < 0;
    const limits = {
      ...resources,
      pids: anyProcesses ? undefined : resources.pids,
      cpu: anyTime ? { ...resources.cpu, quota: undefined } : resources.cpu,
    };
    const file = `${this.#paths.directory}/resources.json`;
    writeFileSync(file, toJson(limits), { mode: 0o600 });
    await this.#callRuntime("update", "--resources", file, this.id);
    if (anyProcesses) this.#cgroup.allowAnyProcesses();
    if (anyTime) this.#cgroup.allowAnyCpuTime();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposed ??= this.#dispose();
    return this.#disposed;
  }

  async #dispose(): Promise<void> {
    try {
      // Also when init has ended: in a PID namespace that is not its own, its children outlive it.
      await killCgroup(this.#cgroup);
      if (!this.#ended) await this.#awaitEnd();
      for (const exec of this.execs.values()) await exec[Symbol.asyncDispose]();
      await this.#endMonitor();
      await removeTraces(this.#paths, this.#cgroup);
    } catch (error) {
      this.#disposed = undefined;
      throw error;
    }
  }

  /** All was killed: waits for the monitor to say so; a monitor that does not is killed as well. */
  async #awaitEnd(): Promise<void> {
    const patience = performance.now() + 2000;
    const deadline = performance.now() + KILL_TIMEOUT;
    while (!this.#ended && isAlive(this.#state.monitor)) {
      const now = performance.now();
      if (now > deadline) throw unkillableMonitor(this.id, this.#state.monitor.pid);
      if (now > patience) signalProcess(this.#state.monitor, 9);
      await Promise.race([this.exited, sleep(20)]);
    }
    await this.exited;
  }

  /** It unlinks its socket after it told the exit code: that must not be the next task's of the same id. */
  async #endMonitor(): Promise<void> {
    if (await waitUntilGone(this.#state.monitor, 1000)) return;
    signalProcess(this.#state.monitor, 9);
    await waitUntilGone(this.#state.monitor, 1000);
  }

  /** Never rejects: whatever cannot be found out, the end itself must become known. */
  async #settle(record: ExitRecord | undefined): Promise<TaskExit> {
    const oomKilled = this.#ranOutOfMemory();
    const end = record ?? (await this.#endWithoutMonitor());
    this.#ended = true;
    return { ...end, oomKilled };
  }

  #ranOutOfMemory(): boolean {
    try {
      return this.#cgroup.oomKills() > 0 || existsSync(this.#paths.oom);
    } catch (error) {
      log("warn", "cannot tell whether a container ran out of memory", { id: this.id, error });
      return existsSync(this.#paths.oom);
    }
  }

  /** The monitor was killed: nobody holds the container's stdio or will tell its exit code. It cannot go on. */
  async #endWithoutMonitor(): Promise<ExitRecord> {
    log("warn", "a container's monitor was killed; ending the container", { id: this.id });
    try {
      await killCgroup(this.#cgroup);
      writeFileSync(this.#paths.exitFile, String(KILLED), { mode: 0o600 });
    } catch (error) {
      log("error", "ending a container without its monitor failed", { id: this.id, error });
    }
    return { exitCode: KILLED, exitedAt: Date.now() };
  }

  async #callRuntime(verb: string, ...args: readonly string[]): Promise<void> {
    const binary = await this.#host.binaries.get(this.#state.runtime);
    using call = runtimeCommand(
      binary,
      this.#host.cgroups,
      "--root",
      runtimeRoot(this.#host.execRoot),
      verb,
      ...args,
    );
    const child = Bun.spawn([...call.command], {
      cwd: this.#paths.directory,
      env: { ...CLEAN_ENVIRONMENT },
      stdio: ["ignore", "ignore", "pipe"],
      timeout: 30_000,
    });
    const [text, code] = await Promise.all([child.stderr.text(), child.exited]);
    if (code === 0) return;
    if (verb === "start") throw runtimeError("create", text, this.id);
    throw new SystemError(`OCI runtime ${verb} failed: ${text.trim()}: unknown`, { subject: this.id });
  }
}

function unkillableMonitor(id: string, pid: number): SystemError {
  return new SystemError(`the monitor (pid ${pid}) of ${id} does not die of SIGKILL`, { subject: id });
}

/** @throws SystemError if processes do not die */
export async function killCgroup(cgroup: Cgroup): Promise<void> {
  if (await cgroup.killAll(KILL_TIMEOUT)) return;
  throw new SystemError(
    `processes ${cgroup.processIds().join(", ")} of ${cgroup.path} do not die of SIGKILL (unkillable in the kernel)`,
    { subject: cgroup.path },
  );
}

/**
 * Removes all that a task without processes leaves behind. The state file goes before the rest of the bundle and the
 * exit file last: whatever a crash leaves is taken for a task that was never complete, and destroyed at boot.
 *
 * It does what `crun delete` does for a stopped container (strace: it removes the cgroup from every tree, `status`
 * and `config.json`), without the 5 ms of the process.
 */
export async function removeTraces(paths: TaskPaths, cgroup: Cgroup | undefined): Promise<void> {
  if (cgroup) {
    const left = await cgroup.remove();
    if (left.length > 0)
      throw new SystemError(`cgroups are still in use: ${left.join(", ")}`, { subject: paths.id });
  }
  // Before the directory it lies in: what is in there may be somebody else's, too.
  unmount(paths.sharedMemory, { lazy: true });
  rmSync(paths.runtimeState, { recursive: true, force: true });
  rmSync(paths.state, { force: true });
  rmSync(paths.directory, { recursive: true, force: true });
  rmSync(paths.exitFile, { force: true });
}
