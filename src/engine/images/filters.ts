/** Which images a list or a prune is about. @see moby `daemon/images/images.go`, `image_prune.go` */
import { InvalidParameterError } from "../../core/errors.ts";
import { matchesFamiliar, type Reference } from "../../core/references.ts";
import type { ImageRecord, ImageStore } from "./store.ts";

export type Filters = ReadonlyMap<string, ReadonlySet<string>>;

export const LIST_FILTERS = ["before", "dangling", "label", "reference", "since", "until"] as const;
export const PRUNE_FILTERS = ["dangling", "label", "label!", "until"] as const;

/** @throws InvalidParameterError on a malformed value, NotFoundError if `before` or `since` names no image */
export function imageFilter(filters: Filters, store: ImageStore): (image: ImageRecord) => boolean {
  const dangling = flagFilter(filters, "dangling");
  const before = each(filters, "before", (name) => createdAt(store.get(name)));
  const since = each(filters, "since", (name) => createdAt(store.get(name)));
  const until = each(filters, "until", (text) => parseTime(text));
  const labels = [...(filters.get("label") ?? [])];
  const without = [...(filters.get("label!") ?? [])];
  return (image) => {
    const created = createdAt(image);
    const references = store.referencesTo(image.id);
    if (dangling !== undefined && dangling !== references.length < 1) return false;
    if (!before.every((time) => created < time)) return false;
    if (!since.every((time) => created > time)) return false;
    if (!until.every((time) => created < time)) return false;
    if (!labels.every((label) => hasLabel(image, label))) return false;
    if (without.some((label) => hasLabel(image, label))) return false;
    return !filters.has("reference") || references.some(referenceFilter(filters));
  };
}

/** Of an image's names a list shows those that are asked for, not all. */
export function referenceFilter(filters: Filters): (reference: Reference) => boolean {
  const patterns = [...(filters.get("reference") ?? [])];
  return (reference) =>
    patterns.length === 0 || patterns.some((pattern) => matchesFamiliar(pattern, reference));
}

function each<T>(filters: Filters, name: string, parse: (value: string) => T): T[] {
  return [...(filters.get(name) ?? [])].map(parse);
}

/** Undefined if it was not given. @throws InvalidParameterError unless all of its values say the same */
export function flagFilter(filters: Filters, name: string): boolean | undefined {
  const values = [...(filters.get(name) ?? [])];
  if (values.length === 0) return undefined;
  const [value = ""] = values;
  if (values.length === 1 && /^(?:1|t|true)$/i.test(value)) return true;
  if (values.length === 1 && /^(?:0|f|false)$/i.test(value)) return false;
  throw new InvalidParameterError(`invalid filter '${name}=[${values.join(" ")}]'`);
}

/** Ms since the epoch; 0 for images that do not say. */
export function createdAt(image: ImageRecord): number {
  const time = Date.parse(image.config.created ?? "");
  return Number.isNaN(time) ? 0 : time;
}

/** `key` or `key=value`. */
function hasLabel(image: ImageRecord, filter: string): boolean {
  const labels = image.config.config?.Labels ?? {};
  const equals = filter.indexOf("=");
  if (equals < 0) return Object.hasOwn(labels, filter);
  const key = filter.slice(0, equals);
  return Object.hasOwn(labels, key) && labels[key] === filter.slice(equals + 1);
}

const UNITS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** A time as Docker takes it: seconds since the epoch, RFC 3339, a date, or a duration before now (`24h`). */
export function parseTime(text: string, now: number = Date.now()): number {
  if (/^\d+(?:\.\d{1,9})?$/.test(text)) return Number(text) * 1000;
  if (/^(?:\d+(?:\.\d+)?(?:ns|us|ms|s|m|h))+$/.test(text)) {
    const parts = text.matchAll(/(\d+(?:\.\d+)?)(ns|us|ms|s|m|h)/g);
    return now - parts.reduce((sum, [, count, unit]) => sum + Number(count) * (UNITS[unit ?? ""] ?? 0), 0);
  }
  // Without a zone it is the daemon's local time, as with Go's time.ParseInLocation.
  const time = /^\d{4}-\d{2}-\d{2}/.test(text)
    ? Date.parse(text.length === 10 ? `${text}T00:00:00` : text)
    : Number.NaN;
  if (Number.isNaN(time))
    throw new InvalidParameterError(`failed to parse value as time or duration: ${JSON.stringify(text)}`);
  return time;
}
