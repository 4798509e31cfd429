/**
 * HTTP as registries need it. Owns: which scheme a host speaks, redirects, deadlines. Leaves to others: credentials
 * (`authorization.ts`), what the answers mean (`client.ts`).
 *
 * An `Authorization` header goes to the origin it was made for and nowhere else: redirects to another origin lose it.
 * @see CVE-2020-15157
 */
import type { ProxyConfig } from "../../core/config.ts";
import { InvalidParameterError, SystemError, UnavailableError } from "../../core/errors.ts";
import type { HostTls } from "./host-files.ts";
import type { RegistryHost } from "./hosts.ts";
import { proxyFor } from "./proxy.ts";

const MOST_REDIRECTS = 10;
/** Until the headers of one answer are there. */
const HEADERS_TIMEOUT_MS = 30_000;
/** Until a document (a manifest, a token, a page of tags) is read. */
const BODY_TIMEOUT_MS = 60_000;

export type RegistryMethod = "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE";

/** What is sent; opened again for each try. */
export interface RequestBody {
  /** Bytes. */
  readonly length: number;
  open(): Uint8Array | AsyncIterable<Uint8Array>;
}

export interface RegistryRequest {
  readonly method?: RegistryMethod;
  /** With the leading slash. */
  readonly path: string;
  /** In place of the path: where an earlier answer's `Location` leads. */
  readonly url?: URL;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: RequestBody;
  readonly authorization?: string;
  /** Until the answer's headers are there, in ms, where that takes long for a reason. */
  readonly timeout?: number;
  readonly signal: AbortSignal;
}

/** The network failed, not the registry: worth another try. */
export class ConnectionError extends UnavailableError {}

export class RegistryHttp {
  /** By address, once the host has answered. */
  readonly #schemes = new Map<string, "http" | "https">();

  /** The answer, whatever its status, after redirects. @throws ConnectionError; the signal's reason */
  async request(host: RegistryHost, request: RegistryRequest): Promise<Response> {
    if (request.url) return await this.#follow(host, schemeOf(request.url), request);
    const known = host.scheme ?? this.#schemes.get(host.address) ?? (host.insecure ? undefined : "https");
    if (known !== undefined) return await this.#follow(host, known, request);
    try {
      return await this.#follow(host, "https", request);
    } catch (error) {
      if (!(error instanceof ConnectionError)) throw error;
      return await this.#follow(host, "http", request);
    }
  }

  /** `https` until the host is known to speak `http` only. */
  schemeOf(host: RegistryHost): "http" | "https" {
    return host.scheme ?? this.#schemes.get(host.address) ?? "https";
  }

  /** The one place that credentials for the host are sent to. */
  #originOf(host: RegistryHost): string {
    return new URL(`${this.schemeOf(host)}://${host.address}`).origin;
  }

  async #follow(host: RegistryHost, scheme: "http" | "https", request: RegistryRequest): Promise<Response> {
    const first = urlOf(host, scheme, request.path);
    const origin = request.url ? this.#originOf(host) : first.origin;
    let url = request.url ?? first;
    for (let redirects = 0; redirects <= MOST_REDIRECTS; redirects++) {
      const headers: Record<string, string> = { "user-agent": "gantry", ...request.headers };
      if (url.origin === origin) {
        Object.assign(headers, host.headers);
        if (request.authorization !== undefined) headers.authorization = request.authorization;
      }
      const response = await send(url, {
        method: request.method ?? "GET",
        headers,
        ...(request.body ? { body: request.body } : {}),
        ...(request.timeout === undefined ? {} : { timeout: request.timeout }),
        insecure: host.insecure,
        ...(host.tls && url.origin === origin ? { tls: host.tls } : {}),
        proxies: host.proxies,
        signal: request.signal,
      });
      this.#schemes.set(host.address, scheme);
      const location = response.headers.get("location");
      if (response.status < 300 || response.status >= 400 || location === null) return response;
      // Only these two say that the method and the body are to be sent again.
      if (isChange(request.method) && response.status !== 307 && response.status !== 308) return response;
      await response.body?.cancel();
      url = redirectTarget(url, location, host);
    }
    throw new SystemError(`${request.method ?? "GET"} ${first}: stopped after ${MOST_REDIRECTS} redirects`);
  }
}

/** A host may have its API below another path, and be told which registry it stands for. */
function urlOf({ address, root = "/v2", namespace }: RegistryHost, scheme: string, path: string): URL {
  const url = new URL(`${scheme}://${address}${path.replace(/^\/v2(?=\/|$)/, root)}`);
  if (namespace !== undefined && namespace !== address) url.searchParams.set("ns", namespace);
  return url;
}

