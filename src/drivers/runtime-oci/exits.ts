/**
 * Ends of tasks and execs. The monitor writes a file with the exit code; one watch on the directory sees it at
 * once. A timer looks for what a watch can miss and for monitors that were killed before they could write.
 */
import { type FSWatcher, mkdirSync, readFileSync, statSync, watch } from "node:fs";
import { hasCode } from "../../base/error-codes.ts";
import { log } from "../../base/log.ts";
import { messageOf } from "../../core/errors.ts";
import { isAlive, type ProcessIdentity } from "../../linux/processes.ts";

export interface ExitRecord {
  readonly exitCode: number;
  /** ms since the epoch. */
  readonly exitedAt: number;
}

interface Expected {
  readonly monitor: ProcessIdentity;
  readonly file: string;
  readonly settle: (record: ExitRecord | undefined) => void;
}

const LIVENESS_INTERVAL = 1500;

/** The exit code that a monitor left, or undefined if it has not (yet). */
export function readExit(file: string): ExitRecord | undefined {
  try {
    const text = readFileSync(file, "utf8");
    const code = Number.parseInt(text, 10);
    // conmon says -1 when it could not tell; a shell's 255 is what Docker shows then.
    return Number.isNaN(code) ? undefined : { exitCode: code & 0xff, exitedAt: statSync(file).mtimeMs };
  } catch (error) {
    if (hasCode(error, "ENOENT")) return undefined;
    throw error;
  }
}

/** Tells of exit files as they appear, those that were there before it among them. */
export class ExitWatcher implements Disposable {
  readonly #directory: string;
  readonly #expected = new Map<string, Expected>();
  #watcher: FSWatcher | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /**
   * Settles when the exit file `directory/name` is there, or with undefined when the monitor died without one.
   * `stop` gives up waiting (the promise then stays open and is collected).
   */
  wait(name: string, monitor: ProcessIdentity): { ended: Promise<ExitRecord | undefined>; stop: () => void } {
    this.#open();
    const { promise, resolve } = Promise.withResolvers<ExitRecord | undefined>();
    const expected: Expected = { monitor, file: `${this.#directory}/${name}`, settle: resolve };
    this.#expected.set(name, expected);
    // It may be there already: written between the task's creation and now, or while the daemon was down.
    this.#tryLook(name);
    const stop = (): void => {
      if (this.#expected.get(name) === expected) this.#expected.delete(name);
    };
    return { ended: promise, stop };
  }

  [Symbol.dispose](): void {
    this.#watcher?.close();
    clearInterval(this.#timer);
    this.#watcher = undefined;
    this.#timer = undefined;
  }

  #open(): void {
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
    this.#watcher ??= this.#watch();
    this.#timer ??= setInterval(() => this.#checkAll(), LIVENESS_INTERVAL);
    this.#timer.unref();
  }

  /** Undefined when the host has no watch to give: then the timer sees the ends, later. */
  #watch(): FSWatcher | undefined {
    try {
      const watcher = watch(this.#directory, { persistent: false }, (_event, name) => {
        if (name !== null) this.#tryLook(name);
      });
      return watcher.on("error", (error) => log("warn", "watching for exits failed", { error }));
    } catch (error) {
      log("warn", "cannot watch for exits: they are seen a second later", { error });
      return undefined;
    }
  }

  #checkAll(): void {
    for (const [name, { monitor }] of [...this.#expected]) {
      try {
        const ended = !isAlive(monitor);
        // The monitor writes before it ends: looked at in this order, a file cannot be missed.
        if (!this.#look(name) && ended) this.#settle(name, undefined);
      } catch (error) {
        log("warn", "checking a monitor failed", { id: name, error: messageOf(error) });
      }
    }
  }

  /** What cannot be read now is looked at again by the timer. */
  #tryLook(name: string): void {
    try {
      this.#look(name);
    } catch (error) {
      log("warn", "reading an exit file failed", { id: name, error });
    }
  }

  #look(name: string): boolean {
    const expected = this.#expected.get(name);
    if (!expected) return true;
    const record = readExit(expected.file);
    if (record) this.#settle(name, record);
    return record !== undefined;
  }

  #settle(name: string, record: ExitRecord | undefined): void {
    const expected = this.#expected.get(name);
    this.#expected.delete(name);
    expected?.settle(record);
  }
}
