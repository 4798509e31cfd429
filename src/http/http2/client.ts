/**
 * An HTTP/2 client on a connection that somebody else opened: after `POST /session` the daemon calls the client that
 * connected to it, over the same socket.
 */
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  type IncomingHttpHeaders,
} from "node:http2";
import { log } from "../../base/log.ts";
import type { RawConnection } from "../exchange.ts";
import type { ReplyHeaders, RequestHeaders } from "../headers.ts";
import { fromNode, toNode } from "./headers.ts";
import { RESET, resetOf, StreamBody, StreamReset, write } from "./stream.ts";
import { toDuplex } from "./transport.ts";

export interface Http2Client extends Disposable {
  /** @throws StreamReset from what it returns, once the connection is gone */
  request(options: Http2Request): Http2Call;
  /** Sends a PING. @throws if it is not answered within that many milliseconds */
  ping(timeout: number): Promise<void>;
  /** Settles when the connection is over. */
  readonly closed: Promise<void>;
}

export interface Http2Request {
  /** `POST`, unless given. */
  readonly method?: string;
  readonly path: string;
  readonly headers: ReplyHeaders;
  /** Resets the stream when aborted. */
  readonly signal?: AbortSignal;
}

/** One request under way. All of it may be left unawaited: nothing rejects behind its owner's back. */
export interface Http2Call {
  /** Resolves when more may be written. */
  write(bytes: Uint8Array): Promise<void>;
  /** The request is complete. */
  end(): void;
  /** The head of the reply. @throws StreamReset */
  response(): Promise<{ readonly status: number; readonly headers: RequestHeaders }>;
  /** @throws StreamReset while reading, if it stops early */
  readonly body: AsyncIterable<Uint8Array>;
  /** After the body: those that came, or of a reply of trailers alone its head. @throws StreamReset */
  trailers(): Promise<RequestHeaders>;
  /** Gives up. */
  cancel(): void;
}

const WINDOW = 1 << 20;

/** @param raw a connection of which the other end serves HTTP/2. Disposing closes it. */
export function openHttp2Client(raw: RawConnection): Http2Client {
  const duplex = toDuplex(raw);
  duplex.on("error", (error) => log("debug", "http2 connection", { error }));
  const over = new Promise<void>((resolve) => duplex.once("close", () => resolve()));
  const session = connect("http://localhost", {
    createConnection: () => duplex,
    settings: { initialWindowSize: WINDOW, enablePush: false },
  });
  session.on("error", (error) => log("debug", "http2 session", { error }));
  void over.then(() => session.destroy());
  return {
    request: (options) => new ClientStream(session, options),
    ping: (timeout) => ping(session, over, timeout),
    closed: over,
    [Symbol.dispose]: () => {
      session.destroy();
      duplex.destroy();
    },
  };
}

async function ping(session: ClientHttp2Session, over: Promise<void>, timeout: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = setTimeout(() => reject(new Error(`no answer to a ping in ${timeout} ms`)), timeout);
  promise.catch(() => undefined);
  void over.then(() => reject(new StreamReset(RESET.cancel)));
  try {
    session.ping((error) => (error ? reject(error) : resolve()));
    await promise;
  } finally {
    clearTimeout(timer);
  }
}

class ClientStream implements Http2Call {
  readonly #stream: ClientHttp2Stream | undefined;
  readonly #body: StreamBody | undefined;
  readonly #response = Promise.withResolvers<IncomingHttpHeaders>();
  readonly #trailers = Promise.withResolvers<IncomingHttpHeaders>();

  constructor(session: ClientHttp2Session, { method = "POST", path, headers, signal }: Http2Request) {
    this.#response.promise.catch(() => undefined);
    this.#trailers.promise.catch(() => undefined);
    if (session.destroyed || session.closed || signal?.aborted) {
      this.#fail(new StreamReset(RESET.refused));
      return;
    }
    const stream = session.request(
      { ":method": method, ":path": path, ...toNode(headers) },
      { endStream: false },
    );
    this.#stream = stream;
    this.#body = new StreamBody(stream);
    const cancel = () => this.cancel();
    signal?.addEventListener("abort", cancel, { once: true });
    let head: IncomingHttpHeaders = {};
    stream.on("error", (error) => log("debug", "http2 stream", { path, error }));
    stream.on("response", (fields) => {
      head = fields;
      this.#response.resolve(fields);
    });
    stream.on("trailers", (fields) => this.#trailers.resolve(fields));
    stream.on("close", () => {
      signal?.removeEventListener("abort", cancel);
      const reset = resetOf(stream);
      if (reset || head[":status"] === undefined) this.#fail(reset ?? new StreamReset(RESET.cancel));
      else this.#trailers.resolve(head);
    });
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#stream) await write(this.#stream, bytes);
  }

  end(): void {
    this.#stream?.end();
  }

  async response(): Promise<{ readonly status: number; readonly headers: RequestHeaders }> {
    const fields = await this.#response.promise;
    return { status: Number(fields[":status"]), headers: fromNode(fields) };
  }

  get body(): AsyncIterable<Uint8Array> {
    return this.#body ?? failing();
  }

  async trailers(): Promise<RequestHeaders> {
    return fromNode(await this.#trailers.promise);
  }

  cancel(): void {
    if (this.#stream && !this.#stream.destroyed) this.#stream.close(RESET.cancel);
  }

  #fail(error: Error): void {
    this.#response.reject(error);
    this.#trailers.reject(error);
  }
}

// biome-ignore lint/correctness/useYield: it has nothing to yield, and says why
async function* failing(): AsyncGenerator<Uint8Array, void, void> {
  throw new StreamReset(RESET.refused);
}
