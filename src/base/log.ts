/** The daemon's own log: one line a record, control characters escaped (a container's name must not forge a line). */

export type LogLevel = "debug" | "info" | "warn" | "error";

const order: Record<LogLevel, number> = { debug: 0, info: 1, warn: 2, error: 3 };
let threshold: LogLevel = "info";

export function setLogLevel(level: LogLevel): void {
  threshold = level;
}

/** `fields` are facts about the record; secrets never go in. An `error` field is shown by its message. */
export function log(level: LogLevel, message: string, fields: Readonly<Record<string, unknown>> = {}): void {
  if (order[level] < order[threshold]) return;
  const parts = [`time=${new Date().toISOString()}`, `level=${level}`, `msg=${JSON.stringify(message)}`];
  for (const [key, value] of Object.entries(fields)) {
    if (value !== undefined)
      parts.push(`${key}=${JSON.stringify(value instanceof Error ? value.message : value)}`);
  }
  process.stderr.write(`${parts.join(" ")}\n`);
}
