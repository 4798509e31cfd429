/** Where the last lines of a log begin: found from the end, in blocks, however large the files are. */
import { fstatSync, readSync } from "node:fs";
import { Pace } from "../../base/pace.ts";
import type { LogRecord } from "../../core/log-records.ts";

const BLOCK = 64 * 1024;
/** A line is a part of at most 8 KiB, whose characters may each be escaped: a longer one is no record. */
export const LONGEST_LINE = 128 * 1024;

type Parse = (line: Uint8Array) => LogRecord | undefined;
const NEWLINE = 10;

export interface Place {
  /** Index in the list of files. */
  readonly file: number;
  /** Byte. */
  readonly offset: number;
}

/** @param files descriptors, oldest first @param lines a line in parts counts once, at its end */
export async function findTail(files: readonly number[], lines: number, parse: Parse): Promise<Place> {
  const pace = new Pace();
  const counter = new LineCounter(lines, parse);
  for (let file = files.length - 1; file >= 0; file--) {
    const offset = await scanBackwards(files[file] ?? -1, counter, pace);
    if (offset !== undefined) return { file, offset };
  }
  return { file: 0, offset: 0 };
}

/** Takes records from the last to the first, and says when one too many was seen. */
class LineCounter {
  #left: number;
  #last = true;
  readonly #parse: Parse;

  constructor(lines: number, parse: Parse) {
    this.#left = lines;
    this.#parse = parse;
  }

  /** False: the lines wanted begin behind this record. */
  take(line: Uint8Array): boolean {
    const record = this.#parse(line);
    if (!record) return true;
    // A part without an end counts only as the very last: somebody is still writing that line.
    if (!record.partial || this.#last) this.#left--;
    this.#last = false;
    return this.#left >= 0;
  }
}

/** @returns the offset behind the record that was one too many, or undefined if the whole file is wanted */
async function scanBackwards(fd: number, counter: LineCounter, pace: Pace): Promise<number | undefined> {
  let position = await lastNewline(fd, pace);
  // The end of a record whose beginning lies in the block before.
  let carry: Uint8Array = new Uint8Array(0);
  // What is longer than a record can be (a hole that a crash left) is not kept, only its beginning is looked for.
  let skipping = false;
  while (position > 0) {
    await pace.breathe();
    const from = Math.max(0, position - BLOCK);
    const bytes = Buffer.concat([readBlock(fd, from, position), carry]);
    let end = bytes.length;
    for (;;) {
      // A negative index would count from the end.
      const last = skipping ? end - 1 : end - 2;
      const before = last < 0 ? -1 : bytes.lastIndexOf(NEWLINE, last);
      if (before < 0) break;
      if (!skipping && !counter.take(bytes.subarray(before + 1, end))) return from + end;
      skipping = false;
      end = before + 1;
    }
    skipping ||= end > LONGEST_LINE;
    carry = skipping ? new Uint8Array(0) : bytes.subarray(0, end);
    position = from;
  }
  return carry.length > 0 && !counter.take(carry) ? carry.length : undefined;
}

/** The offset behind the last newline: what follows it is being written, or was torn off by a crash. */
async function lastNewline(fd: number, pace: Pace): Promise<number> {
  for (let position = fstatSync(fd).size; position > 0; ) {
    await pace.breathe();
    const from = Math.max(0, position - BLOCK);
    const at = readBlock(fd, from, position).lastIndexOf(NEWLINE);
    if (at >= 0) return from + at + 1;
    position = from;
  }
  return 0;
}

function readBlock(fd: number, from: number, to: number): Buffer {
  const block = Buffer.allocUnsafe(to - from);
  const count = readSync(fd, block, 0, block.length, from);
  return block.subarray(0, count);
}
