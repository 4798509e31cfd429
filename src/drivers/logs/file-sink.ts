/**
 * Writes records to a file that is put aside when it is full: `log` → `log.1` → `log.2`, compressed from `.1.gz` on if
 * that was asked for. The bound holds for every line: no file is longer than its size and one line more.
 */
import {
  closeSync,
  existsSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { open, readFile, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { log } from "../../base/log.ts";
import type { LogRecord } from "../../core/log-records.ts";
import type { LogSink } from "../../core/logs.ts";
import { JsonLineWriter } from "./json-lines.ts";
import type { LogRotation } from "./options.ts";

export interface FileSinkOptions {
  readonly path: string;
  /** Undefined: one file that grows. */
  readonly rotation: LogRotation | undefined;
  readonly attributes: Readonly<Record<string, string>>;
  /** What an earlier sink of this file had as its mark: what is behind it is written once more. Undefined: all stays. */
  readonly mark: number | undefined;
}

export class FileSink implements LogSink {
  readonly #path: string;
  readonly #rotation: LogRotation | undefined;
  readonly #lines: JsonLineWriter;
  #fd: number;
  #size: number;
  #compressing: Promise<void> = Promise.resolve();

  constructor({ path, rotation, attributes, mark }: FileSinkOptions) {
    this.#path = path;
    this.#rotation = rotation;
    this.#lines = new JsonLineWriter(attributes);
    mkdirSync(dirname(path), { recursive: true, mode: 0o710 });
    this.#fd = openSync(path, "a", 0o640);
    this.#size = fstatSync(this.#fd).size;
    if (mark !== undefined && mark < this.#size) {
      ftruncateSync(this.#fd, mark);
      this.#size = mark;
    }
  }

  get mark(): number {
    return this.#size;
  }

  async write(records: readonly LogRecord[]): Promise<void> {
    const most = this.#rotation?.maxSize ?? Number.POSITIVE_INFINITY;
    let text = "";
    let size = 0;
    const flush = (): void => {
      if (text !== "") this.#append(Buffer.from(text));
      text = "";
      size = 0;
    };
    for (const record of records) {
      if (this.#size + size >= most) {
        flush();
        // By a guess that is never too small: characters may be several bytes.
        if (this.#size >= most) await this.#rotate();
      }
      const line = this.#lines.toLine(record);
      text += line;
      size += most === Number.POSITIVE_INFINITY ? line.length : Buffer.byteLength(line);
    }
    flush();
  }

  async close(): Promise<void> {
    await this.#compressing;
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }

  /** Empties all of it. */
  clear(): void {
    ftruncateSync(this.#fd, 0);
    this.#size = 0;
    removeElders(this.#path);
  }

  #append(bytes: Buffer): void {
    let written = 0;
    try {
      while (written < bytes.length) written += writeSync(this.#fd, bytes, written);
      this.#size += written;
    } catch (error) {
      // A torn line would swallow the next one: on a full disk this is tried again, from here.
      ftruncateSync(this.#fd, this.#size);
      throw error;
    }
  }

  async #rotate(): Promise<void> {
    const { maxFiles, compress } = this.#rotation ?? { maxFiles: 1, compress: false };
    // Its name is taken by the next one: one rotation's work at a time.
    await this.#compressing;
    if (maxFiles === 1) {
      ftruncateSync(this.#fd, 0);
      this.#size = 0;
      return;
    }
    for (const suffix of ["", ".gz"]) rmSync(`${this.#path}.${maxFiles - 1}${suffix}`, { force: true });
    for (let number = maxFiles - 2; number >= 1; number--) {
      for (const suffix of ["", ".gz"]) {
        const elder = `${this.#path}.${number}${suffix}`;
        if (existsSync(elder)) renameSync(elder, `${this.#path}.${number + 1}${suffix}`);
      }
    }
    renameSync(this.#path, `${this.#path}.1`);
    closeSync(this.#fd);
    this.#fd = openSync(this.#path, "a", 0o640);
    this.#size = 0;
    if (compress) this.#compressing = compressFile(`${this.#path}.1`);
  }
}

/** `path` → `path.gz`. What cannot be compressed stays as it is. Never rejects. */
async function compressFile(path: string): Promise<void> {
  const target = `${path}.gz`;
  try {
    const packed = await promisify(gzip)(await readFile(path));
    await using file = await open(`${target}.new`, "w", 0o640);
    await file.writeFile(packed);
    await rename(`${target}.new`, target);
    await rm(path, { force: true });
  } catch (error) {
    log("warn", "a log file could not be compressed", { path, error });
    await rm(`${target}.new`, { force: true });
  }
}

function removeElders(path: string): void {
  for (let number = 1; ; number++) {
    const elders = [`${path}.${number}`, `${path}.${number}.gz`].filter(existsSync);
    if (elders.length === 0) return;
    for (const elder of elders) rmSync(elder, { force: true });
  }
}
