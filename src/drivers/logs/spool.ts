/**
 * The file that a monitor appends a container's output to, and its consumers. Each consumer has a place of its own in it
 * that outlives the daemon. What all of them, and all attached clients, have read is given back to the file system by
 * punching a hole: the file is never renamed or truncated, so no byte can be lost between the monitor and a reader.
 *
 * When a consumer falls far behind, the monitor is held, and with it the process: the bound of a log holds for the
 * fastest writer. A consumer that must not hold up the process skips instead.
 */
import {
  closeSync,
  existsSync,
  type FSWatcher,
  fstatSync,
  openSync,
  readSync,
  rmSync,
  statSync,
  watch,
  writeSync,
} from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { log } from "../../base/log.ts";
import { LogRecordParser } from "../../core/log-records.ts";
import type { LogProducer, LogSink } from "../../core/logs.ts";
import { punchHole } from "../../linux/files.ts";

const PIECE = 256 * 1024;
/** Bytes that are given back at a time. */
const PUNCH = 1 << 20;
/** The monitor is held when somebody is so far behind, and let go when that is less. Bytes. */
const HELD_AT = 32 << 20;
const RELEASED_AT = 8 << 20;
/** Looks again even if no event came, and at readers while it is held. Milliseconds. */
const RECHECK = 1000;
const HELD_RECHECK = 50;
/** After a failed write (a full disk, say). Milliseconds. */
const RETRY = 500;

export interface ConsumerOptions {
  /** Of the file that keeps its place: `<spool>.<name>`. */
  readonly name: string;
  /** Given the mark of the last write that was noted, or undefined when there was none. */
  readonly open: (mark: number | undefined) => LogSink;
  /** Skips what is more than so many bytes behind; undefined holds the process up instead. */
  readonly skipBeyond?: number | undefined;
}

export class Spool {
  readonly path: string;
  readonly #consumers: Consumer[];
  readonly #watcher: FSWatcher | undefined;
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #closed = Promise.withResolvers<void>();
  #producer: LogProducer | undefined;
  #fd: number;
  #punched = 0;
  #held = false;
  /** Producers that write, or are about to. */
  #running = 0;

  /** @throws ENOENT if nobody made the file */
  constructor(path: string, consumers: readonly ConsumerOptions[]) {
    this.path = path;
    this.#fd = openSync(path, "r+");
    this.#consumers = consumers.map((options) => new Consumer(this, options));
    this.#watcher = this.#watch();
    this.#timer = setInterval(() => this.notice(), RECHECK);
    this.#timer.unref();
  }

  get fd(): number {
    return this.#fd;
  }

