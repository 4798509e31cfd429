/**
 * The caller of one engine: requests, version negotiation, connection reuse, hijacking. The nouns' calls
 * (`containers.ts`, `images.ts`, …) are written on top of it.
 *
 * Negotiation costs nothing where client and engine agree: the newest version is asked for at once, and an engine
 * that is older says in its refusal which one it has; the request is then sent again in that version.
 */

import { type ApiVersion, CLIENT_API_VERSION, compareVersions } from "../api/route.ts";
import { stringifyLargeNumbers } from "../base/exact-json.ts";
import { type EngineAddress, parseAddress } from "./address.ts";
import { EngineError, EngineProtocolError, EngineResponseError } from "./errors.ts";
import { encodeRequestHead, type ResponseHead, readBody, readResponseHead } from "./http.ts";
import { readJsonStream } from "./json-lines.ts";
import { ByteSocket, type TlsOptions } from "./socket.ts";

export interface EngineOptions {
  /** `unix:///run/gantry/gantry.sock`, `tcp://host:2376`. */
  readonly address: string;
  readonly tls?: TlsOptions;
  /** `1.41`: use exactly that version, without negotiation. */
  readonly apiVersion?: string;
  /** Sent with every request. */
  readonly headers?: Readonly<Record<string, string>>;
}

export type QueryValue = string | number | boolean | readonly string[] | undefined;

export interface Call {
  readonly method: "GET" | "HEAD" | "POST" | "PUT" | "DELETE";
  /** Without version: `/containers/json`. */
  readonly path: string;
  /** Absent and undefined values are left out; a list repeats its name. */
  readonly query?: Readonly<Record<string, QueryValue>>;
  readonly json?: unknown;
  /** A streamed body (chunked), instead of `json`. */
  readonly bytes?: AsyncIterable<Uint8Array>;
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Aborting ends the connection: the engine sees the client go away. */
  readonly signal?: AbortSignal;
  /** False for the few paths that have no version (`/_ping`). */
  readonly versioned?: boolean;
}

/** A call whose shape depends on the version that will be spoken. */
export type VersionedCall = Call | ((version: ApiVersion) => Call);

export interface Reply {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  /** Leaving the iteration early closes the connection. */
  readonly body: AsyncIterable<Uint8Array>;
  json<T>(): Promise<T>;
  /** A stream of JSON documents. */
  documents<T>(): AsyncGenerator<T, void, undefined>;
  text(): Promise<string>;
  /** Reads to the end, so that the connection can be used again. */
  discard(): Promise<void>;
}

/** A connection that has left HTTP. */
export interface Hijacked {
  /** Each output stream in Docker's frames, rather than raw bytes; undefined if the engine did not say. */
  readonly multiplexed: boolean | undefined;
  readonly output: AsyncIterable<Uint8Array>;
  write(bytes: Uint8Array): Promise<void>;
  /** End of input; output goes on. */
  halfClose(): Promise<void>;
  close(): void;
}

export class Engine {
  readonly address: EngineAddress;
  readonly #tls: TlsOptions | undefined;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #pinned: boolean;
  #version: ApiVersion;
  #idle: ByteSocket[] = [];

  /** Nothing is connected yet. @throws EngineError for an address that cannot be understood */
  constructor({ address, tls, apiVersion, headers = {} }: EngineOptions) {
    this.address = parseAddress(address, tls !== undefined);
    this.#tls = tls;
    this.#headers = headers;
    this.#pinned = apiVersion !== undefined;
    this.#version = apiVersion === undefined ? CLIENT_API_VERSION : parseVersion(apiVersion);
  }

  /** The version in use: after the first reply, the one both sides speak. */
  get version(): ApiVersion {
    return this.#version;
  }

