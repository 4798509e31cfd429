/**
 * One more process in a container, under a monitor of its own, so that it outlives the daemon.
 *
 * Order, so that no output is missed (conmon's protocol): the monitor makes its socket and says so on the attach
 * pipe; the daemon connects; only then does a byte on the start pipe let it call the runtime. The sync socket then
 * tells the pid, or the runtime's error, and at last the exit code. The exit code is in a file as well, for the next
 * daemon.
 */
import {
  closeSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { replaceFile } from "../../base/durable.ts";
import { log } from "../../base/log.ts";
import type { ExecOptions, ExecTask, StdioConnection, TaskExit, TerminalSize } from "../../core/runtime.ts";
import type { RuntimeProcess } from "../../core/runtime-spec.ts";
import type { CgroupHost } from "../../linux/cgroups.ts";
import { openPipe } from "../../linux/files.ts";
import { isAlive, type ProcessIdentity, signalProcess, startTimeOf } from "../../linux/processes.ts";
import { socketPair } from "../../linux/sockets.ts";
import { AttachSocket } from "./attach-socket.ts";
import type { RuntimeBinary } from "./binaries.ts";
import { ChunkQueue } from "./chunk-queue.ts";
import { resizeTerminal } from "./control.ts";
import { within } from "./deadline.ts";
import { type ExitRecord, ExitWatcher, readExit } from "./exits.ts";
import { plainCommand } from "./host-view.ts";
import {
  type MonitorConnection,
  type MonitorMessage,
  MonitorMessages,
  monitorErrors,
  startMonitor,
} from "./monitor.ts";
import { runtimeRoot } from "./paths.ts";
import { runtimeError } from "./runtime-errors.ts";
import { toJson } from "./spec-json.ts";
import { readState } from "./task-state.ts";
import { endWorkers } from "./workers.ts";

export interface StartExec {
  readonly host: {
    readonly execRoot: string;
    readonly cgroups: CgroupHost;
    readonly monitor: string;
    readonly temporary: string;
  };
  readonly binary: RuntimeBinary;
  readonly containerId: string;
  readonly id: string;
  /** Where the monitor works. */
  readonly directory: string;
  readonly process: RuntimeProcess;
  readonly options: ExecOptions;
}

const KILLED = 137;
/** Of an exec that runs: what the next daemon has to know. */
const STATE_FILE = "exec.json";

/** @throws SystemError with the runtime's text in Docker's words; nothing is left then */
export async function startExec(request: StartExec): Promise<OciExec> {
  const { host, directory, containerId, options, process } = request;
  await using undo = new AsyncDisposableStack();
  undo.defer(() => rmSync(directory, { recursive: true, force: true }));
  mkdirSync(exitDirectory(directory), { recursive: true, mode: 0o700 });
  writeFileSync(join(directory, "process.json"), toJson(process), { mode: 0o600 });

  const command = plainCommand(request.binary, "--root", runtimeRoot(host.execRoot));
  const { monitor, message } = await untilRuntimeAnswers(request, command);
  undo.use(monitor);
  if (message === undefined) throw monitorErrors(join(directory, "conmon.log"));
  if (message.data <= 0) throw runtimeError("exec", message.message ?? "", process.args[0] ?? "");

  const state = toState(directory, message.data);
  const ended = monitor.next().then((end) => {
    monitor[Symbol.dispose]();
    return end
      ? { exitCode: end.data & 0xff, exitedAt: Date.now() }
      : endWithoutMonitor(directory, containerId, state);
  });
  const exec = new OciExec(request.id, directory, state, ended);
  if (options.size && options.tty) await exec.resize(options.size);
  undo.move();
  return exec;
}

/** @throws SystemError when it takes too long: then nothing works on it any more */
async function untilRuntimeAnswers(
  request: StartExec,
  command: readonly string[],
): Promise<{ monitor: MonitorConnection; message: MonitorMessage | undefined }> {
  try {
    const monitor = await launch(request, command);
    const message = await within(monitor.next(), { what: `exec in container ${request.containerId}` });
    return { monitor, message };
  } catch (error) {
    await endWorkers(request.directory);
    throw error;
  }
}

/** Starts the monitor and, with a client to attach, connects it before the process runs. */
async function launch(request: StartExec, command: readonly string[]): Promise<MonitorConnection> {
  const { host, options, directory } = request;
  using ends = new DisposableStack();
  const start = openPipe(4096);
  for (const fd of [start.readEnd, start.writeEnd]) ends.adopt(fd, closeSync);
  const announcement = options.onAttach && ends.use(new Announcement());
  const letGo = (): number => writeSync(start.writeEnd, "\0");
  // The first byte lets the monitor begin, the second lets it call the runtime.
  letGo();
  const monitor = startMonitor({
    monitor: host.monitor,
    directory,
    logFile: join(directory, "conmon.log"),
    temporary: host.temporary,
    args: monitorArguments(request, command),
    pipes: [
      { variable: "_OCI_STARTPIPE", fd: start.readEnd },
      ...(announcement ? [{ variable: "_OCI_ATTACHPIPE", fd: announcement.fd }] : []),
    ],
  });
  if (!announcement) return monitor;
  try {
    if (!(await announcement.received())) throw monitorErrors(join(directory, "conmon.log"));
    options.onAttach?.(await connectStdio(directory, options));
    letGo();
    return monitor;
  } catch (error) {
    monitor[Symbol.dispose]();
    throw error;
  }
}

/** Where the monitor says that its socket can be connected to. */
class Announcement implements Disposable {
  /** The monitor's end. */
  readonly fd: number;
  readonly #messages: MonitorMessages;
  #handedOver = false;

  constructor() {
    const { ours, theirs } = socketPair();
    this.fd = theirs;
    this.#messages = new MonitorMessages(ours);
  }

  /** Once the monitor has its end. False if it ended without a word. */
  async received(): Promise<boolean> {
    this.#handOver();
    const message = await within(this.#messages.next(), { what: "starting the monitor of an exec" });
    return message !== undefined;
  }

  /** With our copy gone, the end of the monitor is the end of the connection. */
  #handOver(): void {
    if (!this.#handedOver) closeSync(this.fd);
    this.#handedOver = true;
  }

  [Symbol.dispose](): void {
    this.#handOver();
    this.#messages.close();
  }
}

function monitorArguments(
  { containerId, id, directory, options }: StartExec,
  [program = "", ...args]: readonly string[],
): string[] {
  return [
    ...["--api-version", "1", "-c", containerId, "-u", id, "-r", program],
    ...args.map((arg) => `--runtime-arg=${arg}`),
    ...["-b", directory, "-p", join(directory, "init.pid"), "-P", join(directory, "conmon.pid")],
    ...["--exit-dir", exitDirectory(directory), "--full-attach", "--no-sync-log", "-l", "none"],
    ...["-e", "--exec-process-spec", join(directory, "process.json")],
    ...(options.onAttach ? ["--exec-attach"] : []),
    ...(options.tty ? ["-t", "--leave-stdin-open"] : []),
    ...(options.stdin ? ["-i"] : []),
  ];
}

/** The only client of an exec: its output goes nowhere else, so a client that does not read holds the process back. */
async function connectStdio(directory: string, { stdin, tty }: ExecOptions): Promise<StdioConnection> {
  const queue = new ChunkQueue(() => socket.hold(queue.full));
  const socket = await AttachSocket.connect(directory, (chunk) => queue.push(chunk));
  void socket.closed.then(() => queue.end());
  return {
    output: queue.read(),
    write: async (bytes) => {
      if (stdin) await socket.write(bytes);
    },
    endInput: () => {
      if (stdin && !tty) socket.endInput();
    },
    [Symbol.dispose]: () => {
      queue.cancel();
      socket[Symbol.dispose]();
    },
  };
}

class OciExec implements ExecTask {
  readonly id: string;
  readonly exited: Promise<TaskExit>;
  readonly #directory: string;
  readonly #state: ExecState;
  readonly #forgotten = Promise.withResolvers<void>();
  #ended = false;

  constructor(id: string, directory: string, state: ExecState, ended: Promise<ExitRecord>) {
    this.id = id;
    this.#directory = directory;
    this.#state = state;
    this.exited = ended.then((record) => {
      this.#ended = true;
      return { ...record, oomKilled: false };
    });
  }

  get pid(): number {
    return this.#state.init.pid;
  }

  /** Settles when nothing is left of it. */
  get forgotten(): Promise<void> {
    return this.#forgotten.promise;
  }

  async resize(size: TerminalSize): Promise<void> {
    resizeTerminal(join(this.#directory, "ctl"), size);
  }

  async kill(signal: number): Promise<void> {
    signalProcess(this.#state.init, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#ended) {
      signalProcess(this.#state.init, 9);
      await Promise.race([this.exited, Bun.sleep(2000)]);
      signalProcess(this.#state.monitor, 9);
    }
    rmSync(this.#directory, { recursive: true, force: true });
    this.#forgotten.resolve();
  }
}

/** What the next daemon has to know. */
interface ExecState {
  readonly init: ProcessIdentity;
  readonly monitor: ProcessIdentity;
}

/** Notes who is who. The process may have ended already: then its start time is unknown, and it is never signalled. */
function toState(directory: string, pid: number): ExecState {
  const monitorPid = Number(readFileSync(join(directory, "conmon.pid"), "utf8"));
  const identify = (id: number): ProcessIdentity => ({ pid: id, startTime: startTimeOf(id) ?? -1 });
  const state = { init: identify(pid), monitor: identify(monitorPid) };
  replaceFile(join(directory, STATE_FILE), JSON.stringify(state));
  return state;
}

/** The execs of a container that a dead daemon left, running or ended; half-made ones are removed. */
export function recoverExecs(directory: string, containerId: string): OciExec[] {
  const names = existsSync(directory) ? readdirSync(directory) : [];
  return names.flatMap((id) => {
    try {
      return recoverExec(id, join(directory, id), containerId) ?? [];
    } catch (error) {
      log("error", "an exec could not be recovered", { container: containerId, exec: id, error });
      return [];
    }
  });
}

function recoverExec(id: string, place: string, containerId: string): OciExec | undefined {
  const state = readState<ExecState>(join(place, STATE_FILE));
  if (!state) {
    rmSync(place, { recursive: true, force: true });
    return undefined;
  }
  const watcher = new ExitWatcher(exitDirectory(place));
  const ended = watcher.wait(containerId, state.monitor).ended.then((record) => {
    watcher[Symbol.dispose]();
    return record ?? endWithoutMonitor(place, containerId, state);
  });
  return new OciExec(id, place, state, ended);
}

/** The monitor went without a word: perhaps it wrote the code before it was killed; if not, the process cannot go on. */
function endWithoutMonitor(directory: string, containerId: string, state: ExecState): ExitRecord {
  const record = readExit(join(exitDirectory(directory), containerId));
  if (record) return record;
  if (isAlive(state.init)) signalProcess(state.init, 9);
  return { exitCode: KILLED, exitedAt: Date.now() };
}

/** conmon names the exit file after the container: each exec needs a directory of its own. */
function exitDirectory(directory: string): string {
  return join(directory, "exit");
}