function isChange(method: RegistryMethod = "GET"): boolean {
  return method !== "GET" && method !== "HEAD";
}

function schemeOf(url: URL): "http" | "https" {
  return url.protocol === "http:" ? "http" : "https";
}

/** @throws InvalidParameterError if it leads to a place that must not be followed */
export function redirectTarget(from: URL, location: string, host: RegistryHost): URL {
  const url = URL.parse(location, from.href);
  if (!url || (url.protocol !== "https:" && url.protocol !== "http:")) {
    throw new InvalidParameterError(`registry ${host.address} redirects to an address that is none`);
  }
  if (url.protocol === "http:" && from.protocol === "https:" && !host.insecure) {
    throw new InvalidParameterError(
      `registry ${host.address} redirects from https to http, which is refused`,
    );
  }
  return url;
}

export interface SendOptions {
  readonly method: RegistryMethod;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | RequestBody;
  /** Until the headers are there, in ms. */
  readonly timeout?: number;
  readonly insecure: boolean;
  readonly tls?: HostTls;
  readonly proxies: ProxyConfig | undefined;
  readonly signal: AbortSignal;
}

/** One request, no redirects. The signal goes on to hold for the body. @throws ConnectionError */
export async function send(url: URL, options: SendOptions): Promise<Response> {
  options.signal.throwIfAborted();
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), options.timeout ?? HEADERS_TIMEOUT_MS);
  const { body } = options;
  const isStream = body !== undefined && typeof body !== "string";
  const proxy = proxyFor(url, options.proxies);
  try {
    return await fetch(url, {
      method: options.method,
      headers: isStream ? { ...options.headers, "content-length": String(body.length) } : options.headers,
      redirect: "manual",
      // Blobs are kept as they are; a content coding on top of them would change their bytes.
      decompress: false,
      signal: AbortSignal.any([options.signal, late.signal]),
      ...(body === undefined ? {} : { body: isStream ? (body.open() as Bun.BodyInit) : body }),
      ...(proxy === undefined ? {} : { proxy }),
      ...(options.insecure || options.tls ? { tls: tlsOf(options) } : {}),
    });
  } catch (error) {
    options.signal.throwIfAborted();
    const reason = late.signal.aborted ? "timeout awaiting response headers" : reasonOf(error);
    throw new ConnectionError(`${goMethod(options.method)} "${url}": ${reason}`, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

function tlsOf({ insecure, tls = {} }: SendOptions): Bun.TLSOptions & { rejectUnauthorized: boolean } {
  const { ca, cert, key } = tls;
  return {
    rejectUnauthorized: !insecure,
    ...(ca ? { ca: [...ca] } : {}),
    ...(cert && key ? { cert, key } : {}),
  };
}

/** Go's HTTP client, whose words people know, writes `Get "https://…"`. */
function goMethod(method: string): string {
  return method.charAt(0) + method.slice(1).toLowerCase();
}

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connect: connection refused",
  ECONNRESET: "read: connection reset by peer",
  ENOTFOUND: "no such host",
  EAI_AGAIN: "temporary failure in name resolution",
  ETIMEDOUT: "connect: connection timed out",
};

export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = "code" in error ? String(error.code) : "";
  return REASONS[code] ?? error.message;
}

/**
 * A small body; more than `limit` bytes are an error, and so is one that is not there in time.
 * @throws ConnectionError, InvalidParameterError
 */
export async function readBody(
  response: Response,
  limit: number,
  timeout = BODY_TIMEOUT_MS,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  const reader = response.body?.getReader();
  if (!reader) return new Uint8Array(0);
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error("timeout awaiting the rest of it")), timeout);
  try {
    for (;;) {
      const { done, value: chunk } = await Promise.race([reader.read(), late]);
      if (done) break;
      size += chunk.byteLength;
      if (size > limit)
        throw new InvalidParameterError(`the registry's answer is larger than ${limit} bytes`);
      chunks.push(chunk);
    }
  } catch (error) {
    // Not waited for: the connection that does not answer may not close either.
    void reader.cancel().catch(() => {});
    if (error instanceof InvalidParameterError) throw error;
    throw new ConnectionError(`reading the registry's answer: ${reasonOf(error)}`, { cause: error });
  } finally {
    clearTimeout(timer);
  }
  return Buffer.concat(chunks);
}
