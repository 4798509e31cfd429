/** What can go wrong between a socket and a handler. */
import type { ReplyHeaders } from "./headers.ts";

/** A handler throws it to answer with a status; the host renders it in the words of the server that stands on it. */
export class HttpError extends Error {
  override readonly name: string = "HttpError";
  readonly status: number;
  /** Further headers of the reply: `WWW-Authenticate`, `Retry-After`. */
  readonly headers: ReplyHeaders;

  constructor(status: number, message: string, options: ErrorOptions & { headers?: ReplyHeaders } = {}) {
    super(message, options);
    this.status = status;
    this.headers = options.headers ?? [];
  }
}

/** Not HTTP as we read it: answered with this status, and the connection is closed. */
export class ProtocolError extends HttpError {
  override readonly name = "ProtocolError";
}

/** The reason by which an exchange ends whose client went away. */
export class ClientGone extends Error {
  override readonly name = "AbortError";

  constructor() {
    super("the client is gone");
  }
}

/** The reason by which exchanges end when the host stops. */
export class Stopping extends Error {
  override readonly name = "AbortError";

  constructor() {
    super("the server is shutting down");
  }
}

/** Why it cannot listen: the address makes no sense, somebody has it, this host cannot do that, the system refused. */
export type ListenFailure = "invalid" | "in-use" | "unsupported" | "system";

export class ListenError extends Error {
  override readonly name = "ListenError";
  readonly code: ListenFailure;

  constructor(code: ListenFailure, message: string, options: ErrorOptions = {}) {
    super(message, options);
    this.code = code;
  }
}
