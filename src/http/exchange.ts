/** One request and its reply, on HTTP/1.1. Knows nothing of what the request means. */
import type { Socket } from "node:net";
import type { PeerCertificate, TLSSocket } from "node:tls";
import { RequestBody } from "./body.ts";
import { ClientGone, Stopping } from "./errors.ts";
import { formatHead, HTTP2_PREFACE, type RequestHead } from "./head.ts";
import type { ReplyHeaders } from "./headers.ts";
import { linger, type SocketReader, type SocketWriter } from "./socket-io.ts";
import { reasonOf } from "./status.ts";

/** Answers one request. What it throws becomes a reply, if there was none yet. */
export type ExchangeHandler = (exchange: Exchange) => Promise<void> | void;

/**
 * `client-gone`: the client closed its connection, or its half of it, before the reply was complete; `stopping`: the
 * host stops and waits for what must finish; `cut-off`: it waits no longer.
 */
export type Interruption = "client-gone" | "stopping" | "cut-off";

/** Who is at the other end. */
export interface Peer {
  /** Undefined on a unix socket. */
  readonly address: string | undefined;
  readonly encrypted: boolean;
  /** The common name of the certificate that the client has shown, if it was asked for one. */
  readonly certificateName: string | undefined;
  /** That certificate, in DER. */
  readonly certificate: Uint8Array | undefined;
  /** Where it connected to: `unix:///run/x.sock`, `tcp://127.0.0.1:2376`. */
  readonly socket: string;
}

/** Raw bytes both ways, after HTTP. */
export interface RawConnection extends Disposable {
  readonly input: AsyncIterable<Uint8Array>;
  write(bytes: Uint8Array): Promise<void>;
  /** Half-closes: all output was sent. */
  end(): Promise<void>;
  /** Settles when the client is gone for good. */
  readonly closed: Promise<void>;
}

export interface StreamedReply {
  /** Resolves when more may be written: await it, memory is bounded by that. */
  write(bytes: Uint8Array): Promise<void>;
  /** A reply that is shorter than its announced length breaks the connection off. */
  end(): Promise<void>;
  /** Ends the connection without a proper end: an error that cannot be told in-band. */
  destroy(): void;
}

/** Milliseconds that a client may go on sending after its raw connection was given up. */
const RAW_LINGER = 2_000;

export class Exchange {
  readonly head: RequestHead;
  readonly body: RequestBody;
  readonly #socket: Socket;
  readonly #reader: SocketReader;
  readonly #writer: SocketWriter;
  readonly #listening: string;
  /** Called as it happens; `signal` is the simpler way. */
  onInterrupt: ((what: Interruption) => void) | undefined;
  #state: "open" | "replying" | "done" | "raw" = "open";
  #keepAlive: boolean;
  #abort: AbortController | undefined;
  #interrupted: Error | undefined;

  constructor(
    head: RequestHead,
    socket: Socket,
    io: { readonly reader: SocketReader; readonly writer: SocketWriter; readonly listening: string },
  ) {
    const { reader, writer } = io;
    this.head = head;
    this.#socket = socket;
    this.#reader = reader;
    this.#writer = writer;
    this.#listening = io.listening;
    this.#keepAlive = head.keepAlive;
    this.body = new RequestBody(
      reader,
      head.framing,
      head.expectsContinue ? () => void this.#continue() : undefined,
    );
  }

  get peer(): Peer {
    const socket = this.#socket as Partial<TLSSocket> & Socket;
    const encrypted = socket.encrypted === true;
    const certificate: Partial<PeerCertificate> | undefined = encrypted
      ? socket.getPeerCertificate?.()
      : undefined;
    const name = certificate?.subject?.CN;
    return {
      address: socket.remoteAddress || undefined,
      encrypted,
      certificateName: Array.isArray(name) ? name[0] : name,
      certificate: name === undefined ? undefined : certificate?.raw,
      socket: this.#listening,
    };
  }

  /** The first value of a request header. */
  header(name: string): string | undefined {
    return this.head.headers.get(name.toLowerCase())?.[0];
  }

  /** Bytes, as the head announces them: 0 without a body, infinite for one in chunks. */
  get bodyLength(): number {
    const { framing } = this.head;
    if (framing.kind === "none") return 0;
    return framing.kind === "length" ? framing.length : Number.POSITIVE_INFINITY;
  }

