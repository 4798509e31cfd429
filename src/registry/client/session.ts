/**
 * Requests to a registry: to which of its hosts, with which authorization, how often. What the answers mean is the
 * callers' (`manifests.ts`, `download.ts`, `upload.ts`).
 */
import type { RegistryConfig } from "../../core/config.ts";
import { messageOf, SystemError } from "../../core/errors.ts";
import type { Reference } from "../../core/references.ts";
import type { RegistryOptions } from "../../core/registry.ts";
import { Authorizations } from "./authorization.ts";
import { type Challenge, parseChallenges } from "./challenge.ts";
import { BusyError } from "./errors.ts";
import type { HostCapability } from "./host-files.ts";
import { hostsOf, type RegistryHost } from "./hosts.ts";
import { ConnectionError, RegistryHttp, type RegistryRequest } from "./http.ts";

/** Tries in a row without progress worth the name (unless the configuration says otherwise), and the pause after the first of them (doubled each time). */
const MOST_TRIES = 5;
const FIRST_PAUSE_MS = 250;
/** A registry that asks for more patience than that is said to be busy. */
const LONGEST_PAUSE_MS = 60_000;

export class RegistrySession {
  readonly http = new RegistryHttp();
  readonly #config: RegistryConfig;
  readonly #authorizations = new Authorizations();

  constructor(config: RegistryConfig) {
    this.#config = config;
  }

  get mostTries(): number {
    return this.#config.maxAttempts ?? MOST_TRIES;
  }

  hostsOf(domain: string): RegistryHost[] {
    return hostsOf(domain, this.#config);
  }

  /** The registry itself: what changes something is never sent to a mirror. */
  ownHost(domain: string): RegistryHost {
    const host = this.hostsOf(domain).at(-1);
    if (!host) throw new SystemError(`no registry for ${domain}`);
    return host;
  }

  /** Mirrors first; what a mirror cannot do, the next host may. The last one's error is the answer. */
  async onAnyHost<T>(
    reference: Reference,
    options: RegistryOptions,
    work: (host: RegistryHost) => Promise<T>,
    need: HostCapability = "pull",
  ): Promise<T> {
    const mirrors = this.hostsOf(reference.domain).slice(0, -1);
    for (const host of mirrors.filter(({ capabilities }) => capabilities?.has(need) ?? true)) {
      try {
        return await work(host);
      } catch {
        // A mirror that lacks the image, or is broken, is not the user's concern: the registry itself decides.
        options.signal.throwIfAborted();
      }
    }
    return await work(this.ownHost(reference.domain));
  }

  /**
   * Sends with the authorization that is known to work, and answers one challenge.
   * @param scopes `repository:library/busybox:pull`
   */
  async authorized(
    host: RegistryHost,
    scopes: readonly string[],
    request: RegistryRequest,
    { credentials: given }: RegistryOptions,
  ): Promise<Response> {
    const credentials = host.mirror ? undefined : given;
    const known = this.#authorizations.find(host, scopes, credentials);
    const first = await this.http.request(host, withAuthorization(request, known));
    if (first.status !== 401) return first;
    const challenges = parseChallenges(first.headers.get("www-authenticate") ?? "");
    const answer = await this.answer(host, challenges, scopes, {
      ...(credentials ? { credentials } : {}),
      signal: request.signal,
    });
    if (answer === undefined) {
      if (challenges.some(({ scheme }) => scheme === "basic") && !credentials?.username) {
        await first.body?.cancel();
        const url = `${this.http.schemeOf(host)}://${host.address}${request.path}`;
        throw new SystemError(`Get "${url}": no basic auth credentials`, { subject: host.address });
      }
      return first;
    }
    await first.body?.cancel();
    return await this.http.request(host, withAuthorization(request, answer));
  }

  /** The header that answers a challenge. @throws UnauthorizedError if the token service refuses the account */
  async answer(
    host: RegistryHost,
    challenges: readonly Challenge[],
    scopes: readonly string[],
    options: RegistryOptions,
  ): Promise<string | undefined> {
    return await this.#authorizations.answer(host, challenges, scopes, options);
  }

  /** `authorized`, repeated where the network or an overloaded registry failed. For requests that may be repeated. */
  async patient(
    host: RegistryHost,
    scopes: readonly string[],
    request: RegistryRequest,
    options: RegistryOptions,
  ): Promise<Response> {
    return await withTries(options.signal, () => this.authorized(host, scopes, request, options));
  }
}

export function pullScope(repository: Reference): string {
  return `repository:${repository.path}:pull`;
}

export function pushScope(repository: Reference): string {
  return `repository:${repository.path}:pull,push`;
}

/** The account of a login, without scopes. */
export function withAuthorization(
  request: RegistryRequest,
  authorization: string | undefined,
): RegistryRequest {
  return authorization === undefined ? request : { ...request, authorization };
}

/** Repeats a request that the network or an overloaded registry failed. */
export async function withTries(signal: AbortSignal, request: () => Promise<Response>): Promise<Response> {
  for (let tries = 1; ; tries++) {
    let wait = pauseAfter(tries);
    try {
      const response = await request();
      const busy = response.status === 429 || response.status >= 502;
      const asked = busy ? retryAfterOf(response) : undefined;
      if (!busy || tries >= MOST_TRIES || (asked ?? 0) > LONGEST_PAUSE_MS) return response;
      wait = Math.max(wait, asked ?? 0);
      await response.body?.cancel();
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof ConnectionError) || tries >= MOST_TRIES || isPermanent(error)) throw error;
    }
    await pause(wait, signal);
  }
}

/** In ms, of the try of that number. */
export function pauseAfter(tries: number): number {
  return FIRST_PAUSE_MS * 2 ** (tries - 1);
}

/** `Retry-After` in ms: seconds, or a date. @see RFC 9110 section 10.2.3 */
export function retryAfterOf(response: Response, now: number = Date.now()): number | undefined {
  const text = response.headers.get("retry-after")?.trim() ?? "";
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  const date = Date.parse(text);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

/** What a busy registry asked for, in ms. @throws the error itself if that is more than people wait for */
export function patienceFor(error: unknown): number {
  const asked = error instanceof BusyError ? (error.retryAfter ?? 0) : 0;
  if (asked > LONGEST_PAUSE_MS) throw error;
  return asked;
}

/** No one listens, or there is no such host: asking again at once does not help, and people wait for the answer. */
function isPermanent(error: ConnectionError): boolean {
  return /connection refused|no such host|TLS|certificate/i.test(messageOf(error));
}

export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const onAbort = () => reject(signal.reason);
  const timer = setTimeout(resolve, ms);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    signal.throwIfAborted();
    await promise;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  }
}
