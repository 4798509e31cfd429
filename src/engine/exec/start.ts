/**
 * `POST /exec/{id}/start`: runs the process, with a client on its stdio or without one. When the client sees the
 * end of the stream, the exit code can be asked for.
 */
import type { ContainerRecord } from "../../core/container.ts";
import { ConflictError, messageOf, NotFoundError } from "../../core/errors.ts";
import type { StdioConnection, TerminalSize } from "../../core/runtime.ts";
import { publish } from "../containers/events.ts";
import { StartError, toStartFailure } from "../containers/start-failure.ts";
import type { RunningContainer } from "../containers/state/running.ts";
import { type StdioClient, serveStdio } from "../containers/streams/stdio.ts";
import { commandText, getExecutable } from "./create.ts";
import type { ExecDeps } from "./deps.ts";
import { recordEnd, seeExecOut } from "./ends.ts";
import { execProcess } from "./process.ts";
import type { Exec } from "./store.ts";

/** A child that holds the output open must not hold the client: so long it is read on after the exit. Milliseconds. */
const OUTPUT_GRACE = 2_000;

/** What kept the process from running is not known, unlike for a container: "cannot invoke". @see moby daemon/exec.go */
const NEVER_RAN = 126;

export interface ExecSession {
  readonly exec: Exec;
  /** Runs it for a client. Errors of the start are told to the client in-band, as Docker does. Never rejects. */
  serve(client: StdioClient): Promise<void>;
  /** The same, but @throws EngineError when it cannot be run */
  attach(client: StdioClient): Promise<void>;
  /** Runs it alone; settles when it runs. @throws EngineError when it cannot be run */
  detach(): Promise<void>;
}

/** Takes the exec: it can be started once. @throws NotFoundError; ConflictError */
export function openExec(
  deps: ExecDeps,
  id: string,
  { consoleSize }: { consoleSize?: TerminalSize } = {},
): ExecSession {
  const exec = deps.execs.get(id);
  if (!exec) throw noSuchExec(id);
  const container = deps.store.byId(exec.containerId);
  if (!container) throw noSuchExec(id);
  if (exec.state !== "created") {
    const what = exec.state === "running" ? "is already running" : "has already run";
    throw new ConflictError(`Error: Exec command ${id} ${what}`, { subject: id });
  }
  const running = getExecutable(deps, container);
  deps.runtime.expectStart();
  deps.execs.put({ ...exec, state: "running" });
  const size = consoleSize ?? exec.config.consoleSize;
  const work = { exec, container, running, size };
  return {
    exec,
    serve: (client) => serve(deps, work, client),
    attach: (client) => attach(deps, work, client),
    async detach() {
      await run(deps, work, undefined);
    },
  };
}

/** In dockerd's words. */
export function noSuchExec(id: string): NotFoundError {
  return new NotFoundError(`No such exec instance: ${id}`, { subject: id });
}

interface Work {
  readonly exec: Exec;
  readonly container: ContainerRecord;
  readonly running: RunningContainer;
  readonly size: TerminalSize | undefined;
}

async function serve(deps: ExecDeps, work: Work, client: StdioClient): Promise<void> {
  try {
    await attach(deps, work, client);
  } catch (error) {
    await client.write({ stream: "stdout", bytes: new TextEncoder().encode(`${messageOf(error)}\r\n`) });
  }
}

async function attach(deps: ExecDeps, work: Work, client: StdioClient): Promise<void> {
  const { config } = work.exec;
  const { promise: connected, resolve: connect } = Promise.withResolvers<StdioConnection>();
  using ends = new DisposableStack();
  const { ended } = await run(deps, work, (stdio) => connect(ends.use(stdio)));
  const stdio = await connected;
  const served = serveStdio(stdio, client, {
    wants: (stream) => (stream === "stdout" ? config.attachStdout || config.tty : config.attachStderr),
    stdin: config.attachStdin,
    closeStdin: !config.tty,
  });
  const overdue = ended.then(() => Bun.sleep(OUTPUT_GRACE)).then(() => "ended" as const);
  const outcome = await Promise.race([served, overdue]);
  if (outcome === "ended") await Promise.race([ended, client.closed]);
  if (outcome === "detached") {
    publish(deps.events, work.container, "exec_detach", { execID: work.exec.id });
  }
}

interface Started {
  /** Settles when the exit code was written down. */
  readonly ended: Promise<void>;
}

/** Settles when the process runs. @throws EngineError when it cannot; the exec has ended then, with its exit code */
async function run(
  deps: ExecDeps,
  { exec, container, running, size }: Work,
  onAttach: ((stdio: StdioConnection) => void) | undefined,
): Promise<Started> {
  const { config, id } = exec;
  publish(deps.events, container, `exec_start: ${commandText(config)}`, { execID: id });
  try {
    const process = await execProcess(deps, config, { container, running, size });
    // Durable before the process runs. With a client that can wait until it is connected: the monitor comes up meanwhile.
    if (!onAttach) deps.execs.persist(exec);
    const task = await running.task.exec(id, process, {
      tty: config.tty,
      stdin: config.attachStdin && onAttach !== undefined,
      size,
      onAttach:
        onAttach &&
        ((stdio) => {
          onAttach(stdio);
          deps.execs.persist(exec);
        }),
    });
    deps.execs.put({ ...exec, state: "running", task, pid: task.pid });
    return { ended: seeExecOut(deps, exec, task) };
  } catch (error) {
    const failure = toStartFailure(error);
    deps.execs.forget(id);
    recordEnd(deps, exec, failure instanceof StartError ? failure.exitCode : NEVER_RAN);
    throw failure;
  }
}
