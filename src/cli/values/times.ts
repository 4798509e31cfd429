/** Points in time: as flags give them, and as Go prints them. */
import { parseDuration } from "./units.ts";
import { zoneName } from "./zones.ts";

/**
 * A time of `--since` and `--until` for the engine: unix seconds, RFC 3339 or a date, or a duration before now
 * (`42m`), to the second. What is none of these goes to the engine as it is, which refuses it.
 * @param now milliseconds
 * @see moby `api/types/time` GetTimestamp
 */
export function toEngineTime(text: string, now: number): string {
  if (text === "") return "";
  const before = durationOf(text);
  if (before !== undefined) return String(Math.floor((now - before / 1e6) / 1000));
  if (/^-?\d+(\.\d+)?$/.test(text)) return text;
  const match = /^(\d{4}-\d\d-\d\d)(?:T(\d\d(?::\d\d(?::\d\d)?)?)(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)?$/.exec(
    text,
  );
  if (!match) throw new Error(`failed to parse value as time or duration: ${JSON.stringify(text)}`);
  const [, date, clock = "00:00:00", fraction = "", zone = ""] = match;
  const full = `${clock}:00:00`.slice(0, 8);
  const milliseconds = Date.parse(`${date}T${full}${zone}`);
  const nanoseconds = BigInt(fraction.slice(1).padEnd(9, "0") || "0");
  return withNanoseconds(BigInt(milliseconds) * 1_000_000n + nanoseconds);
}

/** Nanoseconds. A bare `0` is the beginning of time. */
function durationOf(text: string): number | undefined {
  if (text === "0") return undefined;
  try {
    return parseDuration(text);
  } catch {
    return undefined;
  }
}

function withNanoseconds(total: bigint): string {
  return `${total / 1_000_000_000n}.${String(total % 1_000_000_000n).padStart(9, "0")}`;
}

/** Go's Time.String in local time: `2026-11-23 20:58:01 +0000 UTC`. */
export function goTime(seconds: number): string {
  const date = new Date(seconds * 1000);
  return `${localClock(date, " ")} ${offset(date, "")} ${zoneName(date)}`;
}

/** The same for a timestamp of the API, in its own offset and with its fraction; an offset that is ours has our name. */
export function goTimeOf(timestamp: string): string {
  const match = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(\.\d+)?(Z|([+-]\d\d):(\d\d))$/.exec(timestamp);
  if (!match) return timestamp;
  const [, date, clock, fraction = "", zone, hours, minutes] = match;
  const trimmed = fraction.replace(/\.?0+$/, "");
  if (zone === "Z") return `${date} ${clock}${trimmed} +0000 UTC`;
  const here = new Date(timestamp);
  const name = offset(here, "") === `${hours}${minutes}` ? zoneName(here) : `${hours}${minutes}`;
  return `${date} ${clock}${trimmed} ${hours}${minutes} ${name}`;
}

/** RFC 3339 in local time with all nine digits. @param nanoseconds since 1970 */
export function rfc3339Nano(nanoseconds: bigint): string {
  const date = new Date(Number(nanoseconds / 1_000_000n));
  const fraction = String(nanoseconds % 1_000_000_000n).padStart(9, "0");
  const zone = date.getTimezoneOffset() === 0 ? "Z" : offset(date, ":");
  return `${localClock(date, "T")}.${fraction}${zone}`;
}

function localClock(date: Date, separator: string): string {
  const two = (value: number): string => String(value).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}${separator}${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

function offset(date: Date, colon: string): string {
  const minutes = -date.getTimezoneOffset();
  const magnitude = Math.abs(minutes);
  const two = (value: number): string => String(value).padStart(2, "0");
  return `${minutes < 0 ? "-" : "+"}${two(Math.trunc(magnitude / 60))}${colon}${two(magnitude % 60)}`;
}
