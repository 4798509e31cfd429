/** Points in time: as flags give them, and as Go prints them. */
import { parseDuration } from "./units.ts";

/**
 * A time of `--since` and `--until` for the engine: unix seconds, RFC 3339 or a date, or a duration before now
 * (`42m`). What is none of these goes to the engine as it is, which refuses it.
 * @param now milliseconds
 */
export function toEngineTime(text: string, now: number): string {
  if (text === "") return "";
  try {
    return withNanoseconds(BigInt(Math.trunc(now)) * 1_000_000n - BigInt(parseDuration(text)));
  } catch {
    // not a duration
  }
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

function withNanoseconds(total: bigint): string {
  return `${total / 1_000_000_000n}.${String(total % 1_000_000_000n).padStart(9, "0")}`;
}

/** Go's Time.String in local time: `2026-11-23 20:58:01 +0000 UTC`. */
export function goTime(seconds: number): string {
  const date = new Date(seconds * 1000);
  return `${localClock(date, " ")} ${offset(date, "")} ${zoneName(date)}`;
}

/** The same for a timestamp of the API, in its own offset and with its fraction. */
export function goTimeOf(timestamp: string): string {
  const match = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(\.\d+)?(Z|([+-]\d\d):(\d\d))$/.exec(timestamp);
  if (!match) return timestamp;
  const [, date, clock, fraction = "", zone, hours, minutes] = match;
  const trimmed = fraction.replace(/\.?0+$/, "");
  if (zone === "Z") return `${date} ${clock}${trimmed} +0000 UTC`;
  return `${date} ${clock}${trimmed} ${hours}${minutes} ${hours}${minutes}`;
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

function zoneName(date: Date): string {
  if (date.getTimezoneOffset() === 0) return "UTC";
  const parts = new Intl.DateTimeFormat("en-US", { timeZoneName: "short" }).formatToParts(date);
  return parts.find(({ type }) => type === "timeZoneName")?.value ?? "";
}
