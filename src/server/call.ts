/**
 * What a handler sees of one request, and how it answers. A handler decodes, makes one engine call, encodes;
 * errors are thrown and become Docker's JSON error body in `dispatch.ts`.
 */
import type { Decoder } from "../api/decode.ts";
import type { ApiVersion } from "../api/route.ts";

export type Handler = (call: Call) => Promise<void> | void;

/** Handlers of one noun, keyed by operation. */
export type Handlers = Readonly<Record<string, Handler>>;

export interface Call {
  readonly operation: string;
  readonly version: ApiVersion;
  /** True if the request's version is at least that. */
  atLeast(version: ApiVersion): boolean;
  /** A path parameter, percent-decoded. */
  param(name: string): string;
  readonly query: Query;
  header(name: string): string | undefined;
  /** All of them, by lower-case name, in order of arrival. */
  readonly headers: ReadonlyMap<string, readonly string[]>;
  /** Aborted when the client goes away (routes with `onDisconnect: cancel`) or the daemon stops. */
  readonly signal: AbortSignal;
  /** The request body as a stream, for `bytes` routes. */
  readonly body: AsyncIterable<Uint8Array>;
  /** Bytes, as the head announces them: 0 without a body, infinite for one in chunks. */
  readonly bodyLength: number;
  /** The JSON body; an absent one decodes as `{}`. @throws InvalidParameterError on malformed or oversized input */
  decode<T>(decoder: Decoder<T>): Promise<T>;

  json(value: unknown, status?: number): void;
  /** 204, unless another status is given. */
  empty(status?: number): void;
  /** `text/plain`. */
  text(value: string, status?: number): void;
  /** Sends headers at once. Write errors mean that the client is gone: the stream then swallows writes and `signal` aborts. */
  stream(options?: StreamOptions): ReplyStream;
  /**
   * Leaves HTTP: 101 with `Upgrade`, else 200, in Docker's wording; a WebSocket on its own route. The connection
   * lives until the handler returns, so a handler awaits the end of what it carries. A JSON body is decoded before.
   */
  hijack(options: { contentType: string }): HijackedConnection;
  setHeader(name: string, value: string): void;
}

export interface StreamOptions {
  readonly status?: number;
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /**
   * What an error of the handler does to a stream that has begun: `progress` tells it in-band as Docker's progress
   * streams do (`{"errorDetail":{"message":…},"error":…}`); otherwise the connection breaks off.
   */
  readonly errors?: "progress" | "abort";
}

export interface Query {
  get(name: string): string | undefined;
  all(name: string): readonly string[];
  /** Docker's rule: "", 0, no, false, none (any case) and absence are false; everything else is true. */
  flag(name: string, absent?: boolean): boolean;
  /** @throws InvalidParameterError with strconv's wording */
  integer(name: string): number | undefined;
  /** Both `{"label":["a"]}` and the legacy `{"label":{"a":true}}`. @throws InvalidParameterError "invalid filter" */
  filters(accepted: readonly string[]): ReadonlyMap<string, ReadonlySet<string>>;
}

export interface ReplyStream {
  /** Resolves when more may be written: await it, memory is bounded by that. */
  write(bytes: Uint8Array | string): Promise<void>;
  /** One JSON document and a newline. */
  writeJson(value: unknown): Promise<void>;
  end(): Promise<void>;
  /** Ends the connection without a proper end: an error that cannot be told in-band. */
  destroy(): void;
}

export interface HijackedConnection extends Disposable {
  /** What the client sends; ends at its half-close. Not reading it holds the client back. */
  readonly input: AsyncIterable<Uint8Array>;
  write(bytes: Uint8Array): Promise<void>;
  /** Half-closes: all output was sent. */
  end(): Promise<void>;
  /** Settles when the client is gone for good. */
  readonly closed: Promise<void>;
}
