/**
 * Serves HTTP/2 on a connection: for gRPC, over sockets that were upgraded to it (`Upgrade: h2c`) or that began with it.
 * Knows nothing of gRPC but what it needs: bodies both ways at once, and trailers.
 */
import {
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import { log } from "../../base/log.ts";
import type { RawConnection } from "../exchange.ts";
import type { ReplyHeaders, RequestHeaders } from "../headers.ts";
import { fromNode, toNode } from "./headers.ts";
import { closed, RESET, resetOf, StreamBody, StreamReset, write } from "./stream.ts";
import { toDuplex } from "./transport.ts";

/** One request and its reply. */
export interface Http2Exchange {
  readonly method: string;
  /** `/moby.buildkit.v1.Control/Solve`. */
  readonly path: string;
  /** Without pseudo-headers. */
  readonly headers: RequestHeaders;
  /** @throws StreamReset while reading, if the client gives up */
  readonly body: AsyncIterable<Uint8Array>;
  /** Aborted with a `StreamReset` when the client gives up or is gone. */
  readonly signal: AbortSignal;
  /** Sends the head. Once; without it the reply is trailers alone. */
  respond(status: number, headers: ReplyHeaders): void;
  /** Resolves when more may be written. To a client that is gone it does nothing. */
  write(bytes: Uint8Array): Promise<void>;
  /** Settles when all was handed to the connection. @param trailers `grpc-status`, `grpc-message` and others */
  end(trailers?: ReplyHeaders): Promise<void>;
  /** Ends it without a proper end. */
  reset(): void;
}

/** What it throws resets the stream, and is logged. */
export type Http2Handler = (exchange: Http2Exchange) => Promise<void>;

const MAX_STREAMS = 512;
const WINDOW = 1 << 20;

/** Settles when the connection is over. Never rejects. Aborting ends it. */
export async function serveHttp2(
  raw: RawConnection,
  handler: Http2Handler,
  signal?: AbortSignal,
): Promise<void> {
  const duplex = toDuplex(raw);
  const over = new Promise<void>((resolve) => duplex.once("close", () => resolve()));
  const stop = () => void duplex.destroy();
  duplex.on("error", (error) => log("debug", "http2 connection", { error }));
  if (signal?.aborted) stop();
  signal?.addEventListener("abort", stop, { once: true });
  newServer(handler).emit("connection", duplex);
  await over;
  signal?.removeEventListener("abort", stop);
}

function newServer(handler: Http2Handler): Http2Server {
  const server = createServer({
    settings: { initialWindowSize: WINDOW, maxConcurrentStreams: MAX_STREAMS, enablePush: false },
  });
  server.on("sessionError", (error) => log("debug", "http2 session", { error }));
  server.on("session", (session: ServerHttp2Session) => {
    session.on("error", (error) => log("debug", "http2 session", { error }));
  });
  server.on("stream", (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    const exchange = new ServerStream(
      stream,
      headers[":method"] ?? "",
      headers[":path"] ?? "",
      fromNode(headers),
    );
    void answer(exchange, handler);
  });
  return server;
}

async function answer(exchange: ServerStream, handler: Http2Handler): Promise<void> {
  try {
    await handler(exchange);
    if (!exchange.ended) throw new Error("the handler did not end its reply");
  } catch (error) {
    if (!(error instanceof StreamReset) && !exchange.signal.aborted) {
      const stack = error instanceof Error ? error.stack : undefined;
      log("error", "unexpected error in a request", { path: exchange.path, error, stack });
    }
    exchange.reset();
  }
}

class ServerStream implements Http2Exchange {
  readonly method: string;
  readonly path: string;
  readonly headers: RequestHeaders;
  readonly body: StreamBody;
  readonly #stream: ServerHttp2Stream;
  readonly #abort = new AbortController();
  #trailers: ReplyHeaders | undefined;
  #responded = false;
  ended = false;

  constructor(stream: ServerHttp2Stream, method: string, path: string, headers: RequestHeaders) {
    this.#stream = stream;
    this.body = new StreamBody(stream);
    this.method = method;
    this.path = path;
    this.headers = headers;
    stream.on("error", (error) => log("debug", "http2 stream", { path, error }));
    stream.on("aborted", () => this.#abort.abort(resetOf(stream) ?? new StreamReset(RESET.cancel)));
    stream.on("close", () => {
      if (!this.ended || resetOf(stream)) this.#abort.abort(resetOf(stream) ?? new StreamReset(RESET.cancel));
    });
    stream.on("wantTrailers", () => {
      if (this.#trailers) stream.sendTrailers(toNode(this.#trailers));
    });
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  respond(status: number, headers: ReplyHeaders): void {
    if (this.#responded) throw new Error(`a second reply to ${this.path}`);
    this.#responded = true;
    if (this.#gone) return;
    this.#stream.respond({ ":status": status, ...toNode(headers) }, { waitForTrailers: true });
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (!this.#responded) throw new Error(`a body without a head to ${this.path}`);
    if (bytes.length > 0) await write(this.#stream, bytes);
  }

  async end(trailers: ReplyHeaders = []): Promise<void> {
    if (this.ended) return;
    this.ended = true;
    this.#trailers = trailers;
    if (this.#gone) return;
    if (!this.#responded) {
      this.#stream.respond({ ":status": 200, ...toNode(trailers) }, { endStream: true });
      return;
    }
    const over = closed(this.#stream);
    const sent = new Promise<void>((resolve) => this.#stream.end(() => resolve()));
    await Promise.race([sent, over]);
  }

  reset(): void {
    this.ended = true;
    // Not `close`: Bun ends the stream properly first.
    if (!this.#gone) this.#stream.destroy(new StreamReset(RESET.internal));
  }

  get #gone(): boolean {
    return this.#stream.destroyed || this.#stream.closed;
  }
}
