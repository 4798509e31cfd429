/**
 * The distribution API's client side: manifests and blobs out of a registry, verified.
 * @see https://github.com/opencontainers/distribution-spec/blob/main/spec.md
 */
import type { RegistryConfig } from "../../core/config.ts";
import type { Descriptor, Ingest } from "../../core/content.ts";
import { digestOf, isDigest } from "../../core/digests.ts";
import {
  InvalidParameterError,
  messageOf,
  NotFoundError,
  SystemError,
  UnauthorizedError,
  UnavailableError,
} from "../../core/errors.ts";
import { MANIFEST_TYPES } from "../../core/manifests.ts";
import { DEFAULT_DOMAIN, familiarString, type Reference } from "../../core/references.ts";
import {
  type Credentials,
  type FetchedManifest,
  MANIFEST_LIMIT,
  type Registry,
  type RegistryOptions,
} from "../../core/registry.ts";
import { Authorizations } from "./authorization.ts";
import { parseChallenges } from "./challenge.ts";
import { toEngineError } from "./errors.ts";
import { hostsOf, type RegistryHost } from "./hosts.ts";
import { ConnectionError, RegistryHttp, type RegistryRequest, readBody, reasonOf } from "./http.ts";

/** Tries in a row without progress worth the name (unless the configuration says otherwise), and the pause after the first of them (doubled each time). */
const MOST_TRIES = 5;
/** Bytes. */
const PROGRESS = 64 * 1024;
const FIRST_PAUSE_MS = 250;
/** A body that stands still for so long is a broken connection. */
const STALL_TIMEOUT_MS = 60_000;
const ERROR_LIMIT = 64 << 10;
const MOST_TAG_PAGES = 1000;

export class RegistryClient implements Registry {
  readonly #config: RegistryConfig;
  readonly #http = new RegistryHttp();
  readonly #authorizations = new Authorizations();

  constructor(config: RegistryConfig) {
    this.#config = config;
  }

