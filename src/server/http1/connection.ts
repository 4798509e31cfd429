/**
 * One client connection: requests one after the other, each with its reply, until one side closes or a request
 * takes the socket out of HTTP. Owns the socket, its time limits and its memory; knows nothing of Docker.
 *
 * This is ours, and not node:http's server, because Docker's protocol needs what that one cannot do on Bun: a socket
 * taken over without an upgrade (`200` and raw bytes both ways), replies while the request is still being sent, and
 * half-close in both directions.
 *
 * Memory: at most `READ_AHEAD` bytes of what the client sent and nobody took yet; writes wait for the socket.
 */
import type { Socket } from "node:net";
import { log } from "../../base/log.ts";
import { type ByteSource, RequestBody } from "./body.ts";
import { formatHead, ProtocolError, parseRequestHead, type ReplyHeaders, type RequestHead } from "./head.ts";

export interface ConnectionLimits {
  /** Bytes of request line and headers. */
  readonly maxHead: number;
  /** Milliseconds from the first byte of a head to its last. An idle connection may stay. */
  readonly headTimeout: number;
  /** Milliseconds that a client may go on sending a body that nobody wants, to be able to read our reply. */
  readonly lingerTimeout: number;
}

/** Milliseconds between two looks at a socket whose client sends no more. */
const HANGUP_INTERVAL = 250;

export const DEFAULT_LIMITS: ConnectionLimits = {
  maxHead: 256 * 1024,
  headTimeout: 60_000,
  lingerTimeout: 2_000,
};

const READ_AHEAD = 64 * 1024;
const HEAD_END = Buffer.from("\r\n\r\n");
/** Of a body that the handler left, this much is skipped to keep the connection; else it is closed. */
const MAX_SKIP = 256 * 1024;

export type ExchangeHandler = (exchange: Exchange) => Promise<void>;

/** Raw bytes both ways, after HTTP. */
export interface RawConnection extends Disposable {
  readonly socket: Socket;
  readonly input: AsyncIterable<Uint8Array>;
  write(bytes: Uint8Array): Promise<void>;
  end(): Promise<void>;
  readonly closed: Promise<void>;
}

export class Connection {
  readonly #socket: Socket;
  readonly #limits: ConnectionLimits;
  readonly #reader: SocketReader;
  readonly #writer: SocketWriter;
  #exchange: Exchange | undefined;
  #closing = false;

  constructor(socket: Socket, limits: ConnectionLimits = DEFAULT_LIMITS) {
    this.#socket = socket;
    this.#limits = limits;
    this.#writer = new SocketWriter(socket);
    this.#reader = new SocketReader(socket, () => this.#clientEnded());
  }

