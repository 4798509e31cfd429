/** gRPC's frames within a body: a byte that says if it is compressed, four bytes of length, the message. */
import { InvalidParameterError } from "../../../core/errors.ts";

const HEADER = 5;
/** What a message may measure. */
export const LARGEST_MESSAGE = 16 << 20;

export function frame(message: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(HEADER + message.length);
  new DataView(bytes.buffer).setUint32(1, message.length);
  bytes.set(message, HEADER);
  return bytes;
}

/** The messages of a body. @throws InvalidParameterError for what is too large, compressed or cut off */
export async function* unframed(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, void> {
  const queue = new ByteQueue();
  for await (const chunk of body) {
    queue.push(chunk);
    for (let message = nextMessage(queue); message; message = nextMessage(queue)) yield message;
  }
  if (queue.length > 0) throw new InvalidParameterError("grpc: the stream ends within a message");
}

function nextMessage(queue: ByteQueue): Uint8Array | undefined {
  const header = queue.peek(HEADER);
  if (!header) return undefined;
  if (header[0] !== 0) throw new InvalidParameterError("grpc: compressed messages are not supported");
  const length = new DataView(header.buffer, header.byteOffset).getUint32(1);
  if (length > LARGEST_MESSAGE) {
    throw new InvalidParameterError(
      `grpc: received message larger than max (${length} vs. ${LARGEST_MESSAGE})`,
    );
  }
  if (queue.length < HEADER + length) return undefined;
  queue.take(HEADER);
  return queue.take(length);
}

/** Chunks as one run of bytes, each byte copied at most once. */
class ByteQueue {
  readonly #chunks: Uint8Array[] = [];
  #first = 0;
  length = 0;

  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.length += chunk.length;
  }

  peek(count: number): Uint8Array | undefined {
    if (this.length < count) return undefined;
    const [chunk] = this.#chunks;
    if (chunk && chunk.length - this.#first >= count) return chunk.subarray(this.#first, this.#first + count);
    const bytes = this.take(count);
    this.#chunks[0] = this.#chunks[0]?.subarray(this.#first) ?? new Uint8Array();
    this.#first = 0;
    this.#chunks.unshift(bytes);
    this.length += count;
    return bytes;
  }

  take(count: number): Uint8Array {
    const [head] = this.#chunks;
    if (head && head.length - this.#first > count) {
      const part = head.subarray(this.#first, this.#first + count);
      this.#first += count;
      this.length -= count;
      return part;
    }
    const bytes = new Uint8Array(count);
    let filled = 0;
    while (filled < count) {
      const chunk = this.#chunks[0] as Uint8Array;
      const part = chunk.subarray(this.#first, this.#first + count - filled);
      bytes.set(part, filled);
      filled += part.length;
      this.#first += part.length;
      if (this.#first === chunk.length) {
        this.#chunks.shift();
        this.#first = 0;
      }
    }
    this.length -= count;
    return bytes;
  }
}
