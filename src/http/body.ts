/** Request bodies: bytes of a connection, cut where the head says they end. */
import { Accumulator } from "./accumulator.ts";
import { ChunkDecoder } from "./chunks.ts";
import { HttpError, ProtocolError } from "./errors.ts";
import type { Framing } from "./head.ts";

/** Where bytes come from. `read` gives the next ones, or undefined at the end; `unread` puts back what was too much. */
export interface ByteSource {
  read(): Promise<Buffer | undefined>;
  unread(bytes: Buffer): void;
}

/** Reads one body to its end and not a byte further. @throws ProtocolError when the bytes stop early or make no sense */
export class RequestBody implements AsyncIterable<Uint8Array> {
  readonly #source: ByteSource;
  readonly #chunks: ChunkDecoder | undefined;
  /** Of a body whose length was told. */
  #left: number;
  #finished: boolean;
  #beforeFirstRead: (() => void) | undefined;

  /** @param beforeFirstRead called once somebody wants the body: `100 Continue` */
  constructor(source: ByteSource, framing: Framing, beforeFirstRead?: () => void) {
    this.#source = source;
    this.#chunks = framing.kind === "chunked" ? new ChunkDecoder() : undefined;
    this.#left = framing.kind === "length" ? framing.length : 0;
    this.#finished = framing.kind === "none";
    this.#beforeFirstRead = beforeFirstRead;
  }

  /** All was read, or there was nothing to read. */
  get finished(): boolean {
    return this.#finished;
  }

  /** Bytes that are still to come, as far as the client has told. */
  get announced(): number {
    return this.#chunks?.left ?? this.#left;
  }

  /** The client still waits for `100 Continue`: it has sent nothing of the body. */
  get awaitsContinue(): boolean {
    return this.#beforeFirstRead !== undefined && !this.#finished;
  }

  async read(): Promise<Uint8Array | undefined> {
    if (this.#finished) return undefined;
    this.#beforeFirstRead?.();
    this.#beforeFirstRead = undefined;
    return this.#chunks ? await this.#readChunked(this.#chunks) : await this.#readSome();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, void> {
    for (let bytes = await this.read(); bytes; bytes = await this.read()) yield bytes;
  }

  async #readSome(): Promise<Uint8Array> {
    const bytes = await this.#some();
    const mine = bytes.length > this.#left ? bytes.subarray(0, this.#left) : bytes;
    if (mine !== bytes) this.#source.unread(bytes.subarray(this.#left));
    this.#left -= mine.length;
    if (this.#left === 0) this.#finished = true;
    return mine;
  }

  async #readChunked(decoder: ChunkDecoder): Promise<Uint8Array | undefined> {
    for (;;) {
      const bytes = await this.#some();
      const { data, consumed } = decoder.decode(bytes);
      if (consumed < bytes.length) this.#source.unread(bytes.subarray(consumed));
      this.#finished = decoder.done;
      if (data.length > 0) return data;
      if (decoder.done) return undefined;
    }
  }

  async #some(): Promise<Buffer> {
    const bytes = await this.#source.read();
    if (!bytes) throw new ProtocolError(400, "unexpected EOF in request body");
    return bytes;
  }
}

export interface WholeBodyLimits {
  readonly maxBytes: number;
  /** Milliseconds for all of it. */
  readonly timeout: number;
}

/**
 * A body that is small enough to be held.
 * @param length as announced; infinite if it was not
 * @throws HttpError 413 if it is too large, 408 if it takes too long; ProtocolError
 */
export async function readWhole(
  body: AsyncIterable<Uint8Array>,
  length: number,
  { maxBytes, timeout }: WholeBodyLimits,
): Promise<Buffer> {
  const tooLarge = () => new HttpError(413, `request body too large: more than ${maxBytes} bytes`);
  if (length !== Number.POSITIVE_INFINITY && length > maxBytes) throw tooLarge();
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new ProtocolError(408, "request body took too long")), timeout);
  const reading = (async () => {
    const whole = new Accumulator();
    for await (const bytes of body) {
      if (whole.length + bytes.length > maxBytes) throw tooLarge();
      whole.push(bytes);
    }
    return whole.takeAll();
  })();
  try {
    return await Promise.race([reading, late]);
  } finally {
    clearTimeout(timer);
    // Lost the race: it ends with the connection, and nobody is there to hear.
    reading.catch(() => undefined);
  }
}
