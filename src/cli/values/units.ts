/**
 * Sizes and durations for people, digit for digit as docker/go-units writes and reads them, and Go's
 * time.Duration syntax. Pure.
 */
import { goQuote } from "./go-text.ts";

const decimalUnits = ["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"];
const binaryUnits = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"];

/** `1.24MB`: decimal units, four significant digits (or `precision`). */
export function humanSize(bytes: number, precision = 4): string {
  return scale(bytes, 1000, decimalUnits, precision);
}

/** `15.63GiB`. */
export function bytesSize(bytes: number): string {
  return scale(bytes, 1024, binaryUnits, 4);
}

function scale(bytes: number, base: number, units: readonly string[], precision: number): string {
  let size = bytes;
  let unit = 0;
  while (size >= base && unit < units.length - 1) {
    size /= base;
    unit++;
  }
  return `${general(size, precision)}${units[unit]}`;
}

/** printf's `%.*g`. */
export function general(value: number, precision: number): string {
  if (value === 0) return "0";
  const exponent = Math.floor(Math.log10(Math.abs(Number(value.toPrecision(precision)))));
  if (exponent < -4 || exponent >= precision) {
    const [mantissa = "", power = ""] = value.toExponential(precision - 1).split("e");
    const trimmed = mantissa.includes(".") ? mantissa.replace(/\.?0+$/, "") : mantissa;
    const digits = power.replace(/[+-]/, "").padStart(2, "0");
    return `${trimmed}e${power.startsWith("-") ? "-" : "+"}${digits}`;
  }
  const text = value.toPrecision(precision);
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

/** `3 minutes`, `About an hour`. @param seconds may be fractional */
export function humanDuration(seconds: number): string {
  const whole = Math.trunc(seconds);
  if (whole < 1) return "Less than a second";
  if (whole === 1) return "1 second";
  if (whole < 60) return `${whole} seconds`;
  const minutes = Math.trunc(seconds / 60);
  if (minutes === 1) return "About a minute";
  if (minutes < 60) return `${minutes} minutes`;
  const hours = Math.trunc(seconds / 3600 + 0.5);
  if (hours === 1) return "About an hour";
  if (hours < 48) return `${hours} hours`;
  if (hours < 24 * 7 * 2) return `${Math.trunc(hours / 24)} days`;
  if (hours < 24 * 30 * 2) return `${Math.trunc(hours / 24 / 7)} weeks`;
  if (hours < 24 * 365 * 2) return `${Math.trunc(hours / 24 / 30)} months`;
  return `${Math.trunc(seconds / 3600 / 24 / 365)} years`;
}

const powers: Readonly<Record<string, number>> = { k: 1, m: 2, g: 3, t: 4, p: 5 };

/** `512m`, `1.5GiB`, `10kb` in bytes (powers of 1024). @throws Error with go-units' wording */
export function parseBytes(text: string): number {
  const match = /^(\d+(?:\.\d+)*(?:[eE][+-]?\d+)?) ?([kmgtpKMGTP])?([iI])?([bB])?$/.exec(text);
  const number = match?.[1];
  if (number === undefined || (match?.[3] !== undefined && match[4] === undefined)) {
    const bad = /^(.*[\d.])\s?(\D+)$/.exec(text);
    throw new Error(bad && /^\d/.test(text) ? `invalid suffix: '${bad[2]}'` : `invalid size: '${text}'`);
  }
  if (!/^\d+(\.\d+)?([eE][+-]?\d+)?$/.test(number)) {
    throw new Error(`strconv.ParseFloat: parsing ${goQuote(number)}: invalid syntax`);
  }
  const power = powers[(match?.[2] ?? "").toLowerCase()] ?? 0;
  return Math.trunc(Number(number) * 1024 ** power);
}

const nanoseconds: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  μs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

/** Go's time.ParseDuration, in nanoseconds. @throws Error with its wording */
export function parseDuration(text: string): number {
  const match = /^([+-]?)(0|(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)$/.exec(text);
  if (!match) {
    if (/^[+-]?(\d+\.?\d*|\.\d+)$/.test(text))
      throw new Error(`time: missing unit in duration ${goQuote(text)}`);
    const unknown = /^[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))*(?:\d+\.?\d*|\.\d+)([^\d.]+)/.exec(
      text,
    );
    if (unknown)
      throw new Error(`time: unknown unit ${goQuote(unknown[1] as string)} in duration ${goQuote(text)}`);
    throw new Error(`time: invalid duration ${goQuote(text)}`);
  }
  let total = 0;
  for (const [, amount, unit] of (match[2] as string).matchAll(/(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g)) {
    total += Number(amount) * (nanoseconds[unit as string] as number);
  }
  return Math.round(match[1] === "-" ? -total : total);
}

/** Go's Duration.String: `1m30s`, `1.5s`, `100ms`. @param value in nanoseconds */
export function formatDuration(value: number): string {
  if (value === 0) return "0s";
  const sign = value < 0 ? "-" : "";
  const magnitude = Math.abs(value);
  if (magnitude < 1e3) return `${sign}${magnitude}ns`;
  if (magnitude < 1e6) return `${sign}${magnitude / 1e3}µs`;
  if (magnitude < 1e9) return `${sign}${magnitude / 1e6}ms`;
  const hours = Math.floor(magnitude / 3600e9);
  const minutes = Math.floor((magnitude % 3600e9) / 60e9);
  const seconds = (magnitude % 60e9) / 1e9;
  return `${sign}${hours > 0 ? `${hours}h` : ""}${hours > 0 || minutes > 0 ? `${minutes}m` : ""}${seconds}s`;
}
