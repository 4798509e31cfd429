/**
 * Docker's framing of several output streams on one connection ("stdcopy"): eight bytes of header
 * `[stream, 0, 0, 0, length as u32 big endian]`, then the bytes. Pure; engine and client use the same codec.
 */

export type FrameStream = "stdin" | "stdout" | "stderr" | "systemerr";

export interface Frame {
  readonly stream: FrameStream;
  readonly bytes: Uint8Array;
}

const FRAME_HEADER = 8;
const STREAMS: readonly FrameStream[] = ["stdin", "stdout", "stderr", "systemerr"];

/** Raw bytes: a terminal, or an API before 1.42 whatever the container. */
export const RAW_STREAM = "application/vnd.docker.raw-stream";
/** Frames, told apart from raw bytes since API 1.42. */
export const MULTIPLEXED_STREAM = "application/vnd.docker.multiplexed-stream";

/** The bytes with their header of eight in front: the stream, and the length, big-endian. */
export function encodeFrame(stream: FrameStream, bytes: Uint8Array): Uint8Array {
  const frame = new Uint8Array(FRAME_HEADER + bytes.length);
  frame[0] = STREAMS.indexOf(stream);
  new DataView(frame.buffer).setUint32(4, bytes.length);
  frame.set(bytes, FRAME_HEADER);
  return frame;
}

/** Bytes that are no frames: a raw stream was taken for a multiplexed one. */
class FrameError extends Error {
  override readonly name = "FrameError";
}

/**
 * Takes frames apart whatever the pieces they arrive in. Payload is passed on as it comes, so a frame may be given
 * out in several parts and memory does not depend on its length.
 */
export class FrameDecoder {
  #header = new Uint8Array(FRAME_HEADER);
  #headerLength = 0;
  #stream: FrameStream = "stdout";
  #left = 0;

  /** @throws FrameError */
  *push(bytes: Uint8Array): Generator<Frame, void, void> {
    let at = 0;
    while (at < bytes.length) {
      if (this.#left === 0) {
        const part = bytes.subarray(at, at + FRAME_HEADER - this.#headerLength);
        this.#header.set(part, this.#headerLength);
        this.#headerLength += part.length;
        at += part.length;
        if (this.#headerLength === FRAME_HEADER) this.#readHeader();
        continue;
      }
      const part = bytes.subarray(at, at + this.#left);
      this.#left -= part.length;
      at += part.length;
      yield { stream: this.#stream, bytes: part };
    }
  }

  /** True between two frames: the end of the connection is clean here. */
  get complete(): boolean {
    return this.#left === 0 && this.#headerLength === 0;
  }

  #readHeader(): void {
    const stream = STREAMS[this.#header[0] ?? 255];
    if (stream === undefined) throw new FrameError(`Unrecognized input header: ${this.#header[0]}`);
    this.#stream = stream;
    this.#left = new DataView(this.#header.buffer).getUint32(4);
    this.#headerLength = 0;
  }
}
