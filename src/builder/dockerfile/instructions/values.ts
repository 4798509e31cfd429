/** Small values of flags: comma-separated fields, booleans, numbers, sizes and durations, read as Go reads them. */
import { DockerfileError } from "../source/errors.ts";

/** One line of comma-separated values, with quotes as in CSV. @throws DockerfileError */
export function parseCsv(line: string): string[] {
  if (line === "") throw new DockerfileError("EOF");
  const fields: string[] = [];
  let at = 0;
  for (;;) {
    const field = line[at] === '"' ? quotedField(line, at) : plainField(line, at);
    fields.push(field.text);
    if (field.end >= line.length) return fields;
    at = field.end + 1;
  }
}

function plainField(line: string, from: number): { text: string; end: number } {
  const comma = line.indexOf(",", from);
  const end = comma < 0 ? line.length : comma;
  const text = line.slice(from, end);
  const quote = text.indexOf('"');
  if (quote >= 0) throw csvError(from + quote, 'bare " in non-quoted-field');
  return { text, end };
}

function quotedField(line: string, from: number): { text: string; end: number } {
  let text = "";
  let at = from + 1;
  for (;;) {
    const quote = line.indexOf('"', at);
    if (quote < 0) throw csvError(line.length, 'extraneous or missing " in quoted-field');
    text += line.slice(at, quote);
    const next = line[quote + 1];
    if (next === undefined || next === ",") return { text, end: quote + 1 };
    if (next !== '"') throw csvError(quote, 'extraneous or missing " in quoted-field');
    text += '"';
    at = quote + 2;
  }
}

function csvError(column: number, what: string): DockerfileError {
  return new DockerfileError(`parse error on line 1, column ${column + 1}: ${what}`);
}

/** Go's ParseBool, or undefined. */
export function parseBool(text: string): boolean | undefined {
  if (["1", "t", "T", "true", "TRUE", "True"].includes(text)) return true;
  return ["0", "f", "F", "false", "FALSE", "False"].includes(text) ? false : undefined;
}

/** A whole number below 2³² in the given base, or undefined. */
export function parseUint32(text: string, base: 8 | 10): number | undefined {
  if (!(base === 8 ? /^[0-7]+$/ : /^[0-9]+$/).test(text)) return undefined;
  const value = Number.parseInt(text, base);
  return value < 2 ** 32 ? value : undefined;
}

/** A size in bytes with a suffix as Docker's: `10m`, `1.5GiB`; or undefined. */
export function parseRamBytes(text: string): number | undefined {
  const [, amount, unit] = /^(\d+(?:\.\d+)?) ?([kmgtpKMGTP])?(?:i?[bB])?$/.exec(text) ?? [];
  if (amount === undefined) return undefined;
  const power = unit === undefined ? 0 : "kmgtp".indexOf(unit.toLowerCase()) + 1;
  return Math.trunc(Number(amount) * 1024 ** power);
}

const UNITS: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  μs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};
const PART = /(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/gy;

/** Go's ParseDuration, in nanoseconds. @throws DockerfileError in its words */
export function parseDuration(text: string): number {
  const quoted = JSON.stringify(text);
  const [, sign, amount = ""] = /^([+-]?)([\s\S]*)$/.exec(text) ?? [];
  if (amount === "0") return 0;
  let total = 0;
  let end = 0;
  for (const [part, number, unit] of amount.matchAll(PART)) {
    total += Number(number) * (UNITS[unit ?? ""] ?? 0);
    end += part.length;
  }
  if (amount === "" || end === 0 || end !== amount.length) {
    const [, unit] = /^(?:\d+\.?\d*|\.\d+)([^\d.]*)/.exec(amount.slice(end)) ?? [];
    if (unit === undefined) throw new DockerfileError(`time: invalid duration ${quoted}`);
    if (unit === "") throw new DockerfileError(`time: missing unit in duration ${quoted}`);
    throw new DockerfileError(`time: unknown unit ${JSON.stringify(unit)} in duration ${quoted}`);
  }
  return Math.round(sign === "-" ? -total : total);
}
