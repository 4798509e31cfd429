/**
 * syncfs for many callers at once: those that come while one runs share the next one. It runs in a process of its
 * own (coreutils `sync -f`), because the call takes as long as the disk does.
 */
import { SystemError } from "../../core/errors.ts";

/** Flushes of one file system for all who wait: who comes while one runs shares the next. */
export class SyncGroup {
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  /** Returns when all that was written before the call, to the file system of this path, is on disk. @throws SystemError */
  async wait(path: string): Promise<void> {
    this.#next ??= this.#startAfter(this.#running, path);
    await this.#next;
  }

  async #startAfter(before: Promise<void> | undefined, path: string): Promise<void> {
    // Also gives callers of the same tick the chance to join.
    await before?.catch(() => {});
    this.#running = this.#next;
    this.#next = undefined;
    await syncFileSystem(path);
  }
}

async function syncFileSystem(path: string): Promise<void> {
  const child = Bun.spawn(["sync", "-f", path], { stdin: "ignore", stdout: "ignore", stderr: "pipe" });
  const problem = await child.stderr.text();
  if ((await child.exited) !== 0)
    throw new SystemError(`flushing the file system of ${path}: ${problem.trim()}`);
}
