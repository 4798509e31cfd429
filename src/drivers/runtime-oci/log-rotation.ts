/**
 * Puts a log aside when it has grown too long: files are renamed, `log` → `log.1` → `log.2`, then the monitor is told
 * to go on in a new one. It writes to the renamed file until it has done so: nothing is lost in between. A crash
 * between the two is made good when the next daemon takes the task over.
 */
import { existsSync, type FSWatcher, renameSync, rmSync, statSync, watch } from "node:fs";
import { basename, dirname } from "node:path";
import { log } from "../../base/log.ts";
import { messageOf } from "../../core/errors.ts";
import type { LogRotation } from "../../core/logs.ts";
import { reopenLog } from "./control.ts";

/** A busy log is looked at no more often. Milliseconds. */
const INTERVAL = 50;

export class LogRotator implements Disposable {
  readonly #path: string;
  readonly #control: string;
  readonly #rotation: LogRotation;
  readonly #watcher: FSWatcher;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param control the monitor's fifo */
  constructor(path: string, control: string, rotation: LogRotation) {
    this.#path = path;
    this.#control = control;
    this.#rotation = rotation;
    const name = basename(path);
    this.#watcher = watch(dirname(path), { persistent: false }, (_event, changed) => {
      if (changed === name) this.#lookSoon();
    });
    this.#watcher.on("error", (error) => log("warn", "watching a log failed", { path, error }));
    if (!existsSync(path)) reopenLog(control);
    this.#lookSoon();
  }

  [Symbol.dispose](): void {
    this.#watcher.close();
    clearTimeout(this.#timer);
  }

  #lookSoon(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      try {
        this.#look();
      } catch (error) {
        log("warn", "rotating a log failed", { path: this.#path, error: messageOf(error) });
      }
    }, INTERVAL);
    this.#timer.unref();
  }

  #look(): void {
    const size = statSync(this.#path, { throwIfNoEntry: false })?.size ?? 0;
    if (size < this.#rotation.maxSize) return;
    const keep = Math.max(1, this.#rotation.maxFiles - 1);
    rmSync(`${this.#path}.${keep}`, { force: true });
    for (let number = keep - 1; number >= 1; number--) {
      if (existsSync(`${this.#path}.${number}`)) {
        renameSync(`${this.#path}.${number}`, `${this.#path}.${number + 1}`);
      }
    }
    renameSync(this.#path, `${this.#path}.1`);
    reopenLog(this.#control);
    // One file only: the elder goes once the monitor has left it.
    if (this.#rotation.maxFiles === 1) setTimeout(() => this.#dropElder(), 1000).unref();
  }

  #dropElder(): void {
    if (existsSync(this.#path)) rmSync(`${this.#path}.1`, { force: true });
  }
}
