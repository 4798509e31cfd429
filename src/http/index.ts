/**
 * A host for HTTP servers: sockets, heads, bodies, limits, keep-alive, upgrades, and an orderly end. What requests mean
 * is the handlers' that are given to it; the engine's API, the registry and others stand on the same ground.
 */
import type { Socket } from "node:net";
import { log } from "../base/log.ts";
import { Connection, type RenderError } from "./connection.ts";
import { HttpError } from "./errors.ts";
import type { Exchange, ExchangeHandler, RawConnection } from "./exchange.ts";
import { type ConnectionLimits, DEFAULT_LIMITS } from "./limits.ts";
import { type Endpoint, type Listening, listen } from "./listen.ts";

export { type AdmissionCheck, type AdmissionOptions, admission } from "./admission.ts";
export { readWhole, type WholeBodyLimits } from "./body.ts";
export type { RenderError } from "./connection.ts";
export { ClientGone, HttpError, ListenError, ProtocolError, Stopping } from "./errors.ts";
export type {
  Exchange,
  ExchangeHandler,
  Interruption,
  Peer,
  RawConnection,
  StreamedReply,
} from "./exchange.ts";
export type { RequestHead } from "./head.ts";
export type { ReplyHeaders, RequestHeaders } from "./headers.ts";
export type { ConnectionLimits } from "./limits.ts";
export type { Endpoint, Listening, TlsOptions } from "./listen.ts";
export { type ByteRange, type Content, parseRange, serveContent } from "./ranges.ts";
export {
  acceptWebSocket,
  overWebsocket,
  type WebSocketConnection,
  type WebSocketMessage,
  websocketHandshake,
} from "./websocket.ts";

export interface HostOptions {
  /** For errors that a handler threw before it replied, or that no handler saw. Plain text, unless given. */
  readonly renderError?: RenderError;
  readonly limits?: {
    readonly connection?: Partial<ConnectionLimits>;
    /** Open connections; what comes beyond is answered 503 and closed, so that descriptors are left for others. */
    readonly maxConnections?: number;
    /** Milliseconds for TLS. */
    readonly handshakeTimeout?: number;
  };
  /** @see ListenLimits.onListening */
  readonly onListening?: (fd: number) => void;
}

export interface EndpointOptions {
  /** Takes over connections that begin with HTTP/2 (`http2/`, `serveHttp2`); without it they are refused. */
  readonly http2?: (raw: RawConnection, exchange: Exchange) => Promise<void>;
}

export interface HttpHost {
  /** @throws ListenError */
  listen(endpoint: Endpoint, handler: ExchangeHandler, options?: EndpointOptions): Promise<Listening>;
  /**
   * Accepts nothing more, tells exchanges under way that it stops, waits for them at most that many milliseconds,
   * closes all. Idempotent.
   */
  close(deadline: number): Promise<void>;
  /** Requests under way, hijacked connections included, and open connections: for tests and metrics. */
  readonly load: { readonly exchanges: number; readonly connections: number };
}

const MAX_CONNECTIONS = 4096;
const HANDSHAKE_TIMEOUT = 10_000;
/** Of TLS connections, so many more than the limit get through the handshake, to hear why they are turned away. */
const TURNED_AWAY_SHARE = 1 / 16;

export function createHost({ renderError = plainText, limits, onListening }: HostOptions = {}): HttpHost {
  return new Host(renderError, limits ?? {}, onListening);
}

class Host implements HttpHost {
  readonly #render: RenderError;
  readonly #limits: NonNullable<HostOptions["limits"]>;
  readonly #maxConnections: number;
  readonly #connectionLimits: ConnectionLimits;
  readonly #onListening: HostOptions["onListening"];
  readonly #connections = new Set<Connection>();
  readonly #exchanges = new Set<Exchange>();
  readonly #listeners: Listening[] = [];
  #idle: PromiseWithResolvers<void> | undefined;
  #stopping = false;

