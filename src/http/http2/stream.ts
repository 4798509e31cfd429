/** What both ends of an HTTP/2 stream have in common: bytes both ways with flow control, and an end. */
import type { Http2Stream } from "node:http2";
import { Accumulator } from "../accumulator.ts";

/** The stream ended before its time: reset by the peer, or its connection is gone. */
export class StreamReset extends Error {
  override readonly name = "AbortError";
  /** @see RFC 9113, 7 */
  readonly code: number;

  constructor(code: number) {
    super(`the stream was reset (code ${code})`);
    this.code = code;
  }
}

/** RFC 9113, 7. */
export const RESET = { noError: 0, internal: 2, refused: 7, cancel: 8 } as const;

/** Of what the peer sent and nobody read, so much is kept; beyond it, flow control holds the peer back. */
const READ_AHEAD = 64 * 1024;

/**
 * The peer's bytes, in bounded memory. Listens from the beginning: Bun forgets what nobody read when a stream closes.
 * Iterate once. @throws StreamReset while iterating, if they stop early
 */
export class StreamBody implements AsyncIterable<Uint8Array> {
  readonly #stream: Http2Stream;
  readonly #queued = new Accumulator();
  #state: "open" | "ended" | "broken" = "open";
  #wake: (() => void) | undefined;

  constructor(stream: Http2Stream) {
    this.#stream = stream;
    stream.on("data", (bytes: Buffer) => {
      this.#queued.push(bytes);
      if (this.#queued.length >= READ_AHEAD) stream.pause();
      this.#wakeUp();
    });
    stream.on("end", () => this.#finish(resetOf(stream) ? "broken" : "ended"));
    stream.on("close", () => this.#finish("broken"));
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, void> {
    for (;;) {
      if (this.#queued.length > 0) {
        const bytes = this.#queued.takeAll();
        this.#stream.resume();
        yield bytes;
      } else if (this.#state === "open") {
        const { promise, resolve } = Promise.withResolvers<void>();
        this.#wake = resolve;
        await promise;
      } else if (this.#state === "ended") {
        return;
      } else {
        throw resetOf(this.#stream) ?? new StreamReset(RESET.cancel);
      }
    }
  }

  #finish(state: "ended" | "broken"): void {
    if (this.#state === "open") this.#state = state;
    this.#wakeUp();
  }

  #wakeUp(): void {
    this.#wake?.();
    this.#wake = undefined;
  }
}

/** Resolves when more may be written. To a stream that is gone it does nothing. */
export function write(stream: Http2Stream, bytes: Uint8Array): Promise<void> {
  if (stream.destroyed || stream.writableEnded || stream.closed) return Promise.resolve();
  if (stream.write(bytes)) return Promise.resolve();
  const { promise, resolve } = Promise.withResolvers<void>();
  const done = () => {
    stream.off("drain", done);
    stream.off("close", done);
    resolve();
  };
  stream.on("drain", done);
  stream.on("close", done);
  return promise;
}

/** Settles when the stream is over, however. */
export function closed(stream: Http2Stream): Promise<void> {
  if (stream.destroyed) return Promise.resolve();
  return new Promise((resolve) => stream.once("close", () => resolve()));
}

/** Undefined if it ended as it should. */
export function resetOf(stream: Http2Stream): StreamReset | undefined {
  const code = stream.rstCode ?? 0;
  if (code !== RESET.noError) return new StreamReset(code);
  return stream.aborted ? new StreamReset(RESET.cancel) : undefined;
}
