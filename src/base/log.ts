/** The daemon's own log: one line a record, control characters escaped (a container's name must not forge a line). */

export type LogLevel = "debug" | "info" | "warn" | "error";

const order: Record<LogLevel, number> = { debug: 0, info: 1, warn: 2, error: 3 };
let threshold: LogLevel = "info";
let format: "text" | "json" = "text";

/** What is less important than this is not written from now on. */
export function setLogLevel(level: LogLevel): void {
  threshold = level;
}

/** `json`: an object a line. */
export function setLogFormat(wanted: "text" | "json"): void {
  format = wanted;
}

/** `fields` are facts about the record; secrets never go in. An `error` field is shown by its message. */
export function log(level: LogLevel, message: string, fields: Readonly<Record<string, unknown>> = {}): void {
  if (order[level] < order[threshold]) return;
  const record: [string, unknown][] = [
    ["time", new Date().toISOString()],
    ["level", level],
    ["msg", message],
  ];
  for (const [key, value] of Object.entries(fields)) {
    if (value !== undefined) record.push([key, value instanceof Error ? value.message : value]);
  }
  process.stderr.write(`${format === "json" ? escaped(Object.fromEntries(record)) : toText(record)}\n`);
}

function toText([time, level, ...others]: readonly [string, unknown][]): string {
  const plain = [time, level].map((pair) => pair?.join("="));
  return [...plain, ...others.map(([key, value]) => `${key}=${escaped(value)}`)].join(" ");
}

/** JSON leaves alone what is a control character or the end of a line to many a terminal all the same. */
function escaped(value: unknown): string {
  return JSON.stringify(value).replace(
    /[\u007f-\u009f\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
