/**
 * Driver of the log port. A container's spool is `containers/<id>/output` below the data root, its consumers' places
 * beside it; what is kept lies where Docker has it: `containers/<id>/<id>-json.log`, `local-logs/container.log`, and
 * `container-cached.log` for what can be read back of a log that goes elsewhere.
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
import { join } from "node:path";
import { log } from "../../base/log.ts";
import { InvalidParameterError, messageOf, NotImplementedError } from "../../core/errors.ts";
import type {
  ContainerLogs,
  LogEntry,
  LogOptions,
  LogProducer,
  LogSubject,
  PreparedLog,
  ReadLogOptions,
} from "../../core/logs.ts";
import { type DriverDefinition, LOG_DRIVERS, READABLE, withTag } from "./drivers.ts";
import { FileSink } from "./file-sink.ts";
import { readLog } from "./read.ts";
import { Spool } from "./spool.ts";

const NEWLINE = 10;
const SPOOL = "output";

export class SpooledLogs implements ContainerLogs, AsyncDisposable {
  readonly drivers: readonly string[] = [...LOG_DRIVERS.keys()].sort();
  readonly #containers: string;
  readonly #spools = new Map<string, Spool>();

  constructor({ dataRoot }: { readonly dataRoot: string }) {
    this.#containers = join(dataRoot, "containers");
  }

  check(driver: string, options: LogOptions): void {
    getDriver(driver).check(options);
  }

  pathOf({ id, driver }: Pick<LogSubject, "id" | "driver">): string {
    const { told, file } = LOG_DRIVERS.get(driver) ?? {};
    return told && file ? join(this.#directory(id), file({ id }) ?? "") : "";
  }

  attributesOf(subject: LogSubject): Readonly<Record<string, string>> {
    return subject.driver === "json-file" ? withTag(subject) : subject.attributes;
  }

  prepare(subject: LogSubject): PreparedLog {
    if (getDriver(subject.driver).consumers(subject, "").length === 0) {
      return { path: undefined, [Symbol.dispose]() {} };
    }
    const path = this.#spoolPath(subject.id);
    endLine(path);
    const spool = this.#spools.get(subject.id);
    const expected = spool?.open ? spool.expect() : undefined;
    return { path, [Symbol.dispose]: () => expected?.[Symbol.dispose]() };
  }

  follow(subject: LogSubject, producer: LogProducer): void {
    this.#spoolOf(subject)?.follow(producer);
  }

  settle(subject: LogSubject): void {
    if (existsSync(this.#spoolPath(subject.id))) this.#spoolOf(subject)?.follow(undefined);
  }

  /** The spool that is open, or a new one on its file; undefined if nothing is kept. */
  #spoolOf(subject: LogSubject): Spool | undefined {
    const { id } = subject;
    const known = this.#spools.get(id);
    if (known?.open) return known;
    const consumers = getDriver(subject.driver).consumers(subject, this.#directory(id));
    if (consumers.length === 0) return undefined;
    const spool = new Spool(this.#spoolPath(id), consumers);
    this.#spools.set(id, spool);
    void spool.closed.then(() => {
      if (this.#spools.get(id) === spool) this.#spools.delete(id);
    });
    return spool;
  }

  read(subject: LogSubject, options: ReadLogOptions): AsyncIterable<LogEntry> {
    const path = this.#readable(subject);
    const spool = this.#spools.get(subject.id);
    return this.#read(path, spool, options);
  }

  async *#read(path: string, spool: Spool | undefined, options: ReadLogOptions): AsyncGenerator<LogEntry> {
    await spool?.caughtUp(READABLE, options.signal);
    const live = spool?.open ? spool : undefined;
    const ended = live?.doneOf(READABLE) ?? Promise.resolve();
    yield* readLog(path, { ...options, follow: options.follow && live !== undefined, ended });
  }

  async clear(subject: LogSubject): Promise<void> {
    const path = this.#readable(subject);
    const spool = this.#spools.get(subject.id);
    await spool?.caughtUp(READABLE, AbortSignal.timeout(10_000));
    const sink = spool?.open ? spool.sinkOf(READABLE) : undefined;
    const own = sink instanceof FileSink ? sink : undefined;
    await using other = own
      ? undefined
      : closing(new FileSink({ path, rotation: undefined, attributes: {}, mark: undefined }));
    (own ?? other?.sink)?.clear();
  }

  async remove(id: string): Promise<void> {
    await this.#spools.get(id)?.giveUp();
    const directory = this.#directory(id);
    if (!existsSync(directory)) return;
    const files = new Set([...LOG_DRIVERS.values()].flatMap(({ file }) => file({ id, options: {} }) ?? []));
    for (const name of [...files, SPOOL].map((file) => file.split("/")[0] ?? "")) {
      for (const entry of readdirSync(directory)) {
        if (entry === name || entry.startsWith(`${name}.`)) {
          rmSync(join(directory, entry), { recursive: true, force: true });
        }
      }
    }
  }

  /** The daemon stops: consumers stay where they are, the next daemon goes on from there. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#spools.values()].map((spool) => spool.giveUp()));
  }

  #readable(subject: LogSubject): string {
    const file = LOG_DRIVERS.get(subject.driver)?.file(subject);
    if (file === undefined) {
      throw new NotImplementedError("configured logging driver does not support reading");
    }
    return join(this.#directory(subject.id), file);
  }

  #directory(id: string): string {
    return join(this.#containers, id);
  }

  #spoolPath(id: string): string {
    return join(this.#directory(id), SPOOL);
  }
}

function getDriver(name: string): DriverDefinition {
  const driver = LOG_DRIVERS.get(name);
  if (!driver) throw new InvalidParameterError(`logger: no log driver named '${name}' is registered`);
  return driver;
}

function closing(sink: FileSink): AsyncDisposable & { readonly sink: FileSink } {
  return { sink, [Symbol.asyncDispose]: () => sink.close() };
}

/** Ends a line that a monitor which was killed left open, so that it does not swallow the next one. */
function endLine(path: string): void {
  try {
    if (endsWithinLine(path)) appendFileSync(path, "\n");
  } catch (error) {
    // On a full disk, say: the container may start all the same, a line of it may not be shown.
    log("warn", "cannot end the last line of a spool", { path, error: messageOf(error) });
  }
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