  get size(): number {
    return fstatSync(this.#fd).size;
  }

  /** Settles when all was taken and the file is gone, or it was given up. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  /** False once all was taken, or it was given up: then a new one is needed. */
  get open(): boolean {
    return this.#fd >= 0;
  }

  /** Somebody will write soon: it stays until that is disposed of. */
  expect(): Disposable {
    this.#running++;
    let expected = true;
    return {
      [Symbol.dispose]: () => {
        if (!expected) return;
        expected = false;
        this.#running--;
        this.#finishIfDone();
      },
    };
  }

  /** Goes on until the producer has ended; without one, to the end of what is there. */
  follow(producer: LogProducer | undefined): void {
    const expected = this.expect();
    if (producer) this.#producer = producer;
    for (const consumer of this.#consumers) void consumer.start().then(() => this.#finishIfDone());
    void (producer?.ended ?? Promise.resolve()).then(() => {
      expected[Symbol.dispose]();
      this.notice();
    });
  }

  /** The producer has written all that it will. */
  get ended(): boolean {
    return this.#running === 0;
  }

  notice(): void {
    for (const consumer of this.#consumers) consumer.notice();
  }

  /** Settles when the consumer has nothing more to take, and nobody writes. */
  doneOf(name: string): Promise<void> {
    return this.#consumer(name)?.start() ?? Promise.resolve();
  }

  /** What the consumer writes to. */
  sinkOf(name: string): LogSink | undefined {
    return this.#consumer(name)?.sink;
  }

  #consumer(name: string): Consumer | undefined {
    return this.#consumers.find((each) => each.name === name);
  }

  /** Settles when the consumer has taken what is there now. Never rejects. */
  async caughtUp(name: string, signal: AbortSignal): Promise<void> {
    const consumer = this.#consumer(name);
    const size = this.open ? this.size : 0;
    consumer?.notice();
    while (consumer && this.open && consumer.seen < size && !signal.aborted) await sleep(1);
  }

  /** What is no longer needed goes, and the process waits for who is far behind. Called after each batch. */
  balance(): void {
    if (!this.open) return;
    const { size } = this;
    const readers = this.#producer?.readTo() ?? size;
    const taken = Math.min(...this.#consumers.map((consumer) => consumer.needsFrom(size)), readers);
    if (taken - this.#punched >= PUNCH) {
      this.#punched = taken - (taken % 4096);
      punchHole(this.#fd, 0, this.#punched);
    }
    const slowest = Math.min(
      ...this.#consumers.filter(({ holds }) => holds).map(({ taken }) => taken),
      readers,
    );
    const behind = size - slowest;
    if (!this.#held && behind > HELD_AT) this.#hold(true);
    else if (this.#held && behind < RELEASED_AT) this.#hold(false);
  }

  #hold(held: boolean): void {
    this.#held = held;
    this.#producer?.hold(held);
    if (held) void this.#untilLess();
  }

  /** Attached clients read without telling. */
  async #untilLess(): Promise<void> {
    while (this.#held && this.open && !this.ended) {
      await sleep(HELD_RECHECK);
      this.balance();
    }
  }

  #finishIfDone(): void {
    if (!this.ended || !this.open || this.#consumers.some(({ active, behind }) => active || behind)) return;
    // In one go: a monitor that is started after this makes a new file.
    for (const consumer of this.#consumers) consumer.forget();
    rmSync(this.path, { force: true });
    void this.giveUp();
  }

  /** The daemon stops, or the container is removed: consumers stop where they are. */
  async giveUp(): Promise<void> {
    if (!this.open) return await this.closed;
    if (this.#held) this.#hold(false);
    this.#watcher?.close();
    clearInterval(this.#timer);
    closeSync(this.#fd);
    this.#fd = -1;
    await Promise.all(this.#consumers.map((consumer) => consumer.close()));
    this.#closed.resolve();
  }

  #watch(): FSWatcher | undefined {
    try {
      return watch(this.path, { persistent: false }, () => this.notice()).on("error", () => {});
    } catch (error) {
      log("warn", "cannot watch a spool: its lines are seen a second later", { path: this.path, error });
      return undefined;
    }
  }
}

class Consumer {
  readonly name: string;
  /** Slow ones hold the process up. */
  readonly holds: boolean;
  readonly #spool: Spool;
  readonly #options: ConsumerOptions;
  readonly #state: number;
  readonly sink: LogSink;
  #activity: Promise<void> | undefined;
  #parser = new LogRecordParser();
  /** Where it reads next. */
  #position: number;
  #wake: () => void = () => {};
  #news = true;
  #closing = false;

  constructor(spool: Spool, options: ConsumerOptions) {
    this.#spool = spool;
    this.#options = options;
    this.name = options.name;
    this.holds = options.skipBeyond === undefined;
    const path = placeFile(spool.path, options.name);
    const place = readPlace(path);
    // A place behind the end is that of a spool that is gone.
    const known = place && place.position <= statSync(spool.path).size ? place : undefined;
    this.#position = known?.position ?? 0;
    this.sink = options.open(known?.mark);
    this.#state = openSync(path, existsSync(path) ? "r+" : "w+", 0o600);
    this.#note();
  }

  /** All before it is with the sink. */
  get taken(): number {
    return this.#position - this.#parser.pending;
  }

  /** All before it will not be read again: who skips does not come back to what is too old. */
  needsFrom(size: number): number {
    const { skipBeyond } = this.#options;
    return skipBeyond === undefined ? this.taken : Math.max(this.taken, size - skipBeyond);
  }

  /** All before it was looked at: behind it there may be the beginning of a record. */
  get seen(): number {
    return this.#position;
  }

  notice(): void {
    this.#news = true;
    this.#wake();
  }

  get active(): boolean {
    return this.#activity !== undefined;
  }

  /** There is something that it has not looked at. */
  get behind(): boolean {
    return this.#spool.open && this.#position < this.#spool.size;
  }

  /** Settles when the producers have ended and all was taken, or it was closed. Never rejects. */
  start(): Promise<void> {
    this.notice();
    this.#activity ??= this.#run().finally(() => {
      this.#activity = undefined;
    });
    return this.#activity;
  }

  async #run(): Promise<void> {
    while (!this.#closing) {
      // Taken before reading: what is written after this leads to another round.
      const { ended } = this.#spool;
      this.#news = false;
      const piece = this.#read();
      if (piece) await this.#take(piece);
      else if (ended) return;
      else await this.#waitForNews();
    }
  }

  #read(): Buffer | undefined {
    if (!this.#spool.open) return undefined;
    this.#skip();
    const piece = Buffer.allocUnsafe(PIECE);
    const count = readSync(this.#spool.fd, piece, 0, PIECE, this.#position);
    return count === 0 ? undefined : piece.subarray(0, count);
  }

  /** The oldest lines are lost, as many as make up for it. */
  #skip(): void {
    const { skipBeyond } = this.#options;
    if (skipBeyond === undefined) return;
    const behind = this.#spool.size - this.#position;
    if (behind <= skipBeyond) return;
    this.#position += behind - skipBeyond;
    // In the midst of a record: the parser begins with the next one.
    this.#parser = new LogRecordParser({ torn: true });
  }

  async #take(piece: Buffer): Promise<void> {
    const records = this.#parser.push(piece);
    while (!this.#closing) {
      try {
        if (records.length > 0) await this.sink.write(records);
        break;
      } catch (error) {
        log("warn", "output of a container could not be logged; it is tried again", {
          spool: this.#spool.path,
          error,
        });
        await sleep(RETRY);
      }
    }
    if (this.#closing) return;
    this.#position += piece.length;
    this.#note();
    this.#spool.balance();
  }

  /** No fsync: after a power loss there is no spool either. */
  #note(): void {
    try {
      writeSync(this.#state, `${this.taken} ${this.sink.mark}`.padEnd(63).concat("\n"), 0);
    } catch (error) {
      log("debug", "a consumer's place could not be noted", { spool: this.#spool.path, error });
    }
  }

  async #waitForNews(): Promise<void> {
    if (this.#news) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    await promise;
  }

  /** Also in the midst of a write that does not end: a server may be dead. */
  async close(): Promise<void> {
    this.#closing = true;
    this.notice();
    await this.sink.close();
    await this.#activity;
    closeSync(this.#state);
  }

  forget(): void {
    rmSync(placeFile(this.#spool.path, this.name), { force: true });
  }
}

export function placeFile(spool: string, name: string): string {
  return `${spool}.${name}`;
}

function readPlace(path: string): { position: number; mark: number } | undefined {
  if (!existsSync(path)) return undefined;
  const fd = openSync(path, "r");
  try {
    const text = Buffer.alloc(64);
    readSync(fd, text, 0, 64, 0);
    const [, position, mark] = /^(\d+) (\d+) *\n$/.exec(text.toString("latin1")) ?? [];
    return position === undefined ? undefined : { position: Number(position), mark: Number(mark) };
  } finally {
    closeSync(fd);
  }
}
