/** Serves gRPC: tables of methods, each with the messages that it takes and gives. */
import { log } from "../../../base/log.ts";
import { InvalidParameterError } from "../../../core/errors.ts";
import type { Message } from "../wire/message.ts";
import { frame, unframed } from "./framing.ts";
import { Code, okTrailers, RpcError, toStatus, trailersOf } from "./status.ts";
import type { IncomingCall, Metadata, MetadataList } from "./transport.ts";

export interface CallContext {
  readonly metadata: Metadata;
  /** Aborted when the client gives up, or its deadline is over. */
  readonly signal: AbortSignal;
  /** Sends header fields before the first message. */
  sendHeader(fields: MetadataList): void;
}

/** A method, ready to be called with the bytes of a stream. */
export interface Method {
  serve(
    requests: AsyncIterable<Uint8Array>,
    send: (bytes: Uint8Array) => Promise<void>,
    context: CallContext,
  ): Promise<void>;
}

/** By `/package.Service/Method`. */
export type Methods = Readonly<Record<string, Method>>;

export function unary<A, B>(
  request: Message<A>,
  response: Message<B>,
  handle: (request: A, context: CallContext) => Promise<Partial<B>> | Partial<B>,
): Method {
  return {
    async serve(requests, send, context) {
      await send(response.encode(await handle(request.decode(await only(requests)), context)));
    },
  };
}

/** One request, any number of replies. */
export function streaming<A, B>(
  request: Message<A>,
  response: Message<B>,
  handle: (request: A, context: CallContext, send: (reply: Partial<B>) => Promise<void>) => Promise<void>,
): Method {
  return {
    async serve(requests, send, context) {
      const asked = request.decode(await only(requests));
      await handle(asked, context, (reply) => send(response.encode(reply)));
    },
  };
}

/** Any number of messages both ways. */
export function duplex<A, B>(
  request: Message<A>,
  response: Message<B>,
  handle: (
    requests: AsyncIterable<A>,
    context: CallContext,
    send: (reply: Partial<B>) => Promise<void>,
  ) => Promise<void>,
): Method {
  async function* decoded(requests: AsyncIterable<Uint8Array>): AsyncGenerator<A, void, void> {
    for await (const bytes of requests) yield request.decode(bytes);
  }
  return {
    serve: (requests, send, context) =>
      handle(decoded(requests), context, (reply) => send(response.encode(reply))),
  };
}

/** Answers one call. Never rejects: what a method throws is told to the client. */
export async function serveCall(call: IncomingCall, methods: Methods): Promise<void> {
  const reply = new Reply(call);
  try {
    const method = Object.hasOwn(methods, call.path) ? methods[call.path] : undefined;
    if (!method) throw unknownMethod(call.path);
    const signal = withDeadline(call);
    await method.serve(unframed(call.body), (bytes) => reply.send(bytes), {
      metadata: call.headers,
      signal,
      sendHeader: (fields) => reply.start(fields),
    });
    reply.start();
    await call.end(okTrailers);
  } catch (error) {
    await reply.fail(error);
  }
}

const HEAD: MetadataList = [["content-type", "application/grpc"]];

class Reply {
  readonly #call: IncomingCall;
  #started = false;

  constructor(call: IncomingCall) {
    this.#call = call;
  }

  start(fields: MetadataList = []): void {
    if (this.#started) return;
    this.#started = true;
    this.#call.respond(200, [...HEAD, ...fields]);
  }

  async send(bytes: Uint8Array): Promise<void> {
    this.start();
    await this.#call.write(frame(bytes));
  }

  async fail(error: unknown): Promise<void> {
    try {
      this.start();
      await this.#call.end(trailersOf(toStatus(error)));
    } catch (second) {
      log("debug", "grpc: a client went away before it could be told", { error: second });
    }
  }
}

function unknownMethod(path: string): RpcError {
  const [, service = "", method = ""] = path.split("/");
  return new RpcError(Code.unimplemented, `unknown method ${method} for service ${service}`);
}

async function only(requests: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  let found: Uint8Array | undefined;
  for await (const bytes of requests) {
    if (found) throw new InvalidParameterError("grpc: more than one request");
    found = bytes;
  }
  if (!found) throw new InvalidParameterError("grpc: no request");
  return found;
}

const UNITS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };
/** Timers cannot wait longer; who gives a longer deadline gives none. */
const LONGEST = 2 ** 31 - 1;

/** The client's own deadline ends the call here as well. */
function withDeadline({ headers, signal }: IncomingCall): AbortSignal {
  const [, amount, unit] = /^(\d{1,8})([HMSmun])$/.exec(headers.get("grpc-timeout")?.[0] ?? "") ?? [];
  if (amount === undefined || unit === undefined) return signal;
  const milliseconds = Math.ceil(Number(amount) * (UNITS[unit] ?? 0));
  return milliseconds > LONGEST ? signal : AbortSignal.any([signal, AbortSignal.timeout(milliseconds)]);
}
