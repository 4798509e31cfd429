/**
 * Which events a subscriber asked for: the `filters` of `GET /events`. Values of one key are alternatives
 * (labels: all must match); keys must all match.
 * @see moby daemon/events/filter.go
 */
import type { EngineEvent } from "../../core/events.ts";

export type Filters = ReadonlyMap<string, ReadonlySet<string>>;

/** The filters that `GET /events` accepts. */
export const EVENT_FILTERS = [
  "config",
  "container",
  "daemon",
  "event",
  "image",
  "label",
  "network",
  "node",
  "plugin",
  "scope",
  "secret",
  "service",
  "type",
  "volume",
] as const;

/** Filters that match by the prefix of the actor's id or name. */
const OBJECTS = ["config", "container", "daemon", "network", "node", "plugin", "secret", "service", "volume"];

/** Actions that carry data after a colon: `event=exec_create` is to match `exec_create: sh`. */
const ACTIONS_WITH_DATA = ["health_status", "exec_create", "exec_start"];

/** Every filter must match; of several values of one filter, any. */
export function matchesEvent(event: EngineEvent, filters: Filters): boolean {
  return (
    matchesAction(event, filters.get("event")) &&
    isOneOf(event.type, filters.get("type")) &&
    isOneOf(event.scope, filters.get("scope")) &&
    OBJECTS.every((type) => matchesActor(event, filters.get(type))) &&
    matchesImage(event, filters.get("image")) &&
    matchesLabels(event.actor.attributes, filters.get("label"))
  );
}

function matchesAction(event: EngineEvent, wanted: ReadonlySet<string> | undefined): boolean {
  if (!wanted?.size) return true;
  const byPrefix = ACTIONS_WITH_DATA.some((action) => wanted.has(action));
  return byPrefix ? startsWithOneOf(event.action, wanted) : wanted.has(event.action);
}

function matchesActor(event: EngineEvent, wanted: ReadonlySet<string> | undefined): boolean {
  if (!wanted?.size) return true;
  return (
    startsWithOneOf(event.actor.id, wanted) || startsWithOneOf(event.actor.attributes.name ?? "", wanted)
  );
}

/** An image's events by its id or name; other events by the image that they name. With or without the tag. */
function matchesImage(event: EngineEvent, wanted: ReadonlySet<string> | undefined): boolean {
  if (!wanted?.size) return true;
  const { id, attributes } = event.actor;
  const name = (event.type === "image" ? attributes.name : attributes.image) ?? "";
  return [id, name, withoutTag(id), withoutTag(name)].some((candidate) => wanted.has(candidate));
}

function matchesLabels(
  attributes: Readonly<Record<string, string>>,
  wanted: ReadonlySet<string> | undefined,
): boolean {
  if (!wanted) return true;
  return [...wanted].every((label) => {
    const [key = "", ...value] = label.split("=");
    const actual = attributes[key];
    return actual !== undefined && (value.length === 0 || actual === value.join("="));
  });
}

function isOneOf(value: string, wanted: ReadonlySet<string> | undefined): boolean {
  return !wanted?.size || wanted.has(value);
}

function startsWithOneOf(value: string, prefixes: ReadonlySet<string>): boolean {
  for (const prefix of prefixes) if (value.startsWith(prefix)) return true;
  return false;
}

/** `host:5000/name:tag@sha256:…` → `host:5000/name`. */
function withoutTag(reference: string): string {
  return reference.replace(/@.*$/, "").replace(/:[^/:]*$/, "");
}
