/** The functions that a template may call. Pure. */
import { encodeJson, formatValue, GoMap, GoNil, isTrue } from "./go-value.ts";
import { sprint, sprintf } from "./printf.ts";
import { comparable, itemsOf, kindOf, membersOf, typeOf } from "./reflect.ts";

export type TemplateFunction = (...args: unknown[]) => unknown;

function indexInto(value: unknown, keys: readonly unknown[]): unknown {
  let current = value;
  for (const key of keys) {
    if (current === null || current === undefined) throw new Error("index of untyped nil");
    if (current instanceof GoNil && current.kind === "pointer") throw new Error("index of nil pointer");
    const items = itemsOf(current);
    if (items) {
      current = items[checkIndex(key, items.length, items.length - 1)];
      continue;
    }
    const members = membersOf(current);
    if (!members) throw new Error(`can't index item of type ${typeOf(current)}`);
    if (typeof key !== "string") {
      throw new Error(`value has type ${typeOf(key)}; should be string`);
    }
    const zero = current instanceof GoMap || current instanceof GoNil ? current.zero : () => null;
    current = members.has(key) ? members.get(key) : zero();
  }
  return current;
}

/** @throws Error in Go's words, which differ right behind the end */
function checkIndex(index: unknown, length: number, last: number): number {
  if (typeof index !== "number") throw new Error(`cannot index slice/array with type ${typeOf(index)}`);
  if (index < 0 || index > length) throw new Error(`index out of range: ${index}`);
  if (index > last) throw new Error("reflect: slice index out of range");
  return index;
}

/** Of a slice or of the bytes of text. */
function slice(value: unknown, bounds: readonly unknown[]): unknown {
  if (value === null || value === undefined) throw new Error("slice of untyped nil");
  const items = itemsOf(value);
  if (!items) throw new Error(`can't slice item of type ${typeOf(value)}`);
  if (bounds.length > 3) throw new Error(`too many slice indexes: ${bounds.length}`);
  if (bounds.length === 3 && typeof value === "string") throw new Error("cannot 3-index slice a string");
  const [from, to] = [0, items.length].map((initial, at) =>
    bounds[at] === undefined ? initial : checkIndex(bounds[at], items.length, items.length),
  ) as [number, number];
  if (from > to) throw new Error(`invalid slice index: ${from} > ${to}`);
  return typeof value === "string"
    ? Buffer.from(value).subarray(from, to).toString()
    : Array.prototype.slice.call(items, from, to);
}

/** The first bytes. */
function truncate(text: string, length: number): string {
  const bytes = Buffer.from(text);
  return bytes.length < length ? text : bytes.subarray(0, length).toString();
}

function lengthOf(value: unknown): number {
  if (value === null || value === undefined) throw new Error("len of nil pointer");
  const size = itemsOf(value)?.length ?? membersOf(value)?.size;
  if (size === undefined) throw new Error(`len of type ${typeOf(value)}`);
  return size;
}

function equal(a: unknown, b: unknown): boolean {
  const [left, right] = [comparable(a), comparable(b)];
  if (left === null || right === null) return left === right;
  if (kindOf(left) !== kindOf(right)) throw new Error("incompatible types for comparison");
  // biome-ignore lint/suspicious/noDoubleEquals: a bigint equals the same number
  return left == right;
}

function compare(a: unknown, b: unknown): number {
  const [left, right] = [comparable(a), comparable(b)];
  if (kindOf(left) !== kindOf(right)) throw new Error("incompatible types for comparison");
  if (kindOf(left) !== "string" && kindOf(left) !== "number") throw new Error("invalid type for comparison");
  const [x, y] = [left as string, right as string];
  return x < y ? -1 : x > y ? 1 : 0;
}

/** Those of every template, Go's own and those that Docker adds; `and`, `or` and `call` belong to the execution. */
export const builtins: Readonly<Record<string, TemplateFunction>> = {
  json: (value) => encodeJson(value),
  split: (text, separator) => String(text).split(String(separator)),
  join: (items, separator) => (Array.isArray(items) ? items.map(formatValue) : []).join(String(separator)),
  title: (text) =>
    String(text).replace(/(^|[^\p{L}\p{N}_'])(\p{L})/gu, (_all, gap, letter) => gap + letter.toUpperCase()),
  lower: (text) => String(text).toLowerCase(),
  upper: (text) => String(text).toUpperCase(),
  pad: (text, before, after) =>
    text === "" ? "" : " ".repeat(Number(before)) + String(text) + " ".repeat(Number(after)),
  truncate: (text, length) => truncate(String(text), Number(length)),
  not: (value) => !isTrue(value),
  len: lengthOf,
  index: (value, ...keys) => indexInto(value, keys),
  slice: (value, ...bounds) => slice(value, bounds),
  print: (...args) => sprint(args),
  println: (...args) => `${args.map(formatValue).join(" ")}\n`,
  printf: (pattern, ...args) => sprintf(String(pattern), args),
  html: (...args) =>
    sprint(args).replace(/[&<>"']/g, (char) =>
      `&#${char.codePointAt(0)};`.replace("&#38;", "&amp;").replace("&#60;", "&lt;").replace("&#62;", "&gt;"),
    ),
  urlquery: (...args) => encodeURIComponent(sprint(args)).replaceAll("%20", "+"),
  js: (...args) => encodeJson(sprint(args)).slice(1, -1),
  eq: (first, ...others) => {
    if (others.length === 0) throw new Error("missing argument for comparison");
    return others.some((other) => equal(first, other));
  },
  ne: (a, b) => !equal(a, b),
  lt: (a, b) => compare(a, b) < 0,
  le: (a, b) => compare(a, b) <= 0,
  gt: (a, b) => compare(a, b) > 0,
  ge: (a, b) => compare(a, b) >= 0,
};

const known: ReadonlySet<string> = new Set([...Object.keys(builtins), "and", "or", "call"]);

/** Whether every template has a function of that name. */
export function isFunction(name: string): boolean {
  return known.has(name);
}
