/**
 * Values as Go has them and JSON has not: structs with names and order, typed nils, times and durations. How Go prints
 * them (`%v`), whether they are true, and how they become JSON again. Plain JSON values are printed here as well, the
 * way Go prints what it decoded without a type. Pure.
 */
import { goTimeOf } from "../values/times.ts";
import { formatDuration, general } from "../values/units.ts";

export abstract class GoValue {
  /** Go's name of the type, for error texts. */
  abstract readonly typeName: string;
  /** What `%v` prints. */
  abstract print(): string;
  abstract json(): string;
  abstract isTrue(): boolean;
  /** Left out of JSON by `omitempty`. */
  isEmpty(): boolean {
    return !this.isTrue();
  }
}

export interface GoStructField {
  readonly name: string;
  /** Undefined: never in JSON. */
  readonly json: string | undefined;
  readonly omitEmpty: boolean;
  /** Its fields are fields of the struct, too. */
  readonly embedded: boolean;
}

export interface GoStructType {
  readonly name: string;
  readonly fields: readonly GoStructField[];
  /** Its String method. */
  readonly string?: (value: GoStruct) => string;
}

export class GoStruct extends GoValue {
  readonly type: GoStructType;
  /** In the order of the type's fields. */
  readonly values: readonly unknown[];

  readonly typeName: string;

  constructor(type: GoStructType, values: readonly unknown[], { pointer = false } = {}) {
    super();
    this.type = type;
    this.values = values;
    this.typeName = `${pointer ? "*" : ""}${type.name}`;
  }

  /** The same behind a pointer: only error texts tell it apart. */
  toPointer(): GoStruct {
    return new GoStruct(this.type, this.values, { pointer: true });
  }

  has(name: string): boolean {
    return this.#find(name) !== undefined;
  }

  /** A field of its own before one of an embedded struct. */
  get(name: string): unknown {
    return this.#find(name)?.value;
  }

  #find(name: string): { readonly value: unknown } | undefined {
    const own = this.type.fields.findIndex((field) => field.name === name);
    if (own >= 0) return { value: this.values[own] };
    for (const [at, { embedded }] of this.type.fields.entries()) {
      const value = this.values[at];
      if (embedded && value instanceof GoStruct && value.has(name)) return { value: value.get(name) };
    }
    return undefined;
  }

  print(): string {
    return this.type.string?.(this) ?? `{${this.values.map(formatValue).join(" ")}}`;
  }

  json(): string {
    return `{${this.#members().join(",")}}`;
  }

  #members(): string[] {
    return this.type.fields.flatMap(({ json, omitEmpty, embedded }, at) => {
      const value = this.values[at];
      if (embedded) return value instanceof GoStruct ? value.#members() : [];
      if (json === undefined || (omitEmpty && isEmpty(value))) return [];
      return [`${encodeText(json)}:${encodeJson(value)}`];
    });
  }

  isTrue(): boolean {
    return true;
  }
}

export class GoMap extends GoValue {
  readonly typeName: string;
  readonly entries: ReadonlyMap<string, unknown>;
  /** What a key has that is not there. */
  readonly zero: () => unknown;

  constructor(typeName: string, entries: ReadonlyMap<string, unknown>, zero: () => unknown) {
    super();
    this.typeName = typeName;
    this.entries = entries;
    this.zero = zero;
  }

  print(): string {
    return printMap(sortedEntries(this.entries));
  }

  json(): string {
    return encodeMap(sortedEntries(this.entries));
  }

  isTrue(): boolean {
    return this.entries.size > 0;
  }
}

/** A pointer, slice or map that is nil, or a map that may be read all the same. */
export class GoNil extends GoValue {
  readonly typeName: string;
  readonly kind: "pointer" | "slice" | "map";
  /** Of a map: what a key has that is not there. */
  readonly zero: () => unknown;

  constructor(typeName: string, kind: "pointer" | "slice" | "map", zero: () => unknown = () => null) {
    super();
    this.typeName = typeName;
    this.kind = kind;
    this.zero = zero;
  }