  async fetchManifest(reference: Reference, options: RegistryOptions): Promise<FetchedManifest> {
    return await this.#onAnyHost(reference, options, async (host) => {
      const response = await this.#manifestResponse("GET", host, reference, options);
      const bytes = await readBody(response, MANIFEST_LIMIT);
      if (response.status !== 200) throw toEngineError(reference, response.status, bytes);
      const digest = digestOf(bytes);
      checkManifestDigest(reference, response, digest);
      return { descriptor: { mediaType: mediaTypeOf(response), digest, size: bytes.byteLength }, bytes };
    });
  }

  async describeManifest(reference: Reference, options: RegistryOptions): Promise<Descriptor> {
    const described = await this.#onAnyHost(reference, options, async (host) => {
      const response = await this.#manifestResponse("HEAD", host, reference, options);
      await response.body?.cancel();
      // The answer to HEAD has no error document: GET tells more.
      if (response.status !== 200) return undefined;
      const digest = response.headers.get("docker-content-digest") ?? "";
      const size = Number(response.headers.get("content-length") ?? "-1");
      if (!isDigest(digest) || !Number.isInteger(size) || size < 0) return undefined;
      checkManifestDigest(reference, response, reference.digest ?? digest);
      return { mediaType: mediaTypeOf(response), digest, size };
    });
    return described ?? (await this.fetchManifest(reference, options)).descriptor;
  }

  #manifestResponse(
    method: "GET" | "HEAD",
    host: RegistryHost,
    reference: Reference,
    options: RegistryOptions,
  ): Promise<Response> {
    const path = `/v2/${reference.path}/manifests/${reference.digest ?? reference.tag ?? "latest"}`;
    const headers = { accept: MANIFEST_TYPES.join(", ") };
    return withTries(options.signal, () =>
      this.#authorized(host, reference, { method, path, headers, signal: options.signal }, options),
    );
  }

  async listTags(repository: Reference, options: RegistryOptions): Promise<string[]> {
    return await this.#onAnyHost(repository, options, async (host) => {
      const tags: string[] = [];
      let path: string | undefined = `/v2/${repository.path}/tags/list`;
      for (let pages = 0; path !== undefined && pages < MOST_TAG_PAGES; pages++) {
        const request: RegistryRequest = { path, signal: options.signal };
        const response = await withTries(options.signal, () =>
          this.#authorized(host, repository, request, options),
        );
        const bytes = await readBody(response, MANIFEST_LIMIT);
        if (response.status !== 200) throw toEngineError(repository, response.status, bytes);
        tags.push(...parseTags(bytes));
        path = nextPage(response, path);
      }
      return tags;
    });
  }

  async fetchBlob(
    repository: Reference,
    blob: Descriptor,
    into: Ingest,
    options: RegistryOptions & { onProgress?: ((current: number) => void) | undefined },
  ): Promise<void> {
    await this.#onAnyHost(repository, options, async (host) => {
      let tries = 0;
      while (into.offset < blob.size) {
        const before = into.offset;
        try {
          await this.#fetchBlobOnce(host, repository, blob, into, options);
        } catch (error) {
          options.signal.throwIfAborted();
          // A byte a try would go on for ever.
          if (into.offset - before >= PROGRESS) tries = 0;
          if (!isTransient(error) || ++tries >= (this.#config.maxAttempts ?? MOST_TRIES)) throw error;
          await pause(FIRST_PAUSE_MS * 2 ** (tries - 1), options.signal);
        }
      }
    });
  }

  async #fetchBlobOnce(
    host: RegistryHost,
    repository: Reference,
    blob: Descriptor,
    into: Ingest,
    options: RegistryOptions & { onProgress?: ((current: number) => void) | undefined },
  ): Promise<void> {
    const stalled = new AbortController();
    const signal = AbortSignal.any([options.signal, stalled.signal]);
    const headers: Record<string, string> = into.offset > 0 ? { range: `bytes=${into.offset}-` } : {};
    const path = `/v2/${repository.path}/blobs/${blob.digest}`;
    const response = await this.#authorized(host, repository, { path, headers, signal }, options);
    await acceptRange(response, blob, into, repository);
    let timer = setTimeout(() => stalled.abort(), STALL_TIMEOUT_MS);
    try {
      for await (const chunk of response.body ?? []) {
        clearTimeout(timer);
        await into.write(chunk);
        options.onProgress?.(into.offset);
        timer = setTimeout(() => stalled.abort(), STALL_TIMEOUT_MS);
      }
    } catch (error) {
      options.signal.throwIfAborted();
      throw bodyError(error, blob, stalled.signal.aborted);
    } finally {
      clearTimeout(timer);
    }
    if (into.offset < blob.size) throw new ConnectionError(`reading ${blob.digest}: unexpected EOF`);
  }

  /** Sends with the authorization that is known to work, and answers one challenge. */
  async #authorized(
    host: RegistryHost,
    repository: Reference,
    request: RegistryRequest,
    { credentials: given }: RegistryOptions,
  ): Promise<Response> {
    const credentials = host.mirror ? undefined : given;
    const scope = `repository:${repository.path}:pull`;
    const known = this.#authorizations.find(host, scope, credentials);
    const first = await this.#http.request(host, withAuthorization(request, known));
    if (first.status !== 401) return first;
    const challenges = parseChallenges(first.headers.get("www-authenticate") ?? "");
    const answer = await this.#authorizations.answer(host, challenges, scope, {
      ...(credentials ? { credentials } : {}),
      signal: request.signal,
    });
    if (answer === undefined) {
      if (challenges.some(({ scheme }) => scheme === "basic") && !credentials?.username) {
        await first.body?.cancel();
        const url = `${this.#http.schemeOf(host)}://${host.address}${request.path}`;
        throw new SystemError(`Get "${url}": no basic auth credentials`, { subject: host.address });
      }
      return first;
    }
    await first.body?.cancel();
    return await this.#http.request(host, withAuthorization(request, answer));
  }

  /** Mirrors first; what a mirror cannot do, the next host may. The last one's error is the answer. */
  async #onAnyHost<T>(
    reference: Reference,
    options: RegistryOptions,
    work: (host: RegistryHost) => Promise<T>,
  ): Promise<T> {
    const hosts = hostsOf(reference.domain, this.#config);
    for (const host of hosts.slice(0, -1)) {
      try {
        return await work(host);
      } catch {
        // A mirror that lacks the image, or is broken, is not the user's concern: the registry itself decides.
        options.signal.throwIfAborted();
      }
    }
    const last = hosts.at(-1);
    if (!last) throw new SystemError(`no registry for ${reference.domain}`);
    return await work(last);
  }

  async checkCredentials(
    address: string,
    credentials: Credentials,
    { signal }: { signal: AbortSignal },
  ): Promise<{ identityToken: string }> {
    const host = loginHost(address, this.#config);
    const request = { path: "/v2/", signal };
    const first = await withTries(signal, () => this.#http.request(host, request));
    await first.body?.cancel();
    if (first.status === 200) return { identityToken: "" };
    const challenges = parseChallenges(first.headers.get("www-authenticate") ?? "");
    const url = `${this.#http.schemeOf(host)}://${host.address}/v2/`;
    let answer: string | undefined;
    try {
      answer = await this.#authorizations.answer(host, challenges, "", { credentials, signal });
    } catch (error) {
      if (!(error instanceof UnauthorizedError)) throw error;
      throw new UnauthorizedError(`Get "${url}": ${error.message}`, { subject: address, cause: error });
    }
    const second = await this.#http.request(host, withAuthorization(request, answer));
    await second.body?.cancel();
    if (second.status === 200) return { identityToken: "" };
    const status = `${second.status} ${second.statusText || "Unauthorized"}`;
    throw new UnauthorizedError(`login attempt to ${url} failed with status: ${status}`, {
      subject: address,
    });
  }
}

function parseTags(bytes: Uint8Array): string[] {
  let document: { tags?: unknown } | null;
  try {
    document = JSON.parse(new TextDecoder().decode(bytes)) as typeof document;
  } catch (error) {
    throw new InvalidParameterError("the registry's list of tags is not JSON", { cause: error });
  }
  const tags = document?.tags ?? [];
  if (!Array.isArray(tags)) throw new InvalidParameterError("the registry's list of tags is none");
  return tags.filter((tag): tag is string => typeof tag === "string");
}

/** `Link: </v2/name/tags/list?last=x&n=100>; rel="next"`. Only its path counts: a page is on the same host. */
function nextPage(response: Response, path: string): string | undefined {
  const [, target] = /^<([^>]+)>;\s*rel="?next"?/.exec(response.headers.get("link") ?? "") ?? [];
  const url = target === undefined ? null : URL.parse(target, `http://registry${path}`);
  return url ? `${url.pathname}${url.search}` : undefined;
}

function loginHost(address: string, config: RegistryConfig): RegistryHost {
  const name = address.replace(/^https?:\/\//, "").split("/", 1)[0] ?? "";
  const domain =
    name === "" || name === "index.docker.io" || name === "registry-1.docker.io" ? DEFAULT_DOMAIN : name;
  if (!URL.canParse(`https://${domain}/`)) {
    throw new InvalidParameterError(`invalid registry endpoint ${JSON.stringify(address)}`);
  }
  const host = hostsOf(domain, config).at(-1);
  if (!host) throw new SystemError(`no registry for ${domain}`);
  return host;
}

function withAuthorization(request: RegistryRequest, authorization: string | undefined): RegistryRequest {
  return authorization === undefined ? request : { ...request, authorization };
}

function mediaTypeOf(response: Response): string {
  return (response.headers.get("content-type") ?? "").split(";", 1)[0]?.trim() ?? "";
}

/** What was asked for, and what the registry says that it sent, must both be what came. */
function checkManifestDigest(reference: Reference, response: Response, digest: string): void {
  const claimed = response.headers.get("docker-content-digest");
  const expected = [reference.digest, claimed?.startsWith("sha256:") ? claimed : undefined];
  for (const of of expected) {
    if (of !== undefined && of !== digest) {
      throw new InvalidParameterError(
        `manifest verification failed for digest ${of}: ${familiarString(reference)} has ${digest}`,
      );
    }
  }
}

/** Looks at the answer to a blob request, and brings the upload to where the body begins. */
async function acceptRange(
  response: Response,
  blob: Descriptor,
  into: Ingest,
  repository: Reference,
): Promise<void> {
  if (response.status === 206) {
    const [, start, total] =
      /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(response.headers.get("content-range") ?? "") ?? [];
    if (Number(start) === into.offset && (total === "*" || Number(total) === blob.size)) return;
    await response.body?.cancel();
    await into.truncate();
    throw new ConnectionError(
      `reading ${blob.digest}: the registry sent another range than the one asked for`,
    );
  }
  if (response.status === 416) {
    await response.body?.cancel();
    await into.truncate();
    throw new ConnectionError(`reading ${blob.digest}: the registry has no such range`);
  }
  if (response.status !== 200) {
    const problem = toEngineError(repository, response.status, await readBody(response, ERROR_LIMIT));
    if (!(problem instanceof NotFoundError)) throw problem;
    throw new NotFoundError(`blob ${blob.digest} not found in ${repository.path}: ${problem.message}`);
  }
  const length = response.headers.get("content-length");
  if (length !== null && Number(length) !== blob.size) {
    await response.body?.cancel();
    throw new InvalidParameterError(
      `content ${blob.digest} has ${length} bytes in the registry, its manifest says ${blob.size}`,
    );
  }
  if (into.offset > 0) await into.truncate();
}

/** Errors of the upload itself pass; everything else is the connection's. */
function bodyError(error: unknown, blob: Descriptor, stalled: boolean): Error {
  if (error instanceof Error && "subject" in error) return error;
  const reason = stalled ? `no data for ${STALL_TIMEOUT_MS / 1000} seconds` : reasonOf(error);
  return new ConnectionError(`reading ${blob.digest}: ${reason}`, { cause: error });
}

function isTransient(error: unknown): boolean {
  return error instanceof ConnectionError || error instanceof UnavailableError;
}

/** Repeats a request that the network or an overloaded registry failed. */
async function withTries(signal: AbortSignal, request: () => Promise<Response>): Promise<Response> {
  for (let tries = 1; ; tries++) {
    try {
      const response = await request();
      const busy = response.status === 429 || response.status >= 502;
      if (!busy || tries >= MOST_TRIES) return response;
      await response.body?.cancel();
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof ConnectionError) || tries >= MOST_TRIES || isPermanent(error)) throw error;
    }
    await pause(FIRST_PAUSE_MS * 2 ** (tries - 1), signal);
  }
}

/** No one listens, or there is no such host: asking again at once does not help, and people wait for the answer. */
function isPermanent(error: ConnectionError): boolean {
  return /connection refused|no such host|TLS|certificate/i.test(messageOf(error));
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
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
