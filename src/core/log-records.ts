/**
 * The log file's format, as the monitor writes it (the Kubernetes CRI log format): one record a line,
 *
 *     2026-11-23T21:21:31.174572634+00:00 stdout F a whole line
 *     2026-11-23T21:21:31.174572634+00:00 stderr P a part of a line, without its newline
 *
 * Pure. Timestamps are written in UTC; another offset is understood.
 */

export interface LogRecord {
  readonly stream: "stdout" | "stderr";
  /** As it stands in the file: `toUtc` reads it. */
  readonly timestamp: string;
  /** The bytes that the process wrote: a whole line has its newline. A view of the parser's buffer, never reused. */
  readonly bytes: Uint8Array;
  /** No newline followed. */
  readonly partial: boolean;
}

const NEWLINE = 10;
const SPACE = 32;
/** The monitor reads 8 KiB at a time: a longer record is no record. */
const LONGEST_RECORD = 64 * 1024;
const decoder = new TextDecoder("latin1");

/** Cuts a file's bytes into records, in pieces of any size. What is no record (torn by a crash) is skipped. */
export class LogRecordParser {
  #rest: Uint8Array = new Uint8Array(0);
  #skipping: boolean;

  /** @param torn the first piece begins in the midst of a record */
  constructor({ torn = false }: { torn?: boolean } = {}) {
    this.#skipping = torn;
  }

  /** Bytes at the end of what was pushed that are no whole record yet. */
  get pending(): number {
    return this.#rest.length;
  }

  /** The records that are complete with this piece. */
  push(piece: Uint8Array): LogRecord[] {
    const bytes = this.#rest.length === 0 ? piece : concat(this.#rest, piece);
    const records: LogRecord[] = [];
    let start = 0;
    for (;;) {
      const end = bytes.indexOf(NEWLINE, start);
      if (end < 0) break;
      const record = this.#skipping ? undefined : parseRecord(bytes.subarray(start, end + 1));
      this.#skipping = false;
      if (record) records.push(record);
      start = end + 1;
    }
    this.#rest = bytes.slice(start);
    if (this.#rest.length > LONGEST_RECORD) {
      this.#rest = new Uint8Array(0);
      this.#skipping = true;
    }
    return records;
  }
}

/** @param line with its newline @returns undefined if it is no record */
function parseRecord(line: Uint8Array): LogRecord | undefined {
  const timeEnd = line.indexOf(SPACE);
  // 20 is the least: a time without a fraction, in UTC.
  if (timeEnd < 20 || timeEnd > 40) return undefined;
  const streamEnd = line.indexOf(SPACE, timeEnd + 1);
  if (streamEnd !== timeEnd + 7 || line[streamEnd + 2] !== SPACE) return undefined;
  const stream = decoder.decode(line.subarray(timeEnd + 1, streamEnd));
  const tag = line[streamEnd + 1];
  if ((stream !== "stdout" && stream !== "stderr") || (tag !== 80 && tag !== 70)) return undefined;
  const timestamp = decoder.decode(line.subarray(0, timeEnd));
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/.test(timestamp)) return undefined;
  const partial = tag === 80;
  return { stream, timestamp, partial, bytes: line.subarray(streamEnd + 3, partial ? -1 : undefined) };
}

/** A timestamp of a record as Docker shows it: UTC, nine digits. */
export function toUtc(timestamp: string): string {
  // As the engine's own logs have it: nothing to reckon, and there are millions of them.
  if (timestamp.endsWith("Z")) {
    return timestamp.length === 30
      ? timestamp
      : `${timestamp.slice(0, 19)}.${timestamp.slice(20, -1).padEnd(9, "0")}Z`;
  }
  const { seconds, nanoseconds } = split(timestamp);
  return `${new Date(seconds * 1000).toISOString().slice(0, 19)}.${nanoseconds}Z`;
}

/** The same of nanoseconds since the epoch: such texts sort as the times do. */
export function nanosecondsToUtc(nanoseconds: bigint): string {
  const seconds = nanoseconds / 1_000_000_000n;
  const fraction = (nanoseconds % 1_000_000_000n).toString().padStart(9, "0");
  return `${new Date(Number(seconds) * 1000).toISOString().slice(0, 19)}.${fraction}Z`;
}

function split(timestamp: string): { seconds: number; nanoseconds: string } {
  const [, fraction = "", zone = "Z"] = /^.{19}(?:\.(\d+))?(Z|[+-]\d\d:\d\d)?$/.exec(timestamp) ?? [];
  const seconds = Date.parse(`${timestamp.slice(0, 19)}${zone}`) / 1000;
  return { seconds, nanoseconds: fraction.padEnd(9, "0").slice(0, 9) };
}

function concat(first: Uint8Array, second: Uint8Array): Uint8Array {
  const whole = new Uint8Array(first.length + second.length);
  whole.set(first);
  whole.set(second, first.length);
  return whole;
}