  print(): string {
    return this.kind === "pointer" ? "<nil>" : this.kind === "slice" ? "[]" : "map[]";
  }

  json(): string {
    return "null";
  }

  isTrue(): boolean {
    return false;
  }
}

/** A pointer to a number or a bool: true whatever it points at. */
export class GoPointer extends GoValue {
  readonly typeName: string;
  readonly value: unknown;

  constructor(typeName: string, value: unknown) {
    super();
    this.typeName = typeName;
    this.value = value;
  }

  print(): string {
    return formatValue(this.value);
  }

  json(): string {
    return encodeJson(this.value);
  }

  isTrue(): boolean {
    return true;
  }
}

/** @param text RFC 3339 */
export class GoTime extends GoValue {
  readonly typeName = "time.Time";
  readonly text: string;

  constructor(text: string) {
    super();
    this.text = text;
  }

  print(): string {
    return goTimeOf(this.text);
  }

  json(): string {
    return encodeText(
      this.text.replace(/(\.\d*?)0+(?=Z$|[+-]\d\d:\d\d$)/, (_all, kept) => (kept === "." ? "" : kept)),
    );
  }

  isTrue(): boolean {
    return true;
  }
}

export class GoDuration extends GoValue {
  readonly typeName = "time.Duration";
  readonly nanoseconds: number;

  constructor(nanoseconds: number) {
    super();
    this.nanoseconds = nanoseconds;
  }

  print(): string {
    return formatDuration(this.nanoseconds);
  }

  json(): string {
    return String(this.nanoseconds);
  }

  isTrue(): boolean {
    return this.nanoseconds !== 0;
  }
}

/** `%v`. */
export function formatValue(value: unknown): string {
  if (value === null || value === undefined) return "<nil>";
  if (value instanceof GoValue) return value.print();
  if (Array.isArray(value)) return `[${value.map(formatValue).join(" ")}]`;
  if (typeof value === "number") return Number.isInteger(value) ? String(value) : general(value, 17);
  if (typeof value === "object") return printMap(sortedEntries(Object.entries(value)));
  return String(value);
}

/** Go's truth: empty values are false. */
export function isTrue(value: unknown): boolean {
  if (value === null || value === undefined) return false;
  if (value instanceof GoValue) return value.isTrue();
  if (Array.isArray(value)) return value.length > 0;
  if (typeof value === "object") return Object.keys(value).length > 0;
  return Boolean(value);
}

function isEmpty(value: unknown): boolean {
  return value instanceof GoValue ? value.isEmpty() : !isTrue(value);
}

/** JSON as Go writes it without HTML escaping: maps in the order of their keys. */
export function encodeJson(value: unknown): string {
  if (value === null || value === undefined) return "null";
  if (value instanceof GoValue) return value.json();
  if (Array.isArray(value)) return `[${value.map(encodeJson).join(",")}]`;
  if (typeof value === "object") return encodeMap(sortedEntries(Object.entries(value)));
  return typeof value === "string" ? encodeText(value) : String(value);
}

function encodeText(text: string): string {
  return JSON.stringify(text).replaceAll("\u2028", "\\u2028").replaceAll("\u2029", "\\u2029");
}

function encodeMap(entries: readonly (readonly [string, unknown])[]): string {
  return `{${entries.map(([key, item]) => `${encodeText(key)}:${encodeJson(item)}`).join(",")}}`;
}

function printMap(entries: readonly (readonly [string, unknown])[]): string {
  return `map[${entries.map(([key, item]) => `${key}:${formatValue(item)}`).join(" ")}]`;
}

/** As Go walks a map in templates, prints and JSON. */
export function sortedEntries(entries: Iterable<readonly [string, unknown]>): [string, unknown][] {
  return [...entries].map(([key, item]): [string, unknown] => [key, item]).sort(compareKeys);
}

function compareKeys([a]: [string, unknown], [b]: [string, unknown]): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
