/**
 * Turns parsed JSON into typed values as Go's encoding/json would, because that is what Docker's clients were
 * written against: keys match whatever their case, null and absence are the same, unknown keys are ignored, a wrong
 * type is an error in Go's words. Pure: reading bodies and HTTP statuses are the server's.
 *
 * A decoder called with null or undefined gives the type's zero value; the fields of a `struct` stay absent instead,
 * since all fields of Docker's types are optional and an absent pointer (`Init`) means something else than false.
 */

import { describeJsonError } from "./go-json.ts";

/** Bytes that are not JSON, or JSON of the wrong shape (400). */
export class DecodeError extends Error {
  override readonly name = "DecodeError";
}

/** Where a value stands: the innermost Go struct, and the path of field names from the outermost one. */
export interface Place {
  readonly struct: string;
  readonly path: string;
}

export interface Decoder<T> {
  /** @throws DecodeError */
  (value: unknown, place?: Place): T;
  /** How Go would print the type: part of the error's text. */
  readonly goType?: string;
}

/** As Go's. Beyond it a parser that recurses needs hundreds of megabytes to say no. */
const MAX_DEPTH = 10_000;

/** @throws DecodeError on anything but one JSON document, or one nested deeper than any that Go reads */
export function parseJson(text: string): unknown {
  if (isDeeperThan(MAX_DEPTH, text)) throw new DecodeError("exceeded max depth");
  try {
    return parseExact(text);
  } catch (error) {
    throw new DecodeError(describeJsonError(text), { cause: error });
  }
}

/** Whole numbers that a double cannot hold become bigints; almost no document has one. */
function parseExact(text: string): unknown {
  if (!/\d{16}/.test(text)) return JSON.parse(text) as unknown;
  return JSON.parse(text, keepDigits as (key: string, value: unknown) => unknown);
}

function keepDigits(
  _key: string,
  value: unknown,
  { source = "" }: { readonly source?: string } = {},
): unknown {
  if (typeof value !== "number" || Number.isSafeInteger(value) || !/^-?\d+$/.test(source)) return value;
  return BigInt(source);
}

/** Looks at each character once. */
function isDeeperThan(limit: number, text: string): boolean {
  if (text.length <= limit) return false;
  let depth = 0;
  let quoted = false;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (quoted) {
      if (code === BACKSLASH) at++;
      else if (code === QUOTE) quoted = false;
    } else if (code === QUOTE) quoted = true;
    else if (code === OPEN_BRACKET || code === OPEN_BRACE) {
      if (++depth > limit) return true;
    } else if (code === CLOSE_BRACKET || code === CLOSE_BRACE) depth--;
  }
  return false;
}

const QUOTE = 34;
const OPEN_BRACKET = 91;
const BACKSLASH = 92;
const CLOSE_BRACKET = 93;
const OPEN_BRACE = 123;
const CLOSE_BRACE = 125;

export const string: Decoder<string> = scalar("string", "", (value) =>
  typeof value === "string" ? value : undefined,
);

export const bool: Decoder<boolean> = scalar("bool", false, (value) =>
  typeof value === "boolean" ? value : undefined,
);

const MIN_INT64 = -(2n ** 63n);
const MAX_INT64 = 2n ** 63n - 1n;
const MAX_UINT64 = 2n ** 64n - 1n;

export const int64: Decoder<number> = integer("int64", MIN_INT64, MAX_INT64);
export const int: Decoder<number> = integer("int", MIN_INT64, MAX_INT64);
export const uint64: Decoder<number> = integer("uint64", 0n, MAX_UINT64);
export const uint: Decoder<number> = integer("uint", 0n, MAX_UINT64);
export const uint32: Decoder<number> = integer("uint32", 0n, 2n ** 32n - 1n);
export const uint16: Decoder<number> = integer("uint16", 0n, 2n ** 16n - 1n);

/** For quantities that people set to the ends of their range. */
export const exactInt64: Decoder<number | bigint> = exactInteger("int64", MIN_INT64, MAX_INT64);
export const exactUint64: Decoder<number | bigint> = exactInteger("uint64", 0n, MAX_UINT64);

/** `time.Duration`: nanoseconds. */
export const duration: Decoder<number> = integer("time.Duration", MIN_INT64, MAX_INT64);

/** Whatever it is, as it is; null when absent. */
export const anything: Decoder<unknown> = typed("interface {}", (value) => value ?? null);

/** `[]byte`: base64 in JSON. */
export const bytes: Decoder<Uint8Array> = typed("[]uint8", (value, place) => {
  const text = value === null || value === undefined ? "" : value;
  if (typeof text !== "string") throw mismatch(value, "[]uint8", place);
  if (!/^[A-Za-z0-9+/\r\n]*={0,2}[\r\n]*$/.test(text)) throw new DecodeError("illegal base64 data");
  return new Uint8Array(Buffer.from(text, "base64"));
});

/** Null elements become the element's zero value. */
export function array<T>(element: Decoder<T>): Decoder<T[]> {
  const goType = `[]${element.goType ?? "interface {}"}`;
  return typed(goType, (value, place) => {
    if (value === null || value === undefined) return [];
    if (!Array.isArray(value)) throw mismatch(value, goType, place);
    return value.map((item: unknown) => element(item, place));
  });
}

/** An array of fixed length, filled up with zero values; what exceeds it is dropped, as in Go. */
export function tuple<T>(element: Decoder<T>, length: number): Decoder<T[]> {
  const goType = `[${length}]${element.goType ?? "interface {}"}`;
  return typed(goType, (value, place) => {
    if (value !== null && value !== undefined && !Array.isArray(value)) throw mismatch(value, goType, place);
    const items: unknown[] = Array.isArray(value) ? value : [];
    return Array.from({ length }, (_, index) => element(items[index], place));
  });
}

