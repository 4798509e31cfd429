/** One call over HTTP: `Call` for handlers, on top of an exchange. Owns the reply's headers and the JSON body's limits. */
import { DecodeError, type Decoder, parseJson } from "../api/decode.ts";
import { RAW_STREAM } from "../api/frames.ts";
import { MORE_CONTENT } from "../api/go-json.ts";
import { type ApiVersion, compareVersions, type Route } from "../api/route.ts";
import { stringifyExactJson } from "../base/exact-json.ts";
import { log } from "../base/log.ts";
import { InvalidParameterError } from "../core/errors.ts";
import {
  ClientGone,
  type Exchange,
  HttpError,
  type Interruption,
  overWebsocket,
  type Peer,
  type RawConnection,
  type ReplyHeaders,
  readWhole,
  Stopping,
  type StreamedReply,
  websocketHandshake,
} from "../http/index.ts";
import type { Call, HijackedConnection, Query, ReplyStream, StreamOptions } from "./call.ts";
import type { GatedCall, GatedReply } from "./gates/gate.ts";
import type { ErrorReply } from "./http-errors.ts";
import { QueryString } from "./query.ts";

export interface BodyLimits {
  /** Bytes of a JSON body. */
  readonly maxJson: number;
  /** Milliseconds for all of a JSON body. Other bodies have no limit: a load may come from a slow pipe. */
  readonly jsonTimeout: number;
}

const DEFAULT_BODY_LIMITS: BodyLimits = { maxJson: 4 * 1024 * 1024, jsonTimeout: 60_000 };

export interface CallOptions {
  readonly route: Route;
  readonly version: ApiVersion;
  readonly params: Readonly<Record<string, string>>;
  readonly query: string;
  /** Decoded, with its version. */
  readonly path: string;
  /** Headers of every reply. */
  readonly headers: ReplyHeaders;
  readonly limits?: BodyLimits;
}

/** Older clients print what they get. */
const FIRST_JSON_ERRORS: ApiVersion = [1, 24];

export class HttpCall implements Call, GatedCall {
  readonly operation: string;
  readonly version: ApiVersion;
  readonly route: Route;
  readonly #exchange: Exchange;
  #params: Readonly<Record<string, string>>;
  readonly #queryText: string;
  readonly #limits: BodyLimits;
  readonly #headers: (readonly [string, string])[];
  #query: Query | undefined;
  #abort: AbortController | undefined;
  #aborted: Error | undefined;
  #stream: StreamedReply | undefined;
  #streamErrors: StreamOptions["errors"];
  #raw: RawConnection | undefined;
  #replied: Promise<void> | undefined;
  readonly #path: string;
  #body: { readonly text: string | undefined } | undefined;
  #status = 0;
  #watch: ((reply: GatedReply) => Promise<GatedReply>) | undefined;

  constructor(exchange: Exchange, options: CallOptions) {
    this.#exchange = exchange;
    this.route = options.route;
    this.operation = options.route.operation;
    this.version = options.version;
    this.#params = options.params;
    this.#queryText = options.query;
    this.#path = options.path;
    this.#headers = [...options.headers];
    this.#limits = options.limits ?? DEFAULT_BODY_LIMITS;
    exchange.onInterrupt = (what) => this.#interrupted(what);
  }

  atLeast(version: ApiVersion): boolean {
    return compareVersions(this.version, version) >= 0;
  }

  get method(): string {
    return this.#exchange.head.method;
  }

  get params(): Readonly<Record<string, string>> {
    return this.#params;
  }

  get peer(): Peer {
    return this.#exchange.peer;
  }

