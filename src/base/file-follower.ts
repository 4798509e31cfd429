/**
 * Reads a growing file, across rotation by renaming: `log` → `log.1` → `log.2`, while the writer goes on in a new
 * `log`. Memory is bounded by one piece: what is not asked for is not read.
 */
import {
  closeSync,
  existsSync,
  type FSWatcher,
  fstatSync,
  openSync,
  readSync,
  statSync,
  watch,
} from "node:fs";
import { dirname } from "node:path";
import { onSettled } from "./settled.ts";

const PIECE = 64 * 1024;
/** Looks again even if no event came: a watch may lose some under load. Milliseconds. */
const RECHECK = 2000;

export interface FollowOptions {
  /** Byte to begin at; `end`: what is written from now on. */
  readonly from: number | "end";
  /** The file, if it is open already: it is closed at the end. */
  readonly fd?: number;
  /** Reads to the end and stops once this settled. Without it: stops at the end at once. */
  readonly until?: Promise<unknown>;
  readonly signal?: AbortSignal;
}

/** Opens at once, so that `end` means the time of this call. @throws ENOENT if the file is not there */
export function followFile(path: string, options: FollowOptions): AsyncGenerator<Uint8Array, void, void> {
  const fd = options.fd ?? openSync(path, "r");
  const position = options.from === "end" ? fstatSync(fd).size : options.from;
  return new Follower(path, fd, position, options).pieces();
}

class Follower {
  readonly #path: string;
  readonly #options: FollowOptions;
  #fd: number;
  #position: number;
  #wake: () => void = () => {};
  #news = false;
  #ended = false;
  #started = false;

  constructor(path: string, fd: number, position: number, options: FollowOptions) {
    this.#path = path;
    this.#fd = fd;
    this.#position = position;
    this.#options = options;
    // A reader that never began to read has no other way to give the file up.
    options.signal?.addEventListener("abort", () => !this.#started && this.#close(), { once: true });
  }

  #close(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }

  async *pieces(): AsyncGenerator<Uint8Array, void, void> {
    const { until, signal } = this.#options;
    if (signal?.aborted) return this.#close();
    this.#started = true;
    const watcher = until && this.#watch();
    const onEnd = (): void => {
      this.#ended = true;
      this.#notice();
    };
    const onAbort = (): void => this.#notice();
    signal?.addEventListener("abort", onAbort, { once: true });
    using _end = until && onSettled(until, onEnd);
    try {
      while (!signal?.aborted) {
        // Taken before reading: what is written after this leads to another round.
        const ended = this.#ended || until === undefined;
        this.#news = false;
        const piece = this.#read();
        if (piece) yield piece;
        else if (this.#moveOn()) continue;
        else if (ended) return;
        else await this.#waitForNews();
      }
    } finally {
      signal?.removeEventListener("abort", onAbort);
      watcher?.close();
      this.#close();
    }
  }

  /** Undefined when the host has no watch to give: then it is looked again every two seconds. */
  #watch(): FSWatcher | undefined {
    try {
      const watcher = watch(dirname(this.#path), { persistent: false }, () => this.#notice());
      return watcher.on("error", () => {});
    } catch {
      return undefined;
    }
  }

  #read(): Uint8Array | undefined {
    const piece = Buffer.allocUnsafe(PIECE);
    const count = readSync(this.#fd, piece, 0, PIECE, this.#position);
    this.#position += count;
    // It was emptied: it begins anew.
    if (count === 0 && fstatSync(this.#fd).size < this.#position) {
      this.#position = 0;
      return this.#read();
    }
    return count === 0 ? undefined : piece.subarray(0, count);
  }

  /** To the next younger file, if this one was rotated away and the writer has left it. True if there is one. */
  #moveOn(): boolean {
    const own = fstatSync(this.#fd).ino;
    if (inodeOf(this.#path) === own) return false;
    // Renamed, and the writer has not opened a new one yet: it still writes to this one.
    if (!existsSync(this.#path)) return false;
    // It may have written between the last read and now.
    if (fstatSync(this.#fd).size > this.#position) return true;
    const next = this.#nextAfter(own);
    closeSync(this.#fd);
    this.#fd = next;
    this.#position = 0;
    return true;
  }

  /** A reader that was slow may be several files behind; one whose file was deleted goes on with the oldest. */
  #nextAfter(own: number): number {
    const older: string[] = [];
    for (let number = 1; existsSync(`${this.#path}.${number}`); number++)
      older.push(`${this.#path}.${number}`);
    const at = older.findIndex((path) => inodeOf(path) === own);
    const next = at < 0 ? older.at(-1) : older[at - 1];
    try {
      return openSync(next ?? this.#path, "r");
    } catch {
      // Rotated once more meanwhile.
      return openSync(this.#path, "r");
    }
  }

  #notice(): void {
    this.#news = true;
    this.#wake();
  }

  async #waitForNews(): Promise<void> {
    if (this.#news) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    const timer = setTimeout(resolve, RECHECK);
    timer.unref();
    await promise;
    clearTimeout(timer);
  }
}

function inodeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.ino;
}
