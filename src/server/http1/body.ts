/** Request bodies: bytes of a connection, cut where the head says they end. */
import { type Framing, ProtocolError } from "./head.ts";

/** Where bytes come from. `read` gives the next ones, or undefined at the end; `unread` puts back what was too much. */
export interface ByteSource {
  read(): Promise<Buffer | undefined>;
  unread(bytes: Buffer): void;
}

const MAX_CHUNK_LINE = 4096;
const MAX_TRAILERS = 16 * 1024;

/** Reads one body to its end and not a byte further. @throws ProtocolError when the bytes stop early or make no sense */
export class RequestBody implements AsyncIterable<Uint8Array> {
  readonly #source: ByteSource;
  readonly #framing: Framing;
  /** Bytes that are left of the body (`length`) or of the present chunk (`chunked`). */
  #left: number;
  #betweenChunks = false;
  #finished: boolean;
  #beforeFirstRead: (() => void) | undefined;

  /** @param beforeFirstRead called once somebody wants the body: `100 Continue` */
  constructor(source: ByteSource, framing: Framing, beforeFirstRead?: () => void) {
    this.#source = source;
    this.#framing = framing;
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
    return this.#left;
  }

  /** The client still waits for `100 Continue`: it has sent nothing of the body. */
  get awaitsContinue(): boolean {
    return this.#beforeFirstRead !== undefined && !this.#finished;
  }

  async read(): Promise<Uint8Array | undefined> {
    if (this.#finished) return undefined;
    this.#beforeFirstRead?.();
    this.#beforeFirstRead = undefined;
    if (this.#framing.kind === "chunked" && this.#left === 0) {
      this.#left = await this.#readChunkSize();
      if (this.#left === 0) {
        await this.#readTrailers();
        this.#finished = true;
        return undefined;
      }
    }
    const bytes = await this.#some();
    const mine = bytes.length > this.#left ? bytes.subarray(0, this.#left) : bytes;
    if (mine !== bytes) this.#source.unread(bytes.subarray(this.#left));
    this.#left -= mine.length;
    if (this.#left === 0 && this.#framing.kind === "length") this.#finished = true;
    return mine;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, void> {
    for (let bytes = await this.read(); bytes; bytes = await this.read()) yield bytes;
  }

  async #readChunkSize(): Promise<number> {
    if (this.#betweenChunks && (await this.#line(2)) !== "") throw new ProtocolError(400, "malformed chunk");
    this.#betweenChunks = true;
    const line = await this.#line(MAX_CHUNK_LINE);
    const size = /^([0-9A-Fa-f]{1,12})[ \t]*(;.*)?$/.exec(line);
    if (!size) throw new ProtocolError(400, "malformed chunk size");
    return Number.parseInt(size[1] ?? "", 16);
  }

  async #readTrailers(): Promise<void> {
    let total = 0;
    for (let line = await this.#line(MAX_TRAILERS); line !== ""; line = await this.#line(MAX_TRAILERS)) {
      total += line.length;
      if (total > MAX_TRAILERS) throw new ProtocolError(431, "trailers too large");
    }
  }

  /** The next line without its CRLF. */
  async #line(limit: number): Promise<string> {
    let line: Buffer = Buffer.alloc(0);
    for (;;) {
      const bytes = await this.#some();
      line = line.length === 0 ? bytes : Buffer.concat([line, bytes]);
      const end = line.indexOf("\n");
      if (end >= 0) {
        if (end > limit || line[end - 1] !== 13) throw new ProtocolError(400, "malformed chunk");
        if (end + 1 < line.length) this.#source.unread(line.subarray(end + 1));
        return line.toString("latin1", 0, end - 1);
      }
      if (line.length > limit) throw new ProtocolError(400, "malformed chunk");
    }
  }

  async #some(): Promise<Buffer> {
    const bytes = await this.#source.read();
    if (!bytes) throw new ProtocolError(400, "unexpected EOF in request body");
    return bytes;
  }
}
