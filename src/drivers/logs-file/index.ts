/**
 * Driver of the log port for Docker's `json-file`, `local` and `none`: reads what monitors wrote to
 * `containers/<id>/container.log` and its rotated elders. Writing and rotating is the monitor's and the runtime
 * driver's; before a monitor begins, `mend` ends what an earlier one left torn.
 */
import {
  appendFileSync,
  closeSync,
  existsSync,
  fstatSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { hasCode } from "../../base/error-codes.ts";
import { followFile } from "../../base/file-follower.ts";
import { log } from "../../base/log.ts";
import { Pace } from "../../base/pace.ts";
import { NotImplementedError } from "../../core/errors.ts";
import { type LogRecord, LogRecordParser, toNanoseconds, toUtc } from "../../core/log-records.ts";
import type { LogDriver, LogEntry, LogRotation, ReadLogOptions } from "../../core/logs.ts";
import { checkLogOptions, type FileLogDriverName, toRotation } from "./options.ts";
import { findTail } from "./tail.ts";

const PIECE = 64 * 1024;
const NEWLINE = 10;

export class FileLogDriver implements LogDriver {
  readonly name: FileLogDriverName;
  readonly #dataRoot: string;

  constructor(name: FileLogDriverName, dataRoot: string) {
    this.name = name;
    this.#dataRoot = dataRoot;
  }

  pathFor(containerId: string): string {
    return join(this.#dataRoot, "containers", containerId, "container.log");
  }

  checkOptions(options: Readonly<Record<string, string>>): void {
    checkLogOptions(this.name, options);
  }

  rotationFor(options: Readonly<Record<string, string>>): LogRotation | undefined {
    return toRotation(this.name, options);
  }

  read(containerId: string, options: ReadLogOptions): AsyncIterable<LogEntry> {
    return readLog(this.pathFor(containerId), options);
  }

  mend(containerId: string): void {
    const path = this.pathFor(containerId);
    try {
      if (endsWithinLine(path)) appendFileSync(path, "\n");
    } catch (error) {
      // On a full disk, say: the container may start all the same, a line of it may not be shown.
      log("warn", "cannot end the last line of a log", { container: containerId, error });
    }
  }

  async remove(containerId: string): Promise<void> {
    const path = this.pathFor(containerId);
    if (!existsSync(dirname(path))) return;
    for (const name of readdirSync(dirname(path))) {
      if (name.startsWith(basename(path))) rmSync(join(dirname(path), name), { force: true });
    }
  }
}

/** Keeps nothing: what is written goes to those who are attached. */
export const noLogDriver: LogDriver = {
  name: "none",
  pathFor: () => undefined,
  checkOptions() {},
  rotationFor: () => undefined,
  mend() {},
  read() {
    throw new NotImplementedError("configured logging driver does not support reading");
  },
  async remove() {},
};

/**
 * All files are opened at the start, oldest first, so that a rotation meanwhile takes nothing away. Only the youngest
 * is followed.
 */
async function* readLog(path: string, options: ReadLogOptions): AsyncGenerator<LogEntry, void, void> {
  const { tail, since, until, signal } = options;
  const files = openAll(path);
  const youngest = files.at(-1);
  if (youngest === undefined) return;
  try {
    const start = tail === undefined ? { file: 0, offset: 0 } : await findTail(files, tail);
    for (const [index, fd] of files.entries()) {
      if (index < start.file) continue;
      const from = index === start.file ? start.offset : 0;
      const following = fd === youngest && options.follow;
      const pieces = following
        ? followFile(path, {
            fd: takeOver(files, fd),
            from,
            until: options.ended ?? new Promise(() => {}),
            signal,
          })
        : readToEnd(fd, from, signal);
      for await (const record of toRecords(pieces)) {
        if (signal.aborted) return;
        const time = since === undefined && until === undefined ? 0n : toNanoseconds(record.timestamp);
        if (since !== undefined && time < since) continue;
        if (until !== undefined && time > until) return;
        yield toEntry(record);
      }
    }
  } finally {
    for (const fd of files) if (fd >= 0) closeSync(fd);
  }
}

/** Descriptors, oldest first. Empty if nothing was ever written. */
function openAll(path: string): number[] {
  const paths = [path];
  for (let number = 1; existsSync(`${path}.${number}`); number++) paths.push(`${path}.${number}`);
  return paths.reverse().flatMap((each) => {
    try {
      return [openSync(each, "r")];
    } catch (error) {
      if (hasCode(error, "ENOENT")) return [];
      throw error;
    }
  });
}

function endsWithinLine(path: string): boolean {
  if (!existsSync(path)) return false;
  const fd = openSync(path, "r");
  try {
    const { size } = fstatSync(fd);
    const last = Buffer.alloc(1);
    return size > 0 && readSync(fd, last, 0, 1, size - 1) === 1 && last[0] !== NEWLINE;
  } finally {
    closeSync(fd);
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

async function* toRecords(
  pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<LogRecord, void, void> {
  const parser = new LogRecordParser();
  const pace = new Pace();
  for await (const piece of pieces) {
    yield* parser.push(piece);
    // Whoever filters most of it away never waits for a client.
    await pace.breathe();
  }
}

function toEntry({ stream, timestamp, bytes, partial }: LogRecord): LogEntry {
  return { stream, timestamp: toUtc(timestamp), bytes, partial };
}
