/** Bytes that arrive in pieces, kept in one buffer: however small the pieces, a byte costs the same. */
export class Accumulator {
  #bytes: Buffer = EMPTY;
  #length = 0;
  /** The buffer was made here and may be written to; else it is the piece that came. */
  #owned = false;

  get length(): number {
    return this.#length;
  }

  /** A view, good until the next `push`. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  push(piece: Uint8Array): void {
    if (piece.length === 0) return;
    if (this.#length === 0) {
      this.#hold(piece);
      return;
    }
    const length = this.#length + piece.length;
    if (!this.#owned || length > this.#bytes.length) this.#grow(length);
    this.#bytes.set(piece, this.#length);
    this.#length = length;
  }

  /** All of them; nothing is left. */
  takeAll(): Buffer {
    const { bytes } = this;
    this.clear();
    return bytes;
  }

  /** Forgets the first bytes. What is left is a view on the same buffer until something is pushed. */
  drop(count: number): void {
    if (count >= this.#length) {
      this.clear();
      return;
    }
    this.#bytes = this.#bytes.subarray(count, this.#length);
    this.#length -= count;
    this.#owned = false;
  }

  clear(): void {
    this.#bytes = EMPTY;
    this.#length = 0;
    this.#owned = false;
  }

  #hold(piece: Uint8Array): void {
    this.#bytes = Buffer.isBuffer(piece)
      ? piece
      : Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength);
    this.#length = piece.length;
    this.#owned = false;
  }

  #grow(atLeast: number): void {
    const grown = Buffer.allocUnsafe(Math.max(atLeast, this.#length * 2, SMALLEST));
    grown.set(this.bytes);
    this.#bytes = grown;
    this.#owned = true;
  }
}

const EMPTY: Buffer = Buffer.alloc(0);
const SMALLEST = 1024;
