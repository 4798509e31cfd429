/** `docker logs`: what a container wrote, by its log driver. */
import { ConflictError, InvalidParameterError } from "../../../core/errors.ts";
import type { LogEntry, ReadLogOptions } from "../../../core/logs.ts";
import type { Needs } from "../deps.ts";
import { toLogSubject } from "../log-subject.ts";

type LogDeps = Needs<"logs" | "store">;

export interface LogRequest extends ReadLogOptions {
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
  const entries = deps.logs.read(subject, request);
  return {
    tty: container.config.Tty ?? false,
    attributes: deps.logs.attributesOf(subject),
    entries: request.stdout && request.stderr ? entries : only(entries, request.stdout ? "stdout" : "stderr"),
  };
}

async function* only(entries: AsyncIterable<LogEntry>, stream: LogEntry["stream"]): AsyncIterable<LogEntry> {
  for await (const entry of entries) if (entry.stream === stream) yield entry;
}