  atLeast(major: number, minor: number): boolean {
    return compareVersions(this.#version, [major, minor]) >= 0;
  }

  /** @throws EngineResponseError for a status of 400 and above @throws EngineConnectionError */
  async request(call: VersionedCall): Promise<Reply> {
    return await this.#negotiated(call, async (shape) => {
      const { socket, head } = await this.#exchange(shape);
      const reply = this.#toReply(socket, shape, head);
      if (head.status >= 400) throw await toResponseError(shape, head, reply);
      return reply;
    });
  }

  /** Sends a request and takes the connection over. @throws EngineResponseError */
  async hijack(call: VersionedCall): Promise<Hijacked> {
    return await this.#negotiated(call, async (shape) => {
      const upgrading = { ...shape, headers: { ...shape.headers, Connection: "Upgrade", Upgrade: "tcp" } };
      const { socket, head } = await this.#exchange(upgrading);
      if (head.status >= 400) throw await toResponseError(shape, head, this.#toReply(socket, shape, head));
      return toHijacked(socket, head, shape.signal);
    });
  }

  /** A connection without any HTTP of ours on it. */
  async dial(): Promise<Omit<Hijacked, "multiplexed">> {
    const socket = await ByteSocket.connect(this.address, this.#tls, "dial");
    return {
      output: readAll(socket),
      write: (bytes) => socket.write(bytes),
      halfClose: () => socket.halfClose(),
      close: () => socket.close(),
    };
  }

  /** Closes idle connections. */
  close(): void {
    for (const socket of this.#idle) socket.close();
    this.#idle = [];
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #negotiated<T>(call: VersionedCall, send: (shape: Call) => Promise<T>): Promise<T> {
    const asked = this.#version;
    const shape = typeof call === "function" ? call(asked) : call;
    try {
      return await send(shape);
    } catch (error) {
      const offered = this.#pinned ? undefined : offeredVersion(error);
      if (!offered || compareVersions(offered, asked) >= 0) throw error;
      this.#version = offered;
      return await send(typeof call === "function" ? call(offered) : shape);
    }
  }

  async #exchange(call: Call): Promise<{ socket: ByteSocket; head: ResponseHead }> {
    call.signal?.throwIfAborted();
    const reused = call.bytes ? undefined : this.#takeIdle();
    try {
      return await this.#exchangeOn(reused ?? (await this.#connect(call)), call);
    } catch (error) {
      // The engine may close an idle connection just as it is used again: a read may simply be repeated.
      const repeatable = call.method === "GET" || call.method === "HEAD";
      if (!reused || !repeatable || call.signal?.aborted || !(error instanceof EngineProtocolError))
        throw error;
      return await this.#exchangeOn(await this.#connect(call), call);
    }
  }

  async #connect(call: Call): Promise<ByteSocket> {
    const { method } = call;
    const { address } = this;
    const host = address.kind === "unix" ? encodeURIComponent(address.path) : hostHeader(address);
    const verb = `${method[0]}${method.slice(1).toLowerCase()}`;
    const url = `${this.#tls ? "https" : "http"}://${host}${this.#target(call)}`;
    return await ByteSocket.connect(address, this.#tls, `${verb} "${url}"`);
  }

  async #exchangeOn(socket: ByteSocket, call: Call): Promise<{ socket: ByteSocket; head: ResponseHead }> {
    const { signal } = call;
    const onAbort = (): void => socket.close();
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      await this.#send(socket, call);
      return { socket, head: await readResponseHead(socket) };
    } catch (error) {
      socket.close();
      signal?.throwIfAborted();
      throw this.#explain(error);
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
  }

  async #send(socket: ByteSocket, call: Call): Promise<void> {
    const body = call.json === undefined ? undefined : Buffer.from(`${stringifyLargeNumbers(call.json)}\n`);
    const headers: Record<string, string> = {
      Host: hostHeader(this.address),
      ...this.#headers,
      ...call.headers,
    };
    if (body) {
      headers["Content-Type"] = "application/json";
      headers["Content-Length"] = String(body.byteLength);
    } else if (call.bytes) {
      headers["Content-Type"] = call.contentType ?? "application/octet-stream";
      headers["Transfer-Encoding"] = "chunked";
    } else if (call.method === "POST" || call.method === "PUT") {
      headers["Content-Length"] = "0";
    }
    const head = Buffer.from(encodeRequestHead({ method: call.method, target: this.#target(call), headers }));
    await socket.write(body ? Buffer.concat([head, body]) : head);
    // The engine may answer while the body is still going up: reading must not wait for it.
    if (call.bytes) void sendChunked(socket, call.bytes);
  }

  #target(call: Call): string {
    const base = this.address.kind === "tcp" ? this.address.basePath : "";
    const version = call.versioned === false ? "" : `/v${this.#version[0]}.${this.#version[1]}`;
    return `${base}${version}${call.path}${encodeQuery(call.query)}`;
  }

  #explain(error: unknown): unknown {
    if (error instanceof EngineProtocolError && !this.#tls && error.message.startsWith("malformed HTTP")) {
      return new EngineProtocolError(
        `${error.message}.\n* Are you trying to connect to a TLS-enabled daemon without TLS?`,
        { cause: error },
      );
    }
    if (error instanceof EngineProtocolError && /bad.certificate|certificate.required/i.test(error.message)) {
      return new EngineProtocolError(
        `the server probably has client authentication (--tlsverify) enabled; check your TLS client certification settings: ${error.message}`,
        { cause: error },
      );
    }
    if (error instanceof EngineProtocolError) {
      return new EngineProtocolError(`error during connect: ${error.message}`, { cause: error });
    }
    return error;
  }

  #toReply(socket: ByteSocket, { method, signal }: Call, head: ResponseHead): Reply {
    const onAbort = (): void => socket.close();
    signal?.addEventListener("abort", onAbort, { once: true });
    const body = readBody(socket, method, head, (reusable) => {
      signal?.removeEventListener("abort", onAbort);
      if (reusable && socket.reusable) this.#keepIdle(socket);
      else socket.close();
    });
    return {
      status: head.status,
      headers: head.headers,
      body,
      json: async <T>() => JSON.parse(await readText(body)) as T,
      documents: <T>() => readJsonStream<T>(body),
      text: () => readText(body),
      discard: async () => {
        for await (const _chunk of body);
      },
    };
  }

  #takeIdle(): ByteSocket | undefined {
    for (let socket = this.#idle.pop(); socket; socket = this.#idle.pop()) {
      socket.whenDisturbed(undefined);
      if (socket.reusable) return socket;
      socket.close();
    }
    return undefined;
  }

  #keepIdle(socket: ByteSocket): void {
    this.#idle.push(socket);
    socket.whenDisturbed(() => {
      this.#idle = this.#idle.filter((other) => other !== socket);
      socket.close();
    });
  }
}

