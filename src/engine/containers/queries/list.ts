/** `docker ps`: which containers, in which order. Reads immutable records only: it never waits for any container. */
import { compileGoRegExp, type GoRegExp } from "../../../base/go-regexp.ts";
import { type ContainerRecord, isRunning, ZERO_TIME } from "../../../core/container.ts";
import { InvalidParameterError, NotFoundError } from "../../../core/errors.ts";
import type { Digest } from "../../../core/ids.ts";
import type { Needs } from "../deps.ts";
import { parsePortRange } from "../request/ports.ts";
import { compareTimes } from "../state/store.ts";

type ListDeps = Needs<"images" | "running" | "store">;

export type Filters = ReadonlyMap<string, ReadonlySet<string>>;

export const LIST_FILTERS = [
  "ancestor",
  "before",
  "exited",
  "expose",
  "health",
  "id",
  "isolation",
  "is-task",
  "label",
  "name",
  "network",
  "publish",
  "since",
  "status",
  "volume",
] as const;

export const PRUNE_FILTERS = ["label", "label!", "until"] as const;

const STATUSES = new Set(["created", "running", "paused", "restarting", "removing", "exited", "dead"]);
const HEALTHS = new Set(["none", "starting", "healthy", "unhealthy"]);

export interface ListOptions {
  readonly all: boolean;
  /** The newest n, whatever their state; 0 and undefined are no limit. */
  readonly limit?: number;
  readonly filters: Filters;
}

type Test = (container: ContainerRecord) => boolean;

/** Newest first. @throws InvalidParameterError; NotFoundError for `before` and `since` */
export function listContainers(deps: ListDeps, options: ListOptions): ContainerRecord[] {
  const { filters } = options;
  const limit = options.limit !== undefined && options.limit > 0 ? options.limit : undefined;
  const all = options.all || limit !== undefined || filters.has("status");
  const tests = toTests(deps, filters);
  const found = deps.store
    .list()
    .filter((container) => (all || isRunning(container)) && tests.every((test) => test(container)));
  return limit === undefined ? found : found.slice(0, limit);
}

/** The filters of `prune`. @throws InvalidParameterError */
export function toPruneTest(filters: Filters, now: number): Test {
  const tests: Test[] = [];
  const labels = filters.get("label");
  if (labels) tests.push((container) => [...labels].every((label) => hasLabel(container, label)));
  const unwanted = filters.get("label!");
  if (unwanted) tests.push((container) => ![...unwanted].some((label) => hasLabel(container, label)));
  const until = filters.get("until");
  if (until) {
    const times = [...until].map((text) => parseUntil(text, now));
    tests.push((container) => times.every((time) => Date.parse(container.created) < time));
  }
  return (container) => tests.every((test) => test(container));
}

function toTests(deps: ListDeps, filters: Filters): Test[] {
  const tests: Test[] = [];
  const any = (name: string, toTest: (value: string) => Test) => {
    const values = filters.get(name);
    if (!values) return;
    const alternatives = [...values].map(toTest);
    tests.push((container) => alternatives.some((test) => test(container)));
  };
  any("id", (value) => matcher(value, ({ id }) => [id]));
  any("name", (value) => matcher(value, ({ name }) => [`/${name}`, name]));
  any("status", (value) => {
    if (!STATUSES.has(value)) throw invalidFilter("status", value);
    return ({ state }) => state.status === value;
  });
  any("health", (value) => {
    if (!HEALTHS.has(value)) throw invalidFilter("health", value);
    return ({ state }) => (state.health?.status ?? "none") === value;
  });
  any("exited", (value) => {
    if (!/^-?\d+$/.test(value)) throw invalidFilter("exited", value);
    return (container) =>
      !isRunning(container) &&
      container.state.startedAt !== ZERO_TIME &&
      container.state.exitCode === Number(value);
  });
  any("isolation", (value) => () => value === "" || value === "default");
  any("is-task", (value) => {
    if (!["true", "1", "false", "0"].includes(value)) throw invalidFilter("is-task", value);
    return () => value === "false" || value === "0";
  });
  any("before", (value) => {
    const { created } = deps.store.get(value);
    return (container) => compareTimes(container.created, created) < 0;
  });
  any("since", (value) => {
    const { created } = deps.store.get(value);
    return (container) => compareTimes(container.created, created) > 0;
  });
  any(
    "volume",
    (value) =>
      ({ mounts }) =>
        mounts.some(
          ({ name, source, destination }) => name === value || source === value || destination === value,
        ),
  );
  any(
    "network",
    (value) =>
      ({ networks }) =>
        Object.entries(networks).some(
          ([name, { NetworkID = "" }]) => name === value || NetworkID.startsWith(value),
        ),
  );
  any("ancestor", (value) => {
    const image = findImage(deps, value);
    return ({ imageId }) => image !== undefined && imageId === image;
  });
  any("publish", (value) => portTest(value, (container) => publishedPorts(deps, container)));
  any("expose", (value) => portTest(value, ({ config }) => Object.keys(config.ExposedPorts ?? {})));
  const labels = filters.get("label");
  if (labels) tests.push((container) => [...labels].every((label) => hasLabel(container, label)));
  return tests;
}

/** Equal, or matching as a regular expression, as Docker has it. */
function matcher(value: string, textsOf: (container: ContainerRecord) => string[]): Test {
  let pattern: GoRegExp | undefined;
  try {
    pattern = compileGoRegExp(value);
  } catch {
    // Not a pattern: then only the very text matches.
  }
  return (container) => textsOf(container).some((text) => text === value || pattern?.test(text));
}

function hasLabel({ config }: ContainerRecord, label: string): boolean {
  const at = label.indexOf("=");
  const [name, value] = at < 0 ? [label, undefined] : [label.slice(0, at), label.slice(at + 1)];
  const actual = config.Labels?.[name];
  return actual !== undefined && (value === undefined || actual === value);
}

function findImage(deps: Needs<"images">, reference: string): Digest | undefined {
  try {
    return deps.images.resolve(reference).id;
  } catch (error) {
    if (error instanceof NotFoundError) return undefined;
    throw error;
  }
}

function publishedPorts(deps: Needs<"running">, { id, hostConfig }: ContainerRecord): string[] {
  const ports = deps.running.get(id)?.sandbox.ports ?? hostConfig.PortBindings ?? {};
  return Object.entries(ports).flatMap(([port, bindings]) => {
    const [, protocol = "tcp"] = port.split("/");
    return (bindings ?? []).map(({ HostPort }) => `${HostPort}/${protocol}`);
  });
}

/** `80`, `8000-8010/tcp` */
function portTest(value: string, portsOf: (container: ContainerRecord) => string[]): Test {
  const [range = "", protocol = "tcp"] = value.split("/");
  const { first, last } = parsePortRange(range);
  return (container) =>
    portsOf(container).some((port) => {
      const [number, own = "tcp"] = port.split("/");
      return own === protocol && Number(number) >= first && Number(number) <= last;
    });
}

/** A Go duration before now, seconds since the epoch, or RFC 3339; in milliseconds since the epoch. */
function parseUntil(text: string, now: number): number {
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * 1000;
  const units: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)];
  if (parts.length > 0 && parts.map(([part]) => part).join("") === text) {
    return now - parts.reduce((sum, [, amount, unit = "s"]) => sum + Number(amount) * (units[unit] ?? 0), 0);
  }
  const time = Date.parse(text);
  if (Number.isNaN(time)) throw invalidFilter("until", text);
  return time;
}

function invalidFilter(name: string, value: string): InvalidParameterError {
  return new InvalidParameterError(`invalid filter '${name}=${value}'`, { subject: value });
}
