/**
 * One run of a health check: an exec in the container whose output is kept up to a bound. A check that takes too long
 * is killed, and waited for: checks that hang must not pile up.
 */
import { nowNano, toRfc3339 } from "../../../base/times.ts";
import type { ContainerRecord, HealthResult } from "../../../core/container.ts";
import { messageOf } from "../../../core/errors.ts";
import { createExec } from "../../exec/create.ts";
import { type ExecSession, openExec } from "../../exec/start.ts";
import type { ContainerDeps } from "../deps.ts";
import type { StdioClient } from "../streams/stdio.ts";
import type { HealthRules } from "./state.ts";

/** Bytes of output that are kept of a run; what comes after is read and thrown away. */
const KEPT_OUTPUT = 4096;
/** The exit code of a check that gave none: it could not be run, or took too long. */
const NO_EXIT_CODE = -1;
const SIGKILL = 9;

/** Never rejects: that a check cannot be run is a result. */
export async function runProbe(
  deps: ContainerDeps,
  container: ContainerRecord,
  rules: HealthRules,
): Promise<HealthResult> {
  const start = toRfc3339(nowNano());
  const finish = (exitCode: number, output: string): HealthResult => ({
    start,
    end: toRfc3339(nowNano()),
    exitCode,
    output,
  });
  try {
    const session = openExec(deps, await createProbe(deps, container, rules));
    const output = new KeptOutput();
    const inTime = await endsWithin(rules.timeout, session.attach(output.client));
    if (!inTime) {
      await killProbe(deps, session);
      return finish(NO_EXIT_CODE, timeoutMessage(rules.timeout, output.text()));
    }
    return finish(deps.execs.get(session.exec.id)?.exitCode ?? NO_EXIT_CODE, output.text());
  } catch (error) {
    return finish(NO_EXIT_CODE, messageOf(error));
  }
}

function createProbe(
  deps: ContainerDeps,
  { id }: ContainerRecord,
  { command }: HealthRules,
): Promise<string> {
  return createExec(deps, id, {
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

/** What setTimeout takes; longer ones would fire at once. Milliseconds. */
export const LONGEST_TIMER = 2 ** 31 - 1;

async function killProbe(deps: ContainerDeps, { exec }: ExecSession): Promise<void> {
  const task = deps.execs.get(exec.id)?.task;
  await task?.kill(SIGKILL);
  await task?.exited;
}

/** In moby's words, with Go's way to write a duration. */
function timeoutMessage(milliseconds: number, output: string): string {
  const message = `Health check exceeded timeout (${toGoDuration(milliseconds)})`;
  return output === "" ? message : `${message}: ${output}`;
}

/** `1m30s`, `500ms`. @see Go time.Duration.String */
export function toGoDuration(milliseconds: number): string {
  if (milliseconds < 1000) return `${milliseconds}ms`;
  const hours = Math.floor(milliseconds / 3_600_000);
  const minutes = Math.floor((milliseconds % 3_600_000) / 60_000);
  const seconds = Number(((milliseconds % 60_000) / 1000).toFixed(9));
  return `${hours > 0 ? `${hours}h` : ""}${hours > 0 || minutes > 0 ? `${minutes}m` : ""}${seconds}s`;
}

/** Stands where a client would: takes both streams as they come. */
class KeptOutput {
  readonly #bytes = new Uint8Array(KEPT_OUTPUT);
  #length = 0;
  #cut = false;

  readonly client: StdioClient = {
    input: noInput(),
    write: async ({ bytes }) => {
      const kept = bytes.subarray(0, KEPT_OUTPUT - this.#length);
      this.#bytes.set(kept, this.#length);
      this.#length += kept.length;
      if (kept.length < bytes.length) this.#cut = true;
    },
    closed: new Promise(() => {}),
    detached: new Promise(() => {}),
  };

  text(): string {
    const text = new TextDecoder().decode(this.#bytes.subarray(0, this.#length));
    return this.#cut ? `${text}...` : text;
  }
}

async function* noInput(): AsyncGenerator<Uint8Array> {}
