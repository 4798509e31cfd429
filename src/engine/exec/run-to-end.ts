/** An exec that the engine itself runs, as health checks are. One that takes too long is killed, and waited for. */
import { LONGEST_TIMER } from "../../base/timers.ts";
import type { StdioClient } from "../containers/streams/stdio.ts";
import { createExec } from "./create.ts";
import type { ExecDeps } from "./deps.ts";
import { type ExecSession, openExec } from "./start.ts";

const SIGKILL = 9;

/**
 * Gives the exit code; undefined if it took longer than `timeout` milliseconds.
 * @throws EngineError when it cannot be run
 */
export async function runToEnd(
  deps: ExecDeps,
  containerId: string,
  command: readonly string[],
  { output, timeout }: { output: StdioClient; timeout: number },
): Promise<number | undefined> {
  const id = await createExec(deps, containerId, {
    cmd: command,
    env: [],
    user: "",
    workingDir: "",
    privileged: false,
    tty: false,
    attachStdin: false,
    attachStdout: true,
    attachStderr: true,
  });
  const session = openExec(deps, id);
  if (await endsWithin(timeout, session.attach(output))) return deps.execs.get(id)?.exitCode;
  await kill(deps, session);
  return undefined;
}

async function endsWithin(milliseconds: number, work: Promise<void>): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<false>();
  const timer = setTimeout(() => resolve(false), Math.min(milliseconds, LONGEST_TIMER));
  try {
    return await Promise.race([work.then(() => true as const), late]);
  } finally {
    clearTimeout(timer);
    work.catch(() => {});
  }
}

async function kill(deps: Pick<ExecDeps, "execs">, { exec }: ExecSession): Promise<void> {
  const task = deps.execs.get(exec.id)?.task;
  await task?.kill(SIGKILL);
  await task?.exited;
}
