/** The filters of `network ls` and `network prune`. Pure. */
import { compileGoRegExp } from "../../base/go-regexp.ts";
import { InvalidParameterError } from "../../core/errors.ts";
import type { NetworkRecord } from "../../core/network-driver.ts";
import { isPredefined } from "./names.ts";

export type Filters = ReadonlyMap<string, ReadonlySet<string>>;

export const NETWORK_FILTERS = ["dangling", "driver", "id", "label", "name", "scope", "type"] as const;
export const NETWORK_PRUNE_FILTERS = ["label", "label!", "until"] as const;

/** Values of one key are alternatives, except labels; keys must all match. @throws InvalidParameterError */
export function matchesFilters(
  network: NetworkRecord,
  filters: Filters,
  { used }: { used: boolean },
): boolean {
  return (
    isOneOf(network.driver, filters.get("driver")) &&
    isOneOf("local", filters.get("scope")) &&
    someOf(filters.get("id"), (pattern) => matches(network.id, pattern)) &&
    someOf(filters.get("name"), (pattern) => matches(network.name, pattern)) &&
    someOf(filters.get("type"), (type) => isOfType(network, type)) &&
    someOf(filters.get("dangling"), (value) => isDangling(network, used) === parseFlag("dangling", value)) &&
    hasLabels(network.labels, filters.get("label"))
  );
}

/** @param now milliseconds since the epoch, for `until` */
export function matchesPruneFilters(network: NetworkRecord, filters: Filters, now: number): boolean {
  const [until] = filters.get("until") ?? [];
  const unwanted = filters.get("label!");
  return (
    hasLabels(network.labels, filters.get("label")) &&
    !(unwanted?.size && hasLabels(network.labels, unwanted)) &&
    (until === undefined || Date.parse(network.created) < parseUntil(until, now))
  );
}

function isDangling(network: NetworkRecord, used: boolean): boolean {
  return !used && !isPredefined(network.name);
}

function isOfType(network: NetworkRecord, type: string): boolean {
  if (type === "builtin") return isPredefined(network.name);
  if (type === "custom") return !isPredefined(network.name);
  throw new InvalidParameterError(`invalid filter: 'type'='${type}'`);
}

function isOneOf(value: string, wanted: ReadonlySet<string> | undefined): boolean {
  return !wanted?.size || wanted.has(value);
}

function someOf(wanted: ReadonlySet<string> | undefined, matches: (value: string) => boolean): boolean {
  return !wanted?.size || [...wanted].some(matches);
}

/** Equal, or matching as a regular expression, as Docker has it. */
function matches(text: string, pattern: string): boolean {
  if (text === pattern) return true;
  try {
    return compileGoRegExp(pattern).test(text);
  } catch {
    // Not a pattern: then only the very text matches.
    return false;
  }
}

function hasLabels(
  labels: Readonly<Record<string, string>>,
  wanted: ReadonlySet<string> | undefined,
): boolean {
  return [...(wanted ?? [])].every((label) => {
    const [key = "", ...value] = label.split("=");
    return Object.hasOwn(labels, key) && (value.length === 0 || labels[key] === value.join("="));
  });
}

/** As strconv.ParseBool. */
export function findFlag(value: string): boolean | undefined {
  if (["1", "true", "True", "TRUE", "t", "T"].includes(value)) return true;
  if (["0", "false", "False", "FALSE", "f", "F"].includes(value)) return false;
  return undefined;
}

function parseFlag(name: string, value: string): boolean {
  const flag = findFlag(value);
  if (flag !== undefined) return flag;
  throw new InvalidParameterError(`invalid filter '${name}=[${value}]'`);
}

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** A duration back from now (`24h`, `1h30m`), seconds since the epoch, or a date. @returns ms since the epoch */
function parseUntil(text: string, now: number): number {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)];
  if (parts.length > 0 && parts.map(([whole]) => whole).join("") === text)
    return parts.reduce((time, [, amount, unit = "s"]) => time - Number(amount) * (UNITS[unit] ?? 0), now);
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * 1000;
  const date = Date.parse(text);
  if (Number.isNaN(date)) throw new InvalidParameterError(`invalid filter: 'until'='${text}'`);
  return date;
}
