/** A socket as bytes to read and bytes to write, both within bounds. */
import type { Socket } from "node:net";
import { log } from "../base/log.ts";
import { Accumulator } from "./accumulator.ts";
import type { ByteSource } from "./body.ts";

/** Of what a client sent and nobody took yet, at most this is kept; then the socket is not read. */
export const READ_AHEAD: number = 64 * 1024;

/** What came, in order; pauses the socket while nobody takes it. */
export class SocketReader implements ByteSource {
  readonly #socket: Socket;
  readonly #onEnd: () => void;
  /** What was put back. */
  #front: Buffer | undefined;
  readonly #queued = new Accumulator();
  #ended = false;
  #paused = false;
  #discarding = false;
  #wake: (() => void) | undefined;

  /** @param onEnd the client closed its half, or all */
  constructor(socket: Socket, onEnd: () => void) {
    this.#socket = socket;
    this.#onEnd = onEnd;
    socket.on("data", this.#take);
    socket.on("end", this.#end);
    socket.on("close", this.#end);
  }

  async read(): Promise<Buffer | undefined> {
    if (this.#front) {
      const bytes = this.#front;
      this.#front = undefined;
      return bytes;
    }
    while (this.#queued.length === 0) {
      if (this.#ended) return undefined;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
    }
    const bytes = this.#queued.takeAll();
    if (this.#paused) {
      this.#paused = false;
      this.#socket.resume();
    }
    return bytes;
  }

  /** Puts back the end of what was read last. */
  unread(bytes: Buffer): void {
    this.#front = bytes;
  }

  /** Makes it as if these had come before all that was not read yet. */
  putBefore(bytes: Buffer): void {
    this.#front = this.#front ? Buffer.concat([bytes, this.#front]) : bytes;
  }

  /** Nobody will read any more: what still comes is thrown away, so that the sender's end is seen. */
  discard(): void {
    this.#discarding = true;
    this.#front = undefined;
    this.#queued.clear();
    if (!this.#ended) this.#socket.resume();
  }

  readonly #take = (bytes: Buffer): void => {
    if (this.#discarding) return;
    this.#queued.push(bytes);
    if (this.#queued.length >= READ_AHEAD && !this.#paused) {
      this.#paused = true;
      this.#socket.pause();
    }
    this.#wakeUp();
  };

  readonly #end = (): void => {
    if (this.#ended) return;
    this.#ended = true;
    this.#onEnd();
    this.#wakeUp();
  };

  #wakeUp(): void {
    this.#wake?.();
    this.#wake = undefined;
  }
}

/** Writes that wait for the socket. To a client that is gone they do nothing. */
export class SocketWriter {
  readonly #socket: Socket;
  #gone = false;
  #drained: PromiseWithResolvers<void> | undefined;
  /** Settles when the socket is closed for good. */
  readonly closed: Promise<void>;

  constructor(socket: Socket) {
    this.#socket = socket;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.closed = promise;
    socket.on("drain", () => this.#release());
    socket.on("error", (error) => log("debug", "socket", { error }));
    socket.on("close", () => {
      this.#gone = true;
      this.#release();
      resolve();
    });
  }

  get gone(): boolean {
    return this.#gone;
  }

  write(bytes: Uint8Array | string): Promise<void> {
    if (this.#gone || this.#socket.writableEnded || this.#socket.write(bytes)) return DONE;
    this.#drained ??= Promise.withResolvers<void>();
    return this.#drained.promise;
  }

  /** Half-closes once all is written. */
  end(): Promise<void> {
    if (this.#gone || this.#socket.writableEnded) return DONE;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#socket.end(resolve);
    return Promise.race([promise, this.closed]);
  }

  #release(): void {
    this.#drained?.resolve();
    this.#drained = undefined;
  }
}

const DONE = Promise.resolve();

/**
 * Sends our end and waits for the client's: closing with unread bytes would reset the connection, and the client
 * might lose the last of what we sent.
 * @param timeout milliseconds
 */
export function linger(socket: Socket, timeout: number): void {
  if (socket.destroyed) return;
  const timer = setTimeout(() => socket.destroy(), timeout);
  timer.unref();
  socket.once("end", () => socket.destroySoon());
  socket.once("close", () => clearTimeout(timer));
  if (socket.readableEnded) socket.destroySoon();
  else if (!socket.writableEnded) socket.end();
}

/** Milliseconds between two looks at a socket whose client sends no more. */
const HANGUP_INTERVAL = 250;

/**
 * For a client that sends no more. On Bun the end of input is all that a half-open socket reports, also when the
 * client is gone for good; only the handle is dropped then.
 */
export function watchForHangup(socket: Socket): void {
  const timer = setInterval(() => {
    if (hasHandle(socket)) return;
    clearInterval(timer);
    socket.destroy();
  }, HANGUP_INTERVAL);
  timer.unref();
  socket.once("close", () => clearInterval(timer));
}

function hasHandle(socket: Socket): boolean {
  return Boolean((socket as Socket & { readonly _handle?: object | null })._handle);
}
