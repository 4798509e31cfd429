/**
 * Standard output and error of the client. Writes are synchronous on the descriptor: loading the platform's stream
 * objects would double a short command's start-up. Long streams use `stream`, which leaves the event loop free.
 */
import { write, writeSync } from "node:fs";
import { hasCode } from "../../base/error-codes.ts";

/** The reader of our output went away: there is nobody left to work for. */
export class BrokenPipeError extends Error {}

export class Output {
  readonly #fd: number;
  #terminal: boolean | undefined;
  #reportsBrokenPipe = false;

  constructor(fd: number) {
    this.#fd = fd;
  }

  get isTerminal(): boolean {
    this.#terminal ??= isTerminal(this.#fd);
    return this.#terminal;
  }

  /** Height and width in characters; zeros where there is no terminal. */
  get size(): { readonly rows: number; readonly columns: number } {
    if (!this.isTerminal) return { rows: 0, columns: 0 };
    const { WriteStream } = require("node:tty") as typeof import("node:tty");
    const [columns, rows] = new WriteStream(this.#fd).getWindowSize();
    return { rows, columns };
  }

  /** From now on a reader that is gone is an error like others: the process catches its signals. */
  reportBrokenPipe(): void {
    this.#reportsBrokenPipe = true;
  }

  write(text: string | Uint8Array): void {
    let rest = typeof text === "string" ? Buffer.from(text) : text;
    while (rest.byteLength > 0) {
      try {
        rest = rest.subarray(writeSync(this.#fd, rest));
      } catch (error) {
        if (!this.#wantsRetry(error)) throw error;
        Atomics.wait(pause, 0, 0, 1);
      }
    }
  }

  line(text = ""): void {
    this.write(`${text}\n`);
  }

  /** Like `write`, but a reader that is slow does not hold up the rest of the client. */
  async stream(bytes: Uint8Array): Promise<void> {
    let rest = bytes;
    while (rest.byteLength > 0) {
      const { promise, resolve, reject } = Promise.withResolvers<number>();
      write(this.#fd, rest, 0, rest.byteLength, null, (error, written) =>
        error ? reject(error) : resolve(written),
      );
      try {
        rest = rest.subarray(await promise);
      } catch (error) {
        if (!this.#wantsRetry(error)) throw error;
        await Bun.sleep(1);
      }
    }
  }

  /** True for a descriptor that is non-blocking and full. */
  #wantsRetry(cause: unknown): boolean {
    if (!hasCode(cause, "EPIPE")) return hasCode(cause, "EAGAIN");
    const message = `write /dev/${this.#fd === 1 ? "stdout" : "stderr"}: broken pipe`;
    throw this.#reportsBrokenPipe ? new Error(message, { cause }) : new BrokenPipeError(message, { cause });
  }
}

const pause = new Int32Array(new SharedArrayBuffer(4));

export function isTerminal(fd: number): boolean {
  const { isatty } = require("node:tty") as typeof import("node:tty");
  return isatty(fd);
}
