/** What Go's reflection tells a template of a value: its type's name, its keys, what can be counted or compared. Pure. */
import { formatValue, GoDuration, GoMap, GoNil, GoValue, sortedEntries } from "./go-value.ts";

/** JSON that was read without a type. */
export function isUntyped(value: unknown): boolean {
  return typeof value === "object" && value !== null && !(value instanceof GoValue);
}

/** The keys of a map. */
export function membersOf(value: unknown): ReadonlyMap<string, unknown> | undefined {
  if (value instanceof GoMap) return value.entries;
  if (value instanceof GoNil && value.kind === "map") return new Map();
  if (value === null || typeof value !== "object" || Array.isArray(value) || value instanceof GoValue) {
    return undefined;
  }
  return new Map(Object.entries(value));
}

export function entriesOf(value: unknown): [unknown, unknown][] | undefined {
  if (value === null || value === undefined) return [];
  if (value instanceof GoNil && value.kind === "slice") return [];
  if (Array.isArray(value)) return value.map((item, index) => [index, item]);
  if (typeof value === "number")
    return Array.from({ length: Math.max(0, value) }, (_none, index) => [index, index]);
  const members = membersOf(value);
  return members && sortedEntries(members);
}

export function typeOf(value: unknown): string {
  if (value instanceof GoValue) return value.typeName;
  if (Array.isArray(value)) return "[]interface {}";
  if (typeof value === "boolean") return "bool";
  return typeof value === "number" || typeof value === "bigint" ? "int" : typeof value;
}

/** What a template shows of a value. */
export function printValue(value: unknown): string {
  return value === undefined || value === null ? "<no value>" : formatValue(value);
}

/** What can be indexed by number: a slice, or the bytes of text. */
export function itemsOf(value: unknown): ArrayLike<unknown> | undefined {
  if (Array.isArray(value)) return value;
  if (value instanceof GoNil && value.kind === "slice") return [];
  return typeof value === "string" ? Buffer.from(value) : undefined;
}

/** What comparisons see: nil pointers are nil, durations and large integers are numbers. */
export function comparable(value: unknown): unknown {
  if (value === undefined || (value instanceof GoNil && value.kind === "pointer")) return null;
  return value instanceof GoDuration ? value.nanoseconds : value;
}

export function kindOf(value: unknown): string {
  return typeof value === "bigint" ? "number" : typeof value;
}