  get uri(): string {
    const path = encodeURI(this.#path).replace(/[?#]/g, encodeURIComponent);
    return this.#queryText === "" ? path : `${path}?${this.#queryText}`;
  }

  /** Of the reply that was sent, or begun; 0 if there is none. */
  get status(): number {
    return this.#status;
  }

  /** Has whole replies of success looked at before they go out. */
  watchReplies(watch: (reply: GatedReply) => Promise<GatedReply>): void {
    this.#watch = watch;
  }

  async bodyText(): Promise<string | undefined> {
    this.#body ??= { text: await this.#jsonText() };
    return this.#body.text;
  }

  replaceParam(name: string, value: string): void {
    this.#params = { ...this.#params, [name]: value };
  }

  replaceBody(text: string): void {
    this.#body = { text };
  }

  param(name: string): string {
    const value = this.#params[name];
    if (value === undefined) throw new Error(`route ${this.operation} has no parameter ${name}`);
    return value;
  }

  get query(): Query {
    this.#query ??= new QueryString(this.#queryText);
    return this.#query;
  }

  get headers(): ReadonlyMap<string, readonly string[]> {
    return this.#exchange.head.headers;
  }

  header(name: string): string | undefined {
    return this.#exchange.header(name);
  }

  get signal(): AbortSignal {
    if (!this.#abort) {
      this.#abort = new AbortController();
      if (this.#aborted) this.#abort.abort(this.#aborted);
    }
    return this.#abort.signal;
  }

  /** What only the client wanted ends with it, and when the daemon stops; changes may finish. */
  #interrupted(what: Interruption): void {
    const cancel = this.route.onDisconnect === "cancel";
    if (what === "cut-off") {
      log("warn", "request was cut off by the shutdown", { operation: this.operation });
      this.abort(new Stopping());
    } else if (cancel) {
      this.abort(what === "client-gone" ? new ClientGone() : new Stopping());
    }
  }

  /** Gives up on the connection. */
  destroy(): void {
    this.#exchange.destroy();
  }

  /** Also closes a connection that left HTTP: who serves it sees its end. Idempotent. */
  abort(reason: Error): void {
    if (this.#aborted) return;
    this.#aborted = reason;
    this.#abort?.abort(reason);
    this.#raw?.[Symbol.dispose]();
  }

  /** The call was aborted, and this error says nothing but that. */
  isAbort(error: unknown): boolean {
    if (!this.#aborted) return false;
    return error === this.#aborted || (error instanceof Error && error.name === "AbortError");
  }

  get bodyLength(): number {
    return this.#exchange.bodyLength;
  }

  get body(): AsyncIterable<Uint8Array> {
    return this.#exchange.body;
  }

  async decode<T>(decoder: Decoder<T>): Promise<T> {
    const text = await this.bodyText();
    try {
      return decoder(text === undefined ? {} : parseJson(text));
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      const { message } = error;
      const words = message === MORE_CONTENT ? message : `invalid JSON: ${message}`;
      throw new InvalidParameterError(words, { cause: error });
    }
  }

  json(value: unknown, status = 200): void {
    this.#reply(status, "application/json", `${stringifyExactJson(value)}\n`);
  }

  empty(status = 204): void {
    this.#reply(status, undefined, "");
  }

  text(value: string, status = 200): void {
    this.#reply(status, "text/plain; charset=utf-8", value);
  }

  setHeader(name: string, value: string): void {
    const index = this.#headers.findIndex(([other]) => other.toLowerCase() === name.toLowerCase());
    this.#headers.splice(index < 0 ? this.#headers.length : index, 1, [name, value]);
  }

  stream(options: StreamOptions = {}): ReplyStream {
    const { status = 200, contentType = "application/json", headers = {} } = options;
    for (const [name, value] of Object.entries(headers)) this.setHeader(name, value);
    if (contentType) this.setHeader("Content-Type", contentType);
    this.#status = status;
    const reply = this.#exchange.stream(status, this.#headers);
    this.#stream = reply;
    this.#streamErrors = options.errors;
    return {
      write: (bytes) => reply.write(typeof bytes === "string" ? Buffer.from(bytes) : bytes),
      writeJson: (value) => reply.write(Buffer.from(`${stringifyExactJson(value)}\n`)),
      end: () => reply.end(),
      destroy: () => reply.destroy(),
    };
  }

  hijack({ contentType }: { contentType: string }): HijackedConnection {
    const raw = this.#takeOver(contentType);
    this.#raw = raw;
    void raw.closed.then(() => this.abort(new ClientGone()));
    return this.#isWebsocket ? overWebsocket(raw) : raw;
  }

  /** The handler returned: what it left open is closed, and all is written before the next request is read. */
  async finish(): Promise<void> {
    if (this.#raw) {
      await this.#raw.end();
      this.#raw[Symbol.dispose]();
      return;
    }
    if (this.#exchange.open && !this.#replied) throw new Error(`${this.operation} gave no reply`);
    await this.#stream?.end();
    await this.#replied;
  }

  /** The handler threw: a reply if there was none, else in-band or not at all. */
  async fail({ status, message }: ErrorReply): Promise<void> {
    if (this.#raw) return this.#raw[Symbol.dispose]();
    if (this.#stream) return await this.#failInStream(message);
    if (!this.#exchange.open) return this.#exchange.destroy();
    if (status === 304) this.empty(304);
    else if (this.route.textErrors) this.#reply(status, RAW_STREAM, `${message}\r\n`);
    else if (compareVersions(this.version, FIRST_JSON_ERRORS) < 0) this.text(`${message}\n`, status);
    else this.json({ message }, status);
    await this.#replied;
  }

  async #failInStream(message: string): Promise<void> {
    if (this.#streamErrors !== "progress" || this.#aborted) return this.#stream?.destroy();
    const document = { errorDetail: { message }, error: message };
    await this.#stream?.write(Buffer.from(`${JSON.stringify(document)}\n`));
    await this.#stream?.end();
  }

  #reply(status: number, contentType: string | undefined, body: string): void {
    if (contentType) this.setHeader("Content-Type", contentType);
    if (this.#watch && status < 400) {
      this.#replied = this.#replyWatched(this.#watch, status, body);
      // Awaited by `finish`, at the latest.
      this.#replied.catch(() => undefined);
      return;
    }
    this.#status = status;
    this.#replied = this.#exchange.reply(status, this.#headers, body);
  }

  /** @throws what the watcher throws: the reply is withheld */
  async #replyWatched(
    watch: (reply: GatedReply) => Promise<GatedReply>,
    status: number,
    body: string,
  ): Promise<void> {
    const headers = [...this.#headers];
    this.#watch = undefined;
    const passed = await watch({ status, headers, body });
    this.#status = passed.status;
    await this.#exchange.reply(passed.status, passed.headers, passed.body);
  }

  #takeOver(contentType: string): RawConnection {
    this.#status = this.header("upgrade") === undefined ? 200 : 101;
    // As dockerd: whoever names a protocol wants it, `Connection: Upgrade` or not.
    const upgrade = this.header("upgrade")?.toLowerCase();
    if (this.#isWebsocket) {
      const headers = websocketHandshake(this.#exchange);
      return this.#exchange.takeOver(101, "Switching Protocols", headers);
    }
    if (upgrade === undefined) return this.#exchange.takeOver(200, "OK", [["Content-Type", contentType]]);
    if (upgrade === "h2c") {
      return this.#exchange.takeOver(101, "Switching Protocols", [
        ["Connection", "Upgrade"],
        ["Upgrade", "h2c"],
      ]);
    }
    return this.#exchange.takeOver(101, "UPGRADED", [
      ["Content-Type", contentType],
      ["Connection", "Upgrade"],
      ["Upgrade", "tcp"],
    ]);
  }

  get #isWebsocket(): boolean {
    return this.operation === "ContainerAttachWebsocket";
  }

  /** undefined if there is none. @throws InvalidParameterError, ProtocolError */
  async #jsonText(): Promise<string | undefined> {
    const { framing } = this.#exchange.head;
    this.#checkContentType(framing.kind !== "none");
    if (framing.kind === "none") return undefined;
    const text = (await this.#wholeBody()).toString("utf8");
    if (text.trim() === "") {
      throw new InvalidParameterError("invalid JSON: got EOF while reading request body");
    }
    return text;
  }

  #checkContentType(hasBody: boolean): void {
    const contentType = this.header("content-type") ?? "";
    if (contentType === "" && !hasBody) return;
    const mediaType = contentType.split(";")[0]?.trim().toLowerCase();
    if (mediaType === "") {
      throw new InvalidParameterError(`malformed Content-Type header (${contentType}): mime: no media type`);
    }
    if (mediaType !== "application/json") {
      throw new InvalidParameterError(
        `unsupported Content-Type header (${contentType}): must be 'application/json'`,
      );
    }
  }

  async #wholeBody(): Promise<Buffer> {
    const { maxJson, jsonTimeout } = this.#limits;
    try {
      return await readWhole(this.#exchange.body, this.#exchange.bodyLength, {
        maxBytes: maxJson,
        timeout: jsonTimeout,
      });
    } catch (error) {
      if (error instanceof HttpError && error.status === 413) {
        throw new InvalidParameterError(error.message, { cause: error });
      }
      throw error;
    }
  }
}
