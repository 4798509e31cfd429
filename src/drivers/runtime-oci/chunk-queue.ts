/** Output on its way to one reader. Bounded: when full, the source is asked to pause until the reader caught up. */
import type { StdioChunk } from "../../core/runtime.ts";

/** Bytes that may wait for a reader. */
const CAPACITY = 256 * 1024;

/** Output between a socket that pushes and a reader that pulls, bounded in bytes. */
export class ChunkQueue {
  readonly #chunks: StdioChunk[] = [];
  readonly #onChange: () => void;
  #bytes = 0;
  #ended = false;
  #wake: () => void = () => {};

  /** @param onChange called when the queue became full, or has room again */
  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  get full(): boolean {
    return this.#bytes >= CAPACITY && !this.#ended;
  }

  push(chunk: StdioChunk): void {
    if (this.#ended) return;
    this.#chunks.push(chunk);
    this.#bytes += chunk.bytes.length;
    this.#wake();
    if (this.full) this.#onChange();
  }

  /** No more will come; what is there is still read. */
  end(): void {
    this.#ended = true;
    this.#wake();
  }

  /** The reader left: drops what is there. */
  cancel(): void {
    this.#chunks.length = 0;
    this.#bytes = 0;
    this.end();
    this.#onChange();
  }

  async *read(): AsyncGenerator<StdioChunk, void, void> {
    try {
      for (;;) {
        const chunk = this.#chunks.shift();
        if (chunk) {
          const wasFull = this.full;
          this.#bytes -= chunk.bytes.length;
          if (wasFull && !this.full) this.#onChange();
          yield chunk;
        } else if (this.#ended) {
          return;
        } else {
          const { promise, resolve } = Promise.withResolvers<void>();
          this.#wake = resolve;
          await promise;
        }
      }
    } finally {
      this.cancel();
    }
  }
}