/** Keys are kept as they are, `__proto__` as well. */
export function map<T>(element: Decoder<T>): Decoder<Record<string, T>> {
  const goType = `map[string]${element.goType ?? "interface {}"}`;
  return typed(goType, (value, place) => {
    if (value === null || value === undefined) return {};
    if (!isObject(value)) throw mismatch(value, goType, place);
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, element(item, place)]));
  });
}

/** Null stays null instead of becoming the zero value: `PortBindings: {"80/tcp": null}`. */
export function nullable<T>(of: Decoder<T>): Decoder<T | null> {
  return typed(of.goType ?? "interface {}", (value, place) =>
    value === null || value === undefined ? null : of(value, place),
  );
}

/** A string that stands for one of a few words, which the engine checks: its messages name the option. */
export function uncheckedWord<W extends string>(): Decoder<W> {
  return string as Decoder<string> as Decoder<W>;
}

/** One of the given words; the message lists them. Empty and absent are `absent`. */
export function word<const W extends string>(words: readonly W[], absent: W): Decoder<W> {
  return typed("string", (value, place) => {
    const text = string(value, place);
    const found = text === "" ? absent : words.find((candidate) => candidate === text);
    if (found === undefined) {
      const where = place ? `${place.path}: ` : "";
      throw new DecodeError(`${where}must be one of ${words.join(", ")}: ${JSON.stringify(text)}`);
    }
    return found;
  });
}

/** `Cmd` and `Entrypoint`: an array of strings, or one string that stands for an array of one. */
export const stringOrArray: Decoder<string[]> = typed("strslice.StrSlice", (value, place) => {
  if (Array.isArray(value)) return array(string)(value, place);
  if (value === null || value === undefined) return [];
  // Docker's own unmarshaller loses the place: its message says "Go value".
  return [string(value)];
});

/** A decoder for every field, so that none of a type can be forgotten. */
export type Fields<T> = { readonly [K in keyof T]-?: Decoder<NonNullable<T[K]>> };

/**
 * A Go struct. Keys match exactly or else whatever their case, later ones win; absent and null fields are left out.
 * @param name the Go type's name, for error messages
 */
export function struct<T extends object>(name: string, fields: Fields<T>): Decoder<Partial<T>> {
  const names = Object.keys(fields) as (keyof T & string)[];
  const byLowerCase = new Map(names.map((field) => [field.toLowerCase(), field]));
  const goType = name;
  return typed(goType, (value, place) => {
    const result: Partial<T> = {};
    if (value === null || value === undefined) return result;
    if (!isObject(value)) throw mismatch(value, goType, place);
    for (const [key, item] of Object.entries(value)) {
      if (item === null) continue;
      const field = Object.hasOwn(fields, key)
        ? (key as keyof T & string)
        : byLowerCase.get(key.toLowerCase());
      if (field === undefined) continue;
      const path = place ? `${place.path}.${field}` : field;
      result[field] = fields[field](item, { struct: lastWord(name), path });
    }
    return result;
  });
}

/** Changes the decoded value; what the function throws as DecodeError is the client's fault. */
export function mapped<A, B>(of: Decoder<A>, change: (value: A) => B): Decoder<B> {
  return typed(of.goType ?? "interface {}", (value, place) => change(of(value, place)));
}

function typed<T>(goType: string, decode: (value: unknown, place?: Place) => T): Decoder<T> {
  return Object.assign((value: unknown, place?: Place) => decode(value, place), { goType });
}

function scalar<T>(goType: string, zero: T, accept: (value: unknown) => T | undefined): Decoder<T> {
  return typed(goType, (value, place) => {
    if (value === null || value === undefined) return zero;
    const accepted = accept(value);
    if (accepted === undefined) throw mismatch(value, goType, place);
    return accepted;
  });
}

/**
 * Of a field whose sensible values a double holds. At the ends of 64 bits it loses its last digits, and never leaves the
 * range: 2^63, rounded up from Go's MaxInt64, would be unreadable for the client that gets it back.
 */
function integer(goType: string, least: bigint, most: bigint): Decoder<number> {
  const exact = exactInteger(goType, least, most);
  const largest =
    Number(most) > Number.MAX_SAFE_INTEGER ? Number(most) - Number(most) / 2 ** 53 : Number(most);
  return typed(goType, (value, place) => {
    const number = Number(exact(value, place));
    return Math.max(Math.min(number, largest), least < 0n ? -largest : 0) + 0;
  });
}

/** All digits are kept: a bigint where a double would lose some. */
function exactInteger(goType: string, least: bigint, most: bigint): Decoder<number | bigint> {
  return typed(goType, (value, place) => {
    if (value === null || value === undefined) return 0;
    if (typeof value !== "number" && typeof value !== "bigint") throw mismatch(value, goType, place);
    const whole = typeof value === "bigint" || Number.isSafeInteger(value);
    if (!whole || value < least || value > most) throw mismatch(value, goType, place, `number ${value}`);
    // Not -0.
    return typeof value === "bigint" ? value : value + 0;
  });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function mismatch(
  value: unknown,
  goType: string,
  place: Place | undefined,
  kind = kindOf(value),
): DecodeError {
  const target = place ? `struct field ${place.struct}.${place.path}` : "value";
  return new DecodeError(`json: cannot unmarshal ${kind} into Go ${target} of type ${goType}`);
}

function kindOf(value: unknown): string {
  if (typeof value === "bigint") return "number";
  if (Array.isArray(value)) return "array";
  return typeof value === "boolean" ? "bool" : typeof value;
}

function lastWord(goName: string): string {
  return goName.slice(goName.lastIndexOf(".") + 1);
}
