/** Where the last lines of a log begin: found from the end, in blocks, however large the files are. */
import { fstatSync, readSync } from "node:fs";
import { parseRecord } from "../../core/log-records.ts";

const BLOCK = 64 * 1024;
const NEWLINE = 10;

export interface Place {
  /** Index in the list of files. */
  readonly file: number;
  /** Byte. */
  readonly offset: number;
}

/** @param files descriptors, oldest first @param lines a line in parts counts once, at its end */
export function findTail(files: readonly number[], lines: number): Place {
  const counter = new LineCounter(lines);
  for (let file = files.length - 1; file >= 0; file--) {
    const offset = scanBackwards(files[file] ?? -1, counter);
    if (offset !== undefined) return { file, offset };
  }
  return { file: 0, offset: 0 };
}

/** Takes records from the last to the first, and says when one too many was seen. */
class LineCounter {
  #left: number;
  #last = true;

  constructor(lines: number) {
    this.#left = lines;
  }

  /** False: the lines wanted begin behind this record. */
  take(line: Uint8Array): boolean {
    const record = parseRecord(line);
    if (!record) return true;
    // A part without an end counts only as the very last: somebody is still writing that line.
    if (!record.partial || this.#last) this.#left--;
    this.#last = false;
    return this.#left >= 0;
  }
}

/** @returns the offset behind the record that was one too many, or undefined if the whole file is wanted */
function scanBackwards(fd: number, counter: LineCounter): number | undefined {
  let position = lastNewline(fd);
  // The end of a record whose beginning lies in the block before.
  let carry: Uint8Array = new Uint8Array(0);
  while (position > 0) {
    const from = Math.max(0, position - BLOCK);
    const bytes = Buffer.concat([readBlock(fd, from, position), carry]);
    let end = bytes.length;
    for (;;) {
      // A negative index would count from the end.
      const before = end < 2 ? -1 : bytes.lastIndexOf(NEWLINE, end - 2);
      if (before < 0) break;
      if (!counter.take(bytes.subarray(before + 1, end))) return from + end;
      end = before + 1;
    }
    carry = bytes.subarray(0, end);
    position = from;
  }
  return carry.length > 0 && !counter.take(carry) ? carry.length : undefined;
}

/** The offset behind the last newline: what follows it is being written, or was torn off by a crash. */
function lastNewline(fd: number): number {
  for (let position = fstatSync(fd).size; position > 0; ) {
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
