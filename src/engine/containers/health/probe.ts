/**
 * One run of a health check: an exec in the container whose output is kept up to a bound. A check that takes too long
 * is killed, and waited for: checks that hang must not pile up.
 */
import { nowNano, toRfc3339 } from "../../../base/times.ts";
import type { ContainerRecord, HealthResult } from "../../../core/container.ts";
import { messageOf } from "../../../core/errors.ts";
import type { Needs } from "../deps.ts";
import type { StdioClient } from "../streams/stdio.ts";
import type { HealthRules } from "./state.ts";

/** Bytes of output that are kept of a run; what comes after is read and thrown away. */
const KEPT_OUTPUT = 4096;
/** The exit code of a check that gave none: it could not be run, or took too long. */
const NO_EXIT_CODE = -1;

/** Never rejects: that a check cannot be run is a result. */
export async function runProbe(
  deps: Needs<"execs">,
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
    const output = new KeptOutput();
    const exitCode = await deps.execs.runToEnd(container.id, rules.command, {
      output: output.client,
      timeout: rules.timeout,
    });
    return exitCode === undefined
      ? finish(NO_EXIT_CODE, timeoutMessage(rules.timeout, output.text()))
      : finish(exitCode, output.text());
  } catch (error) {
    return finish(NO_EXIT_CODE, messageOf(error));
  }
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
