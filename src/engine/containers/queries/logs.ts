/** `docker logs`: what a container wrote, by its log driver. */
import { compileGoRegExp, type GoRegExp } from "../../../base/go-regexp.ts";
import { ConflictError, InvalidParameterError, messageOf } from "../../../core/errors.ts";
import type { LogEntry, ReadLogOptions } from "../../../core/logs.ts";
import type { Needs } from "../deps.ts";
import { toLogSubject } from "../log-subject.ts";

type LogDeps = Needs<"logs" | "store">;

export interface LogRequest extends ReadLogOptions {
  /** Only lines that it matches, of those that the other options leave. RE2's syntax. */
  readonly grep?: string | undefined;
  readonly stdout: boolean;
  readonly stderr: boolean;
}

export interface ContainerLog {
  readonly tty: boolean;
  /** Labels and variables that the log options choose, for `--details`. */
  readonly attributes: Readonly<Record<string, string>>;
  readonly entries: AsyncIterable<LogEntry>;
}

/**
 * Following ends with the container's process.
 * @throws InvalidParameterError without any stream; ConflictError when it is being removed or dead;
 *   NotImplementedError when the driver keeps nothing
 */
export function readContainerLog(deps: LogDeps, reference: string, request: LogRequest): ContainerLog {
  if (!request.stdout && !request.stderr) {
    throw new InvalidParameterError("Bad parameters: you must choose at least one stream");
  }
  const container = deps.store.get(reference);
  if (container.state.status === "removing" || container.state.status === "dead") {
    throw new ConflictError("can not get logs from container which is dead or marked for removal", {
      subject: container.id,
    });
  }
  const subject = toLogSubject(container);
  const { grep } = request;
  const all = deps.logs.read(subject, request);
  const entries = grep === undefined ? all : matching(all, toPattern(grep));
  return {
    tty: container.config.Tty ?? false,
    attributes: deps.logs.attributesOf(subject),
    entries: request.stdout && request.stderr ? entries : only(entries, request.stdout ? "stdout" : "stderr"),
  };
}

function toPattern(text: string): GoRegExp {
  try {
    return compileGoRegExp(text);
  } catch (error) {
    throw new InvalidParameterError(`invalid grep: ${messageOf(error)}`, { cause: error });
  }
}

/** A long line comes in parts: it is shown, or not, as a whole. */
async function* matching(entries: AsyncIterable<LogEntry>, pattern: GoRegExp): AsyncIterable<LogEntry> {
  const parts: Record<LogEntry["stream"], LogEntry[]> = { stdout: [], stderr: [] };
  for await (const entry of entries) {
    const line = parts[entry.stream];
    line.push(entry);
    // A line that never ends is searched in pieces.
    if (entry.partial && line.length < MOST_PARTS) continue;
    parts[entry.stream] = [];
    const text = Buffer.concat(line.map(({ bytes }) => bytes)).toString("utf8");
    if (pattern.test(text.replace(/\r?\n$/, ""))) yield* line;
  }
}

const MOST_PARTS = 128;

/** `DELETE /containers/{id}/logs`, an extension: forgets what was written up to now. @throws NotImplementedError */
export async function clearContainerLog(deps: LogDeps, reference: string): Promise<void> {
  await deps.logs.clear(toLogSubject(deps.store.get(reference)));
}

async function* only(entries: AsyncIterable<LogEntry>, stream: LogEntry["stream"]): AsyncIterable<LogEntry> {
  for await (const entry of entries) if (entry.stream === stream) yield entry;
}