  /** Aborted when the client is gone, or the host waits no longer. */
  get signal(): AbortSignal {
    if (!this.#abort) {
      this.#abort = new AbortController();
      if (this.#interrupted) this.#abort.abort(this.#interrupted);
    }
    return this.#abort.signal;
  }

  /** Nothing of the reply was sent yet. */
  get open(): boolean {
    return this.#state === "open";
  }

  get takenOver(): boolean {
    return this.#state === "raw";
  }

  /** The reply is complete and the connection may carry another. */
  get reusable(): boolean {
    return this.#keepAlive && this.#state === "done";
  }

  /** Told by the connection and the host. */
  interrupt(what: Interruption): void {
    if (what === "client-gone" && (this.#state === "raw" || this.#state === "done")) return;
    if (what !== "stopping" && !this.#interrupted) {
      this.#interrupted = what === "client-gone" ? new ClientGone() : new Stopping();
      this.#abort?.abort(this.#interrupted);
    }
    this.onInterrupt?.(what);
  }

  /** A whole reply. `body` is left out for HEAD, 204 and 304, its length is told. */
  async reply(status: number, headers: ReplyHeaders, body: string | Uint8Array): Promise<void> {
    this.#begin("done");
    const bodiless = status === 204 || status === 304;
    const length: ReplyHeaders = bodiless ? [] : [["Content-Length", String(Buffer.byteLength(body))]];
    const head = this.#head(status, headers, length);
    if (bodiless || this.head.method === "HEAD") await this.#writer.write(head);
    else if (typeof body === "string") await this.#writer.write(head + body);
    else await this.#writer.write(Buffer.concat([Buffer.from(head, "latin1"), body]));
  }

  /**
   * Head now, body as it comes. To HEAD nothing but the head is sent.
   * @param length bytes of the body, where they are known; else it goes in chunks
   */
  stream(status: number, headers: ReplyHeaders, length?: number): StreamedReply {
    this.#begin("replying");
    const chunked = length === undefined && this.head.version === "1.1";
    if (!chunked && length === undefined) this.#keepAlive = false;
    const framing: ReplyHeaders = chunked
      ? [["Transfer-Encoding", "chunked"]]
      : length === undefined
        ? []
        : [["Content-Length", String(length)]];
    const headWritten = this.#writer.write(this.#head(status, headers, framing));
    const silent = this.head.method === "HEAD";
    let left = length ?? Number.POSITIVE_INFINITY;
    let ended = false;
    const destroy = () => {
      ended = true;
      this.destroy();
    };
    return {
      write: async (bytes) => {
        await headWritten;
        if (ended || silent || bytes.length === 0) return;
        left -= bytes.length;
        if (left < 0) {
          destroy();
          throw new Error(`a reply to ${this.head.method} ${this.head.target} is longer than announced`);
        }
        await this.#writer.write(chunked ? toChunk(bytes) : bytes);
      },
      end: async () => {
        await headWritten;
        if (ended) return;
        if (!silent && length !== undefined && left > 0) return destroy();
        ended = true;
        this.#state = "done";
        if (chunked && !silent) await this.#writer.write("0\r\n\r\n");
      },
      destroy,
    };
  }

  /** Leaves HTTP: what was read ahead is the first of the input, see `rawInput`. */
  takeOver(status: number, reason: string, headers: ReplyHeaders): RawConnection {
    this.#begin("raw");
    void this.#writer.write(formatHead(status, reason, headers));
    return this.#raw(status === 101);
  }

  /** Leaves HTTP/1.1 with what the client has sent as the first of the input: for one that began with HTTP/2. */
  takeOverHttp2(): RawConnection {
    this.#begin("raw");
    this.#reader.putBefore(HTTP2_PREFACE);
    return this.#raw(true);
  }

  /** Gives up on the connection in the middle of a reply. */
  destroy(): void {
    this.#keepAlive = false;
    this.#socket.destroy();
  }

  #raw(upgraded: boolean): RawConnection {
    const { head, body } = this;
    const reader = this.#reader;
    const writer = this.#writer;
    const socket = this.#socket;
    return {
      input: { [Symbol.asyncIterator]: () => rawInput(head, upgraded, body, reader) },
      write: (bytes) => writer.write(bytes),
      end: () => writer.end(),
      closed: writer.closed,
      [Symbol.dispose]: () => {
        reader.discard();
        linger(socket, RAW_LINGER);
      },
    };
  }

  #begin(next: "replying" | "done" | "raw"): void {
    if (this.#state !== "open") throw new Error(`a second reply to ${this.head.method} ${this.head.target}`);
    this.#state = next;
    // An unread body that the client has not begun to send makes the connection useless.
    if (this.body.awaitsContinue) this.#keepAlive = false;
  }

  #head(status: number, headers: ReplyHeaders, framing: ReplyHeaders): string {
    const connection: ReplyHeaders = !this.#keepAlive
      ? [["Connection", "close"]]
      : this.head.version === "1.0"
        ? [["Connection", "keep-alive"]]
        : [];
    return formatHead(status, reasonOf(status), [
      ...headers,
      ["Date", httpDate()],
      ...framing,
      ...connection,
    ]);
  }

  #continue(): Promise<void> {
    return this.#state === "open" ? this.#writer.write("HTTP/1.1 100 Continue\r\n\r\n") : Promise.resolve();
  }
}

/**
 * What a client sends once its socket has left HTTP. A body of declared length that nobody decoded is no input
 * (dockerode repeats its options in one). Chunks are: without an upgrade, a client that streams its body types in
 * it; after an upgrade the bytes are raw whatever was declared, as Go's servers have it.
 */
async function* rawInput(
  { framing }: RequestHead,
  upgraded: boolean,
  body: RequestBody,
  reader: SocketReader,
): AsyncGenerator<Uint8Array, void, void> {
  if (framing.kind === "chunked" && !upgraded) return yield* body;
  if (framing.kind === "length") while (await body.read());
  for (let bytes = await reader.read(); bytes; bytes = await reader.read()) yield bytes;
}

function toChunk(bytes: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`, "latin1"), bytes, CRLF]);
}

const CRLF = Buffer.from("\r\n");

let dateSecond = 0;
let dateText = "";

function httpDate(): string {
  const second = Math.floor(Date.now() / 1000);
  if (second !== dateSecond) {
    dateSecond = second;
    dateText = new Date(second * 1000).toUTCString();
  }
  return dateText;
}
