/** What a container's log is told of the container, and which of its labels and variables go with each line. */
import { compileGoRegExp } from "../../base/go-regexp.ts";
import type { ContainerRecord } from "../../core/container.ts";
import type { LogProducer, LogSubject } from "../../core/logs.ts";
import type { Task } from "../../core/runtime.ts";

export function toLogSubject(container: ContainerRecord): LogSubject {
  const { id, name, image, imageId, path, args, created, hostConfig } = container;
  return {
    id,
    name,
    image,
    imageId,
    command: [path, ...args],
    created,
    driver: hostConfig.LogConfig?.Type ?? "",
    options: hostConfig.LogConfig?.Config ?? {},
    attributes: logAttributes(container),
  };
}

export function toLogProducer(task: Task): LogProducer {
  return {
    ended: task.exited,
    hold: (held) => task.holdOutput(held),
    readTo: () => task.outputReadTo,
  };
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
