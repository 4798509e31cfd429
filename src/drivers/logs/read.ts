/**
 * Reads a log that `file-sink.ts` wrote, with its elders. All files are opened at the start, oldest first, so that a
 * rotation meanwhile takes nothing away. Only the youngest is followed.
 */
import {
  closeSync,
  createReadStream,
  createWriteStream,
  existsSync,
  openSync,
  readSync,
  rmSync,
} from "node:fs";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { followFile } from "../../base/file-follower.ts";
import { Pace } from "../../base/pace.ts";
import { nanosecondsToUtc, toUtc } from "../../core/log-records.ts";
import type { LogEntry, ReadLogOptions } from "../../core/logs.ts";
import { parseJsonLine } from "./json-lines.ts";
import { findTail, LONGEST_LINE } from "./tail.ts";

const PIECE = 64 * 1024;
const NEWLINE = 10;

export interface ReadFileOptions extends ReadLogOptions {
  /** Settles when all was written: a follower then reads to the end and stops. */
  readonly ended: Promise<unknown>;
}

export async function* readLog(path: string, options: ReadFileOptions): AsyncGenerator<LogEntry, void, void> {
  const { tail, since, until, signal } = options;
  const [first, last] = [since, until].map((bound) =>
    bound === undefined ? undefined : nanosecondsToUtc(bound),
  );
  const files = await openAll(path);
  const youngest = files.at(-1);
  if (youngest === undefined) return;
  try {
    const start = tail === undefined ? { file: 0, offset: 0 } : await findTail(files, tail, parseJsonLine);
    for (const [index, fd] of files.entries()) {
      if (index < start.file) continue;
      const from = index === start.file ? start.offset : 0;
      const following = fd === youngest && options.follow;
      const pieces = following
        ? followFile(path, { fd: takeOver(files, fd), from, until: options.ended, signal })
        : readToEnd(fd, from, signal);
      for await (const entry of toEntries(pieces)) {
        if (signal.aborted) return;
        if (first !== undefined && entry.timestamp < first) continue;
        if (last !== undefined && entry.timestamp > last) return;
        yield entry;
      }
    }
  } finally {
    for (const fd of files) if (fd >= 0) closeSync(fd);
  }
}

/** Descriptors, oldest first. Empty if nothing was ever written. */
async function openAll(path: string): Promise<number[]> {
  const files: number[] = [];
  const add = (fd: number | undefined): boolean => fd !== undefined && files.unshift(fd) > 0;
  add(openIfThere(path));
  for (let number = 1; ; number++) {
    const elder = `${path}.${number}`;
    if (!add(openIfThere(elder)) && !add(await openCompressed(`${elder}.gz`))) return files;
  }
}

function openIfThere(path: string): number | undefined {
  try {
    return openSync(path, "r");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}

/** Of a file without a name that holds what was compressed. */
async function openCompressed(path: string): Promise<number | undefined> {
  if (!existsSync(path)) return undefined;
  const plain = `${path}.${process.pid}-${performance.now()}.tmp`;
  try {
    await pipeline(createReadStream(path), createGunzip(), createWriteStream(plain, { mode: 0o600 }));
    return openSync(plain, "r");
  } finally {
    rmSync(plain, { force: true });
  }
}

/** The follower closes it from now on. */
function takeOver(files: number[], fd: number): number {
  files[files.indexOf(fd)] = -1;
  return fd;
}

function* readToEnd(fd: number, from: number, signal: AbortSignal): Generator<Uint8Array, void, void> {
  for (let position = from; !signal.aborted; ) {
    const piece = Buffer.allocUnsafe(PIECE);
    const count = readSync(fd, piece, 0, PIECE, position);
    if (count === 0) return;
    position += count;
    yield piece.subarray(0, count);
  }
}

/** What is no record (torn by a crash) is skipped. */
async function* toEntries(
  pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<LogEntry, void, void> {
  const pace = new Pace();
  let rest: Uint8Array = new Uint8Array(0);
  // What is longer than a line can be (a hole that a crash left) is not kept, only its end is looked for.
  let skipping = false;
  for await (const piece of pieces) {
    const bytes = rest.length === 0 ? piece : Buffer.concat([rest, piece]);
    let start = 0;
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
      const record = skipping ? undefined : parseJsonLine(bytes.subarray(start, end));
      skipping = false;
      start = end + 1;
      if (record) yield { ...record, timestamp: toUtc(record.timestamp) };
    }
    skipping ||= bytes.length - start > LONGEST_LINE;
    rest = skipping ? new Uint8Array(0) : bytes.slice(start);
    // Whoever filters most of it away never waits for a client.
    await pace.breathe();
  }
}
