/**
 * A connection to a monitor's `attach` socket (SEQPACKET): messages from it are a byte that names the stream and up
 * to 8 KiB of output; messages to it are stdin. The monitor writes to it without looking whether anybody reads, and
 * stops there when it is full: so it is either read at once, or held back on purpose.
 */
import type { StdioChunk } from "../../core/runtime.ts";
import { adoptSocket, connectSequentialPackets, endSending } from "../../linux/sockets.ts";

const STDOUT = 2;
const STDERR = 3;
/** The monitor takes no more of a message than its buffer holds, and drops the rest. */
const LONGEST_MESSAGE = 8192;

/** One client on a monitor's socket: messages whose first byte names the stream. */
export class AttachSocket implements Disposable {
  readonly #fd: number;
  readonly #socket: Bun.Socket;
  readonly #closed: Promise<void>;
  #gone = false;
  #inputEnded = false;
  #writable: () => void = () => {};
  #turn: Promise<void> = Promise.resolve();

  private constructor(fd: number, socket: Bun.Socket, events: { closed: Promise<void>; hooks: Hooks }) {
    this.#fd = fd;
    this.#socket = socket;
    this.#closed = events.closed;
    events.hooks.drain = () => this.#writable();
    void this.#closed.then(() => {
      this.#gone = true;
      this.#writable();
    });
  }

  /** @param directory where the monitor works @throws LinuxError if it does not listen (any more) */
  static async connect(directory: string, onChunk: (chunk: StdioChunk) => void): Promise<AttachSocket> {
    const fd = connectSequentialPackets(directory, "attach");
    const { promise: closed, resolve } = Promise.withResolvers<void>();
    const hooks: Hooks = { drain: () => {} };
    const socket = await adoptSocket(fd, {
      data: (bytes) => {
        const chunk = toChunk(bytes);
        if (chunk) onChunk(chunk);
      },
      close: resolve,
      drain: () => hooks.drain(),
    });
    return new AttachSocket(fd, socket, { closed, hooks });
  }

  /** Settles when the monitor closed it, after all output. */
  get closed(): Promise<void> {
    return this.#closed;
  }

  /** Resolves when the monitor's buffer has taken it all; writers take turns. */
  write(bytes: Uint8Array): Promise<void> {
    this.#turn = this.#turn.then(() => this.#send(bytes));
    return this.#turn;
  }

  async #send(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length && !this.#gone && !this.#inputEnded; ) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#writable = resolve;
      const message = bytes.subarray(at, at + LONGEST_MESSAGE);
      // A message is sent whole or not at all.
      const sent = this.#socket.write(message);
      if (sent < 0) return;
      if (sent === 0) await promise;
      at += sent;
    }
  }

  /** EOF on the process's stdin, behind all that was written. Output goes on. */
  endInput(): void {
    this.#turn = this.#turn.then(() => {
      if (this.#gone || this.#inputEnded) return;
      this.#inputEnded = true;
      endSending(this.#fd);
    });
  }

  /** While held, the monitor stops when its buffer is full, and the process with it. */
  hold(held: boolean): void {
    if (this.#gone) return;
    if (held) this.#socket.pause();
    else this.#socket.resume();
  }

  [Symbol.dispose](): void {
    if (!this.#gone) this.#socket.terminate();
  }
}

interface Hooks {
  drain: () => void;
}

/** @returns undefined for an empty message */
function toChunk(message: Uint8Array): StdioChunk | undefined {
  const stream = message[0] === STDOUT ? "stdout" : message[0] === STDERR ? "stderr" : undefined;
  if (stream === undefined || message.length < 2) return undefined;
  // The event loop reuses its buffer.
  return { stream, bytes: message.slice(1) };
}
