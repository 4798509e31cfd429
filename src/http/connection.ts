/**
 * One client connection: requests one after the other, each with its reply, until one side closes or a request
 * takes the socket out of HTTP. Owns the socket, its time limits and its memory.
 *
 * This is ours, and not node:http's server, because Docker's protocol needs what that one cannot do on Bun: a socket
 * taken over without an upgrade (`200` and raw bytes both ways), replies while the request is still being sent, and
 * half-close in both directions.
 */
import type { Socket } from "node:net";
import { log } from "../base/log.ts";
import type { RequestBody } from "./body.ts";
import { type HttpError, ProtocolError } from "./errors.ts";
import { Exchange } from "./exchange.ts";
import { formatHead, parseRequestHead, type RequestHead } from "./head.ts";
import { HeadReader } from "./head-reader.ts";
import type { ReplyHeaders } from "./headers.ts";
import type { ConnectionLimits } from "./limits.ts";
import { linger, SocketReader, SocketWriter, watchForHangup } from "./socket-io.ts";
import { reasonOf } from "./status.ts";

/** Of a body that the handler left, this much is skipped to keep the connection; else it is closed. */
const MAX_SKIP = 256 * 1024;

/** How a server words an error that no handler of its own sees: a malformed head, too many connections. */
export type RenderError = (error: HttpError) => { readonly contentType: string; readonly body: string };

export class Connection {
  readonly #socket: Socket;
  readonly #limits: ConnectionLimits;
  readonly #render: RenderError;
  readonly #listening: string;
  readonly #reader: SocketReader;
  readonly #writer: SocketWriter;
  #exchange: Exchange | undefined;
  #closing = false;

  /** @param listening the address that the client connected to */
  constructor(socket: Socket, limits: ConnectionLimits, render: RenderError, listening: string) {
    this.#socket = socket;
    this.#limits = limits;
    this.#render = render;
    this.#listening = listening;
    this.#writer = new SocketWriter(socket);
    this.#reader = new SocketReader(socket, () => this.#clientEnded());
  }

  /** Settles when the connection is done with HTTP. Never rejects. */
  async serve(handler: (exchange: Exchange) => Promise<void>): Promise<void> {
    try {
      while (!this.#closing) {
        const head = await this.#readHead();
        if (!head) break;
        if (!(await this.#serveOne(head, handler))) return;
      }
      this.#leave();
    } catch (error) {
      if (error instanceof ProtocolError) this.refuse(error);
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

  /** Answers without having read a request, and closes. */
  refuse(error: HttpError): void {
    this.#closing = true;
    this.#socket.write(formatError(error, this.#render));
    this.#leave();
  }

  #clientEnded(): void {
    this.#exchange?.interrupt("client-gone");
    watchForHangup(this.#socket);
  }

  /** False if the socket has left HTTP. */
  async #serveOne(head: RequestHead, handler: (exchange: Exchange) => Promise<void>): Promise<boolean> {
    const exchange = new Exchange(head, this.#socket, {
      reader: this.#reader,
      writer: this.#writer,
      listening: this.#listening,
    });
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
    const reader = new HeadReader(this.#limits.maxHead);
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      for (;;) {
        const piece = await this.#reader.read();
        if (!piece) return undefined;
        const found = reader.push(piece);
        if (found) {
          if (found.rest.length > 0) this.#reader.unread(found.rest);
          return parseRequestHead(found.head);
        }
        if (reader.begun) {
          timer ??= setTimeout(
            () => this.refuse(new ProtocolError(408, "request header took too long")),
            this.#limits.headTimeout,
          );
        }
      }
    } finally {
      clearTimeout(timer);
    }
  }

  #leave(): void {
    this.#reader.discard();
    linger(this.#socket, this.#limits.lingerTimeout);
  }
}

/** A whole reply, after which the connection closes. */
function formatError(error: HttpError, render: RenderError): string {
  const { contentType, body } = render(error);
  const headers: ReplyHeaders = [
    ...error.headers,
    ["Content-Type", contentType],
    ["Connection", "close"],
    ["Content-Length", String(Buffer.byteLength(body))],
  ];
  return formatHead(error.status, reasonOf(error.status), headers) + body;
}