  constructor(
    render: RenderError,
    limits: NonNullable<HostOptions["limits"]>,
    onListening: HostOptions["onListening"],
  ) {
    this.#render = render;
    this.#limits = limits;
    this.#maxConnections = limits.maxConnections ?? MAX_CONNECTIONS;
    this.#connectionLimits = { ...DEFAULT_LIMITS, ...limits.connection };
    this.#onListening = onListening;
  }

  async listen(
    endpoint: Endpoint,
    handler: ExchangeHandler,
    { http2 }: EndpointOptions = {},
  ): Promise<Listening> {
    const either: ExchangeHandler = (exchange) => {
      if (exchange.head.method !== "PRI") return handler(exchange);
      if (!http2) throw new HttpError(505, "unsupported HTTP version");
      return http2(exchange.takeOverHttp2(), exchange);
    };
    const listener: Listening = await listen(
      endpoint,
      (socket) => this.#accept(socket, either, () => listener.address),
      {
        maxConnections: Math.ceil(this.#maxConnections * (1 + TURNED_AWAY_SHARE)),
        handshakeTimeout: this.#limits.handshakeTimeout ?? HANDSHAKE_TIMEOUT,
        onListening: this.#onListening,
      },
    );
    this.#listeners.push(listener);
    return listener;
  }

  async close(deadline: number): Promise<void> {
    this.#stopping = true;
    for (const listener of this.#listeners.splice(0)) listener.close();
    for (const connection of this.#connections) connection.close();
    for (const exchange of this.#exchanges) exchange.interrupt("stopping");
    await this.#untilIdle(deadline);
    for (const exchange of this.#exchanges) exchange.interrupt("cut-off");
    for (const connection of this.#connections) connection.destroy();
  }

  get load(): { readonly exchanges: number; readonly connections: number } {
    return { exchanges: this.#exchanges.size, connections: this.#connections.size };
  }

  #accept(socket: Socket, handler: ExchangeHandler, address: () => string): void {
    const connection = new Connection(socket, this.#connectionLimits, this.#render, address());
    if (this.#connections.size >= this.#maxConnections) {
      connection.refuse(new HttpError(503, "too many connections"));
      return;
    }
    this.#connections.add(connection);
    socket.once("close", () => this.#connections.delete(connection));
    void connection.serve((exchange) => this.#serve(exchange, handler));
  }

  /** Never rejects: whatever a request does, the server goes on. */
  async #serve(exchange: Exchange, handler: ExchangeHandler): Promise<void> {
    this.#exchanges.add(exchange);
    if (this.#stopping) exchange.interrupt("stopping");
    try {
      await handler(exchange);
      if (exchange.open) throw new Error("the handler gave no reply");
    } catch (error) {
      await this.#fail(exchange, error);
    } finally {
      this.#exchanges.delete(exchange);
      if (this.#exchanges.size === 0) this.#idle?.resolve();
    }
  }

  async #fail(exchange: Exchange, error: unknown): Promise<void> {
    if (!exchange.open || exchange.signal.aborted) return exchange.destroy();
    const known = error instanceof HttpError ? error : new HttpError(500, "internal server error");
    if (known !== error) {
      const stack = error instanceof Error ? error.stack : undefined;
      log("error", "unexpected error in a request", { method: exchange.head.method, error, stack });
    }
    try {
      const { contentType, body } = this.#render(known);
      await exchange.reply(known.status, [...known.headers, ["Content-Type", contentType]], body);
    } catch (second) {
      log("error", "cannot report an error", { error: second });
      exchange.destroy();
    }
  }

  async #untilIdle(deadline: number): Promise<void> {
    if (this.#exchanges.size === 0) return;
    this.#idle = Promise.withResolvers<void>();
    const timer = setTimeout(() => this.#idle?.resolve(), deadline);
    await this.#idle.promise;
    clearTimeout(timer);
  }
}

function plainText(error: HttpError): { contentType: string; body: string } {
  return { contentType: "text/plain; charset=utf-8", body: `${error.message}\n` };
}