async function readText(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

async function sendChunked(socket: ByteSocket, source: AsyncIterable<Uint8Array>): Promise<void> {
  try {
    for await (const chunk of source) {
      if (chunk.byteLength === 0) continue;
      await socket.write(Buffer.from(`${chunk.byteLength.toString(16)}\r\n`));
      await socket.write(chunk);
      await socket.write(Buffer.from("\r\n"));
    }
    await socket.write(Buffer.from("0\r\n\r\n"));
  } catch {
    // A body that breaks off must not look complete; a broken connection is told by the reading side.
    socket.close();
  }
}

function toHijacked(socket: ByteSocket, head: ResponseHead, signal: AbortSignal | undefined): Hijacked {
  signal?.addEventListener("abort", () => socket.close(), { once: true });
  return {
    // Engines before API 1.42 call framed output raw as well: only the other answer is certain.
    multiplexed:
      head.headers.get("content-type") === "application/vnd.docker.multiplexed-stream" || undefined,
    output: readAll(socket),
    write: (bytes) => socket.write(bytes),
    halfClose: () => socket.halfClose(),
    close: () => socket.close(),
  };
}

async function* readAll(socket: ByteSocket): AsyncGenerator<Uint8Array, void, undefined> {
  for (let chunk = await socket.read(); chunk; chunk = await socket.read()) yield chunk;
}

async function toResponseError(call: Call, head: ResponseHead, reply: Reply): Promise<EngineError> {
  const body = await reply.text();
  const status = `${head.status} ${head.statusText}`.trim();
  if (body === "") {
    return new EngineError(
      `request returned ${status} for API route and version ${call.path}, check if the server supports the requested API version`,
    );
  }
  if (head.headers.get("content-type") !== "application/json") {
    return new EngineResponseError(head.status, body.trim());
  }
  try {
    const { message } = JSON.parse(body) as { message?: unknown };
    if (typeof message === "string" && message !== "")
      return new EngineResponseError(head.status, message.trim());
  } catch (cause) {
    return new EngineError(`Error reading JSON: ${body.slice(0, 200)}`, { cause });
  }
  const named = `${head.status} (${head.statusText})`;
  return new EngineResponseError(head.status, `API returned a ${named} but provided no error-message`);
}

/** The newest version of an engine that finds ours too new. */
function offeredVersion(error: unknown): ApiVersion | undefined {
  if (!(error instanceof EngineResponseError) || error.status !== 400) return undefined;
  const offered = /too new\. Maximum supported API version is (\d+\.\d+)/.exec(error.reason)?.[1];
  return offered === undefined ? undefined : parseVersion(offered);
}

function parseVersion(text: string): ApiVersion {
  const match = /^v?(\d+)\.(\d+)$/.exec(text);
  if (!match) throw new EngineError(`invalid API version ${JSON.stringify(text)}`);
  return [Number(match[1]), Number(match[2])];
}

function hostHeader(address: EngineAddress): string {
  if (address.kind === "unix") return "api.moby.localhost";
  if (address.kind === "ssh") return "docker.example.com";
  const { hostname, port } = address;
  return `${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
}

/** Percent-encodes one segment of a path, or a reference with its slashes. */
export function pathSegment(text: string): string {
  return encodeURIComponent(text).replaceAll("%2F", "/").replaceAll("%3A", ":").replaceAll("%40", "@");
}

/** The same for what names an object, which must not be empty. @throws EngineError in Docker's words */
export function objectSegment(kind: "container" | "network" | "volume", name: string): string {
  const trimmed = name.trim();
  if (trimmed === "") throw new EngineError(`invalid ${kind} name or ID: value is empty`);
  return pathSegment(trimmed);
}

function encodeQuery(query: Call["query"]): string {
  if (!query) return "";
  const parts: string[] = [];
  for (const name in query) {
    const value = query[name];
    if (value === undefined) continue;
    if (typeof value === "object") {
      for (const item of value) parts.push(`${name}=${encodeURIComponent(item)}`);
    } else if (typeof value === "boolean") {
      parts.push(`${name}=${value ? "1" : "0"}`);
    } else {
      parts.push(`${name}=${encodeURIComponent(String(value))}`);
    }
  }
  return parts.length === 0 ? "" : `?${parts.join("&")}`;
}
