/** `docker logs`: what a container wrote, by its log driver. */
import { compileGoRegExp } from "../../../base/go-regexp.ts";
import type { ContainerRecord } from "../../../core/container.ts";
import { ConflictError, InvalidParameterError, NotImplementedError } from "../../../core/errors.ts";
import type { LogEntry, ReadLogOptions } from "../../../core/logs.ts";
import type { Needs } from "../deps.ts";

type LogDeps = Needs<"logDrivers" | "running" | "store">;

export interface LogRequest extends Omit<ReadLogOptions, "ended"> {
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
  const driver = deps.logDrivers.get(container.hostConfig.LogConfig?.Type ?? "");
  if (!driver || driver.pathFor(container.id) === undefined) {
    throw new NotImplementedError("configured logging driver does not support reading");
  }
  const running = deps.running.get(container.id);
  const entries = driver.read(container.id, {
    ...request,
    follow: request.follow && running !== undefined,
    ended: running?.task.exited,
  });
  return {
    tty: container.config.Tty ?? false,
    attributes: logAttributes(container),
    entries: request.stdout && request.stderr ? entries : only(entries, request.stdout ? "stdout" : "stderr"),
  };
}

async function* only(entries: AsyncIterable<LogEntry>, stream: LogEntry["stream"]): AsyncIterable<LogEntry> {
  for await (const entry of entries) if (entry.stream === stream) yield entry;
}

/** Labels and variables that the log options name, ordered by name. @see moby daemon/logger/loginfo.go, ExtraAttributes */
export function logAttributes({
  config,
  hostConfig,
}: Pick<ContainerRecord, "config" | "hostConfig">): Record<string, string> {
  const options = hostConfig.LogConfig?.Config ?? {};
  const variables = (config.Env ?? []).flatMap((entry): [string, string][] => {
    const at = entry.indexOf("=");
    return at < 0 ? [] : [[entry.slice(0, at), entry.slice(at + 1)]];
  });
  const chosen = [
    ...chooseAttributes(Object.entries(config.Labels ?? {}), options.labels, options["labels-regex"]),
    ...chooseAttributes(variables, options.env, options["env-regex"]),
  ];
  return Object.fromEntries(chosen.sort(([a], [b]) => (a < b ? -1 : Number(a > b))));
}

function chooseAttributes(
  all: [string, string][],
  names: string | undefined,
  pattern: string | undefined,
): [string, string][] {
  const named = new Set(names?.split(","));
  const matching = pattern ? compileGoRegExp(pattern) : undefined;
  return all.filter(([name]) => named.has(name) || matching?.test(name));
}
