/**
 * `Transfer-Encoding: chunked`, taken apart in place: data is moved together in the buffer that it arrived in, so that
 * small chunks cost no more memory than large ones. Pure.
 * @see RFC 9112, 7.1
 */
import { ProtocolError } from "./errors.ts";

const MAX_LINE = 4096;
const MAX_TRAILERS = 16 * 1024;
/** As Go's reader: framing may be somewhat more than the data, and no more. */
const MAX_EXCESS = 16 * 1024;
const CHUNK_SIZE = /^([0-9A-Fa-f]{1,12})[ \t]*(?:;.*)?$/;

export interface Decoded {
  /** Of the body; a view on the input. */
  readonly data: Buffer;
  /** Bytes of the input that belong to this body. All of them, unless it ended. */
  readonly consumed: number;
}

export class ChunkDecoder {
  #state: "size" | "data" | "data-end" | "trailer" | "done" = "size";
  #line = "";
  /** Of the present chunk. */
  #left = 0;
  #excess = 0;
  #trailers = 0;

  get done(): boolean {
    return this.#state === "done";
  }

  /** Bytes of the present chunk that are still to come. */
  get left(): number {
    return this.#left;
  }

  /** @param input is written over. @throws ProtocolError */
  decode(input: Buffer): Decoded {
    let from = 0;
    let to = 0;
    let at = 0;
    while (at < input.length && this.#state !== "done") {
      if (this.#state === "data") {
        const end = Math.min(at + this.#left, input.length);
        if (to === 0) from = at;
        else input.copyWithin(from + to, at, end);
        to += end - at;
        this.#left -= end - at;
        at = end;
        if (this.#left === 0) this.#state = "data-end";
      } else {
        at = this.#takeLine(input, at);
      }
    }
    return { data: input.subarray(from, from + to), consumed: at };
  }

  /** Returns where it ends, within the input. */
  #takeLine(input: Buffer, at: number): number {
    const feed = input.indexOf(10, at);
    const end = feed < 0 ? input.length : feed + 1;
    if (this.#line.length + end - at > MAX_LINE) throw malformed();
    this.#line += input.toString("latin1", at, end);
    if (feed < 0) return end;
    if (!this.#line.endsWith("\r\n")) throw malformed();
    const line = this.#line.slice(0, -2);
    this.#line = "";
    this.#understand(line);
    return end;
  }

  #understand(line: string): void {
    if (this.#state === "data-end") {
      if (line !== "") throw malformed();
      this.#state = "size";
    } else if (this.#state === "trailer") {
      this.#trailers += line.length;
      if (this.#trailers > MAX_TRAILERS) throw new ProtocolError(431, "trailers too large");
      if (line === "") this.#state = "done";
    } else {
      this.#begin(line);
    }
  }

  #begin(line: string): void {
    const size = CHUNK_SIZE.exec(line);
    if (!size) throw new ProtocolError(400, "malformed chunk size");
    this.#left = Number.parseInt(size[1] ?? "", 16);
    this.#excess = Math.max(0, this.#excess + line.length + 4 - 16 - 2 * this.#left);
    if (this.#excess > MAX_EXCESS) throw new ProtocolError(400, "too much framing for so little data");
    this.#state = this.#left === 0 ? "trailer" : "data";
  }
}

function malformed(): ProtocolError {
  return new ProtocolError(400, "malformed chunk");
}
