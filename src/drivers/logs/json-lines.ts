/**
 * Docker's json-file format, which log collectors read: an object a line.
 *
 *     {"log":"a line\n","stream":"stdout","attrs":{"tag":"x"},"time":"2026-11-23T21:21:31.174572634Z"}
 *
 * A part of a longer line has no newline at the end of its text. What is no UTF-8 becomes U+FFFD, as in Docker.
 */
import type { LogRecord } from "../../core/log-records.ts";

const NEWLINE = 10;

/** Turns records into lines. A character whose bytes came in two parts of a line is put together. */
export class JsonLineWriter {
  readonly #tail: string;
  readonly #rests: Record<LogRecord["stream"], Uint8Array | undefined> = {
    stdout: undefined,
    stderr: undefined,
  };

  /** @param attributes of every line */
  constructor(attributes: Readonly<Record<string, string>>) {
    this.#tail = Object.keys(attributes).length === 0 ? "" : `,"attrs":${JSON.stringify(attributes)}`;
  }

  toLine(record: LogRecord): string {
    const text = JSON.stringify(this.#textOf(record));
    return `{"log":${text},"stream":"${record.stream}"${this.#tail},"time":"${toZulu(record.timestamp)}"}\n`;
  }

  #textOf({ stream, bytes, partial }: LogRecord): string {
    const rest = this.#rests[stream];
    const whole = rest ? Buffer.concat([rest, bytes]) : asBuffer(bytes);
    const cut = partial ? incompleteAtEnd(whole) : 0;
    this.#rests[stream] = cut > 0 ? Buffer.from(whole.subarray(whole.length - cut)) : undefined;
    return whole.toString("utf8", 0, whole.length - cut);
  }
}

/** @param line with its newline @returns undefined if it is no record (torn, or not ours) */
export function parseJsonLine(line: Uint8Array): LogRecord | undefined {
  let value: unknown;
  try {
    value = JSON.parse(asBuffer(line).toString("utf8"));
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { log, stream, time } = value as { log?: unknown; stream?: unknown; time?: unknown };
  if (typeof log !== "string" || typeof time !== "string") return undefined;
  if (stream !== "stdout" && stream !== "stderr") return undefined;
  const bytes = Buffer.from(log);
  return { stream, timestamp: time, bytes, partial: bytes.at(-1) !== NEWLINE };
}

/** The monitor writes UTC as `+00:00`. */
export function toZulu(timestamp: string): string {
  return timestamp.endsWith("+00:00") ? `${timestamp.slice(0, -6)}Z` : timestamp;
}

/** How many bytes at the end begin a character that goes on: 0–3. */
function incompleteAtEnd(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] ?? 0;
    if (byte < 0x80) return 0;
    if (byte >= 0xc0) {
      const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
      return back < length ? back : 0;
    }
  }
  return 0;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
