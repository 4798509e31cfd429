/** How Go writes values in the comments of a classic build's history. */
import type { HealthConfig } from "./run-config.ts";

/** `%q` of a string: JSON's form but for control characters. */
export function quoted(text: string): string {
  return JSON.stringify(text).replace(/\\u00([01][0-9a-f])/g, "\\x$1");
}

/** `%q` of a list of strings. */
export function quotedList(words: readonly string[]): string {
  return `[${words.map(quoted).join(" ")}]`;
}

/** `%q` of a pointer to a health check. */
export function quotedHealth(health: HealthConfig): string {
  const durations = [health.Interval, health.Timeout, health.StartPeriod, health.StartInterval];
  const fields = [
    quotedList(health.Test ?? []),
    ...durations.map((nanoseconds) => quoted(toDuration(nanoseconds ?? 0))),
  ];
  return `&{${fields.join(" ")} ${quotedRune(health.Retries ?? 0)}}`;
}

function quotedRune(code: number): string {
  if (code >= 0x20 && code < 0x7f) return `'${String.fromCharCode(code)}'`;
  return `'\\x${code.toString(16).padStart(2, "0")}'`;
}

/** Go's time.Duration: `1m30s`, `500ms`. */
export function toDuration(nanoseconds: number): string {
  if (nanoseconds === 0) return "0s";
  if (nanoseconds < 1e3) return `${nanoseconds}ns`;
  if (nanoseconds < 1e6) return `${nanoseconds / 1e3}µs`;
  if (nanoseconds < 1e9) return `${nanoseconds / 1e6}ms`;
  const hours = Math.floor(nanoseconds / 3600e9);
  const minutes = Math.floor((nanoseconds % 3600e9) / 60e9);
  const seconds = (nanoseconds % 60e9) / 1e9;
  return `${hours > 0 ? `${hours}h` : ""}${hours > 0 || minutes > 0 ? `${minutes}m` : ""}${seconds}s`;
}