  /** Settles when the connection is done with HTTP. Never rejects. */
  async serve(handler: ExchangeHandler): Promise<void> {
    try {
      while (!this.#closing) {
        const head = await this.#readHead();
        if (!head) break;
        if (!(await this.#serveOne(head, handler))) return;
      }
      this.#leave();
    } catch (error) {
      if (error instanceof ProtocolError) this.#refuse(error);
      else {
        log("debug", "connection failed", { error });
        this.#socket.destroy();
      }
    }
  }

  /** Idle: closes now. Else: closes after the reply that is under way. */
  close(): void {
    this.#closing = true;
    if (!this.#exchange) this.#socket.destroy();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /**
   * The client sends no more. On Bun the end of input is all that a half-open socket reports, also when the client
   * is gone for good; only the handle is dropped then.
   */
  #clientEnded(): void {
    this.#exchange?.clientEnded();
    const timer = setInterval(() => {
      if (hasHandle(this.#socket)) return;
      clearInterval(timer);
      this.#socket.destroy();
    }, HANGUP_INTERVAL);
    timer.unref();
    this.#socket.once("close", () => clearInterval(timer));
  }

  /** False if the socket has left HTTP. */
  async #serveOne(head: RequestHead, handler: ExchangeHandler): Promise<boolean> {
    const exchange = new Exchange(head, this.#socket, this.#reader, this.#writer);
    this.#exchange = exchange;
    try {
      await handler(exchange);
    } finally {
      this.#exchange = undefined;
    }
    if (exchange.takenOver) return false;
    if (!exchange.reusable || this.#writer.gone) this.#closing = true;
    if (!exchange.body.finished) await this.#skipBody(exchange.body);
    return true;
  }

  /** The client should get to read the reply, even if it is still sending. */
  async #skipBody(body: RequestBody): Promise<void> {
    // Nothing of it will be of use: it is thrown away as it comes, not read.
    if (body.awaitsContinue || body.announced > MAX_SKIP) {
      this.#closing = true;
      return;
    }
    const timer = setTimeout(() => this.#socket.destroy(), this.#limits.lingerTimeout);
    try {
      let skipped = 0;
      for (let bytes = await body.read(); bytes; bytes = await body.read()) {
        skipped += bytes.length;
        if (skipped > MAX_SKIP && !this.#closing) {
          this.#closing = true;
          this.#socket.end();
        }
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#closing = true;
    } finally {
      clearTimeout(timer);
    }
  }

  /** undefined when the client closed between two requests. */
  async #readHead(): Promise<RequestHead | undefined> {
    let bytes: Buffer = Buffer.alloc(0);
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      for (;;) {
        const more = await this.#reader.read();
        if (!more) return undefined;
        // Empty lines before a request are tolerated (RFC 9112, 2.2).
        bytes = bytes.length === 0 ? skipEmptyLines(more) : Buffer.concat([bytes, more]);
        if (bytes.length === 0) continue;
        const end = bytes.indexOf(HEAD_END);
        if (end >= 0 && end <= this.#limits.maxHead) {
          if (end + 4 < bytes.length) this.#reader.unread(bytes.subarray(end + 4));
          return parseRequestHead(bytes.subarray(0, end));
        }
        if (bytes.length > this.#limits.maxHead) throw new ProtocolError(431, "request header too large");
        rejectEarly(bytes);
        timer ??= setTimeout(
          () => this.#refuse(new ProtocolError(408, "request header took too long")),
          this.#limits.headTimeout,
        );
      }
    } finally {
      clearTimeout(timer);
    }
  }

  #refuse(error: ProtocolError): void {
    const body = `${JSON.stringify({ message: error.message })}\n`;
    const head = formatHead(error.status, reasonOf(error.status), [
      ["Content-Type", "application/json"],
      ["Connection", "close"],
      ["Content-Length", String(Buffer.byteLength(body))],
    ]);
    this.#socket.write(head + body);
    this.#leave();
  }

  #leave(): void {
    this.#reader.discard();
    linger(this.#socket, this.#limits.lingerTimeout);
  }
}

/** One request and its reply. */
export class Exchange {
  readonly head: RequestHead;
  readonly body: RequestBody;
  readonly #socket: Socket;
  readonly #reader: SocketReader;
  readonly #writer: SocketWriter;
  /** Called when the client closed its connection, or its half of it, before the reply was complete. */
  onDisconnect: (() => void) | undefined;
  #state: "open" | "replying" | "done" | "raw" = "open";
  #keepAlive: boolean;

  constructor(head: RequestHead, socket: Socket, reader: SocketReader, writer: SocketWriter) {
    this.head = head;
    this.#socket = socket;
    this.#reader = reader;
    this.#writer = writer;
    this.#keepAlive = head.keepAlive;
    this.body = new RequestBody(
      reader,
      head.framing,
      head.expectsContinue ? () => void this.#continue() : undefined,
    );
  }

  /** Nothing of the reply was sent yet. */
  get open(): boolean {
    return this.#state === "open";
  }

  get takenOver(): boolean {
    return this.#state === "raw";
  }

  get reusable(): boolean {
    return this.#keepAlive && this.#state === "done";
  }

  clientEnded(): void {
    if (this.#state === "raw" || this.#state === "done") return;
    this.onDisconnect?.();
  }

  /** A whole reply. `body` is left out for HEAD, 204 and 304, its length is told. */
  async reply(status: number, headers: ReplyHeaders, body: string): Promise<void> {
    this.#begin("done");
    const bodiless = status === 204 || status === 304;
    const length: ReplyHeaders = bodiless ? [] : [["Content-Length", String(Buffer.byteLength(body))]];
    const head = formatHead(status, reasonOf(status), [...headers, ...length, ...this.#connectionHeader()]);
    await this.#writer.write(bodiless || this.head.method === "HEAD" ? head : head + body);
  }

  /** Head now, body as it comes. */
  stream(status: number, headers: ReplyHeaders): StreamedReply {
    this.#begin("replying");
    const chunked = this.head.version === "1.1";
    if (!chunked) this.#keepAlive = false;
    const framing: ReplyHeaders = chunked ? [["Transfer-Encoding", "chunked"]] : [];
    const all = [...headers, ...framing, ...this.#connectionHeader()];
    const headWritten = this.#writer.write(formatHead(status, reasonOf(status), all));
    const silent = this.head.method === "HEAD";
    let ended = false;
    return {
      write: async (bytes) => {
        await headWritten;
        if (ended || silent || bytes.length === 0) return;
        await this.#writer.write(chunked ? toChunk(bytes) : bytes);
      },
      end: async () => {
        await headWritten;
        if (ended) return;
        ended = true;
        this.#state = "done";
        if (chunked && !silent) await this.#writer.write("0\r\n\r\n");
      },
      destroy: () => {
        ended = true;
        this.#keepAlive = false;
        this.#socket.destroy();
      },
    };
  }

  /** Leaves HTTP: what was read ahead is the first of the input, see `rawInput`. */
  takeOver(status: number, reason: string, headers: ReplyHeaders): RawConnection {
    this.#begin("raw");
    void this.#writer.write(formatHead(status, reason, headers));
    const reader = this.#reader;
    const writer = this.#writer;
    const socket = this.#socket;
    const { head, body } = this;
    return {
      socket,
      input: { [Symbol.asyncIterator]: () => rawInput(head, body, reader) },
      write: (bytes) => writer.write(bytes),
      end: () => writer.end(),
      closed: writer.closed,
      [Symbol.dispose]: () => {
        reader.discard();
        linger(socket, DEFAULT_LIMITS.lingerTimeout);
      },
    };
  }

  /** Gives up on the connection in the middle of a reply. */
  destroy(): void {
    this.#keepAlive = false;
    this.#socket.destroy();
  }

  #begin(next: "replying" | "done" | "raw"): void {
    if (this.#state !== "open") throw new Error(`a second reply to ${this.head.method} ${this.head.target}`);
    this.#state = next;
    // An unread body that the client has not begun to send makes the connection useless.
    if (this.body.awaitsContinue) this.#keepAlive = false;
  }

  #connectionHeader(): ReplyHeaders {
    if (!this.#keepAlive) return [["Connection", "close"]];
    return this.head.version === "1.0" ? [["Connection", "keep-alive"]] : [];
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
  { framing, upgrade }: RequestHead,
  body: RequestBody,
  reader: SocketReader,
): AsyncGenerator<Uint8Array, void, void> {
  if (framing.kind === "chunked" && upgrade === undefined) return yield* body;
  if (framing.kind === "length") while (await body.read());
  for (let bytes = await reader.read(); bytes; bytes = await reader.read()) yield bytes;
}

export interface StreamedReply {
  write(bytes: Uint8Array): Promise<void>;
  end(): Promise<void>;
  destroy(): void;
}

/** The reason by which calls end whose client went away. */
export class ClientGone extends Error {
  override readonly name = "AbortError";

  constructor() {
    super("the client is gone");
  }
}

/** Bytes of a socket, taken as they are wanted; stops the sender at `READ_AHEAD`. */
class SocketReader implements ByteSource {
  readonly #socket: Socket;
  readonly #onEnd: () => void;
  #chunks: Buffer[] = [];
  #queued = 0;
  #ended = false;
  #paused = false;
  #discarding = false;
  #wake: (() => void) | undefined;

  /** @param onEnd the client closed its half, or all */
  constructor(socket: Socket, onEnd: () => void) {
    this.#socket = socket;
    this.#onEnd = onEnd;
    socket.on("data", (bytes: Buffer) => this.#take(bytes));
    socket.on("end", () => this.#end());
    socket.on("close", () => this.#end());
  }

  async read(): Promise<Buffer | undefined> {
    while (this.#chunks.length === 0) {
      if (this.#ended) return undefined;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
    }
    const bytes = this.#chunks.shift();
    this.#queued -= bytes?.length ?? 0;
    if (this.#paused && this.#queued < READ_AHEAD / 2) {
      this.#paused = false;
      this.#socket.resume();
    }
    return bytes;
  }

  /** Nobody will read any more: what still comes is thrown away, so that the sender's end is seen. */
  discard(): void {
    this.#discarding = true;
    this.#chunks = [];
    this.#queued = 0;
    if (!this.#ended) this.#socket.resume();
  }

  unread(bytes: Buffer): void {
    this.#chunks.unshift(bytes);
    this.#queued += bytes.length;
  }

  #take(bytes: Buffer): void {
    if (this.#discarding) return;
    this.#chunks.push(bytes);
    this.#queued += bytes.length;
    if (this.#queued >= READ_AHEAD && !this.#paused) {
      this.#paused = true;
      this.#socket.pause();
    }
    this.#wakeUp();
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#onEnd();
    this.#wakeUp();
  }

  #wakeUp(): void {
    this.#wake?.();
    this.#wake = undefined;
  }
}

/** Writes that wait for the socket. To a client that is gone they do nothing. */
class SocketWriter {
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
 */
function linger(socket: Socket, timeout: number): void {
  if (socket.destroyed) return;
  const timer = setTimeout(() => socket.destroy(), timeout);
  timer.unref();
  socket.once("end", () => socket.destroySoon());
  socket.once("close", () => clearTimeout(timer));
  if (socket.readableEnded) socket.destroySoon();
  else if (!socket.writableEnded) socket.end();
}

function hasHandle(socket: Socket): boolean {
  return Boolean((socket as Socket & { readonly _handle?: object | null })._handle);
}

function toChunk(bytes: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`, "latin1"), bytes, CRLF]);
}

const CRLF = Buffer.from("\r\n");

function skipEmptyLines(bytes: Buffer): Buffer {
  let start = 0;
  while (bytes[start] === 13 && bytes[start + 1] === 10) start += 2;
  return start === 0 ? bytes : bytes.subarray(start);
}

/** A client that speaks something else (TLS on a plain port) is told at once, not after the time limit. */
function rejectEarly(bytes: Buffer): void {
  const first = bytes[0] ?? 0;
  if (first < 65 || first > 90) {
    throw new ProtocolError(
      400,
      first === 22 ? "Client sent an HTTPS request to an HTTP server." : "not HTTP",
    );
  }
}

const REASONS: Readonly<Record<number, string>> = {
  100: "Continue",
  200: "OK",
  201: "Created",
  202: "Accepted",
  204: "No Content",
  304: "Not Modified",
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  409: "Conflict",
  413: "Request Entity Too Large",
  415: "Unsupported Media Type",
  417: "Expectation Failed",
  426: "Upgrade Required",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  501: "Not Implemented",
  503: "Service Unavailable",
  505: "HTTP Version Not Supported",
};

function reasonOf(status: number): string {
  return REASONS[status] ?? "Status";
}
