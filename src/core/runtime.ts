/**
 * Port: running processes. A *task* is a container's init process with its monitor; an *exec* is one more process
 * in a task. Both outlive the daemon: their monitor holds stdio, writes the log and the exit code.
 * Everything on the host is found by the task's id alone.
 */

import type { RuntimeProcess, RuntimeResources, RuntimeSpec } from "./runtime-spec.ts";
import type { HostUsage, TaskUsage } from "./usage.ts";

/** Names of runtimes that need no configuration: programs of the distribution, and Docker's name for its default. */
export const BUILT_IN_RUNTIMES = ["crun", "runc", "io.containerd.runc.v2"] as const;

export interface TaskExit {
  /** 0–255; 128 + n when a signal ended it. */
  readonly exitCode: number;
  /** When the process ended, ms since the epoch (the exit file's own time: true also when the daemon was down). */
  readonly exitedAt: number;
  readonly oomKilled: boolean;
}

/** A live connection to a process's stdio. */
export interface StdioConnection extends Disposable {
  /** Output as it comes; ends when the process closed it and all was read. Back-pressure stops only this reader. */
  readonly output: AsyncIterable<StdioChunk>;
  /** Bytes to stdin. Resolves when taken. Ignored after the process ended. */
  write(bytes: Uint8Array): Promise<void>;
  /** EOF on stdin: the client half-closed. */
  endInput(): void;
}

export interface StdioChunk {
  readonly stream: "stdout" | "stderr";
  readonly bytes: Uint8Array;
}

export interface TerminalSize {
  /** Characters. */
  readonly height: number;
  readonly width: number;
}

export interface Task extends AsyncDisposable {
  readonly id: string;
  /** Process id of the container's init in the daemon's pid namespace. */
  readonly pid: number;
  /** Field 22 of /proc/pid/stat: with the pid it names a process for all time. */
  readonly pidStartTime: number;
  /** Whether init is there: what is reached through its pid belongs to this task and not to a later process. */
  readonly alive: boolean;
  /** False for a task that was created and never started: after a crash between the two it is to be disposed of. */
  readonly started: boolean;
  /** Lets the created init run the program. @throws EngineError with the runtime's own text ("executable file not found in $PATH") */
  start(): Promise<void>;
  /** Signals init, or with `all` every process of the container. Gone already is fine. */
  kill(signal: number, options?: { all?: boolean }): Promise<void>;
  pause(): Promise<void>;
  resume(): Promise<void>;
  resize(size: TerminalSize): Promise<void>;
  /** Connects to stdio. Before `start()` nothing can be missed. `stdin`: this client writes, too. */
  attach(options?: AttachOptions): Promise<StdioConnection>;
  /** Settles once, also for a task that was recovered after its end. Never rejects. */
  readonly exited: Promise<TaskExit>;
  exec(id: string, process: RuntimeProcess, options: ExecOptions): Promise<ExecTask>;
  /** Execs that have traces on the host, running or ended, by id: what outlived the daemon. */
  readonly execs: ReadonlyMap<string, ExecTask>;
  /** Changes limits of the running container; a `pids.limit` of −1 takes that one away. @throws SystemError with the runtime's text */
  update(resources: RuntimeResources): Promise<void>;
  /** Makes the monitor write no more for a while: then the process waits, once its pipes are full. */
  holdOutput(held: boolean): void;
  /** Byte of the log file up to which all attached clients have read; undefined if there are none. */
  readonly outputReadTo: number | undefined;
  /** What it has used up to now. */
  usage(): TaskUsage;
  /** Ids of all processes inside, for `top`. */
  processIds(): Promise<number[]>;
  /** Releases all that is left on the host: runtime state, cgroup, monitor, bundle. Kills what still runs. Idempotent. */
  [Symbol.asyncDispose](): Promise<void>;
}

export interface AttachOptions {
  readonly stdin?: boolean;
}

export interface ExecOptions {
  readonly tty: boolean;
  readonly stdin: boolean;
  readonly size?: TerminalSize;
  /** Called with the connection before the process runs, so that no output is missed. Absent: detached. */
  readonly onAttach?: (stdio: StdioConnection) => void;
}

/** Disposing forgets a finished exec (it is kept until then, for its exit code), and kills a running one. */
export interface ExecTask extends AsyncDisposable {
  readonly id: string;
  readonly pid: number;
  resize(size: TerminalSize): Promise<void>;
  kill(signal: number): Promise<void>;
  readonly exited: Promise<TaskExit>;
}

export interface CreateTaskOptions {
  readonly id: string;
  readonly spec: RuntimeSpec;
  readonly tty: boolean;
  /** Keep stdin open (`-i`); otherwise it is /dev/null. */
  readonly stdin: boolean;
  /** Stdin closes with the first attached client (`StdinOnce`). */
  readonly stdinOnce: boolean;
  /** The file that the monitor appends output to, or undefined for the log driver `none`. */
  readonly logPath: string | undefined;
  /** Bytes of a /dev/shm that other containers may join, at `sharedMemoryPath`. Undefined: the spec has its own. */
  readonly sharedMemory?: number | bigint;
  /** Which configured runtime (`HostConfig.Runtime`); undefined: the default one. */
  readonly runtime: string | undefined;
  readonly signal: AbortSignal;
}

export interface RunOnceOptions {
  readonly id: string;
  readonly spec: RuntimeSpec;
  /** Which configured runtime; undefined: the default one. */
  readonly runtime: string | undefined;
  /** Aborted: everything in it is killed. */
  readonly signal: AbortSignal;
  readonly onOutput: (chunk: StdioChunk) => void | Promise<void>;
}

export interface Runtime {
  /** What the whole host has used, to compare with. */
  hostUsage(): HostUsage;
  /** The host path of a task's shared memory, for the specs of the task and of those that join it. */
  sharedMemoryPath(id: string): string;
  /** A task or an exec will be started in a moment: what takes the kernel long can begin now. Never throws. */
  expectStart(): void;
  /** Creates the container and its monitor up to the point where `start()` runs the program. On error nothing is left. */
  create(options: CreateTaskOptions): Promise<Task>;
  /**
   * Runs a program to its end as a child of this process, without a monitor: it does not outlive the daemon, and boot
   * destroys what is left of it. Input is /dev/null.
   * @throws as `create`; the signal's reason. Nothing is left when it returns or throws
   */
  runOnce(options: RunOnceOptions): Promise<Pick<TaskExit, "exitCode">>;
  /**
   * Boot: the tasks of these ids as they are now, running or ended (their `exited` settles at once), keyed by id.
   * Ids without any trace on the host are absent. Every other task found under this engine's exec root is destroyed.
   */
  recover(ids: ReadonlySet<string>): Promise<Map<string, Task>>;
  /** For `/info` and `/version`: name → path and version. */
  describe(): Promise<{
    defaultRuntime: string;
    runtimes: Record<string, { path: string; version: string }>;
    monitor: { path: string; version: string };
  }>;
}
