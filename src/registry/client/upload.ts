/**
 * Blobs into a registry: not sent if it has them, mounted from another of its repositories if it can, sent in one piece
 * otherwise; what breaks goes on from where the registry says that it stands.
 * @see distribution-spec, "Pushing blobs"
 */
import { open } from "node:fs/promises";
import type { Descriptor } from "../../core/content.ts";
import { InvalidParameterError, SystemError } from "../../core/errors.ts";
import type { Reference } from "../../core/references.ts";
import type { BlobSource, PushBlobOptions, PushedBlob, RegistryOptions } from "../../core/registry.ts";
import { StallWatch } from "./download.ts";
import { BusyError, toPushError } from "./errors.ts";
import type { RegistryHost } from "./hosts.ts";
import { ConnectionError, type RegistryRequest, type RequestBody, readBody, redirectTarget } from "./http.ts";
import {
  patienceFor,
  pause,
  pauseAfter,
  pullScope,
  pushScope,
  type RegistrySession,
  retryAfterOf,
} from "./session.ts";

const READ_SIZE = 1 << 20;
/** Up to this size a blob goes with the request that finishes it. */
const SINGLE_REQUEST = 4 << 20;
/** What a proxy that refuses long bodies is likely to take. */
const SMALL_CHUNK = 8 << 20;
/** Other repositories that are asked for a blob. */
const MOST_MOUNTS = 3;
const ERROR_LIMIT = 64 << 10;
/** Nothing was taken for so long: the connection is broken. */
const STALL_TIMEOUT_MS = 60_000;
/** A registry hashes, and may copy, a whole blob before it answers. */
const FINISH_TIMEOUT_MS = 600_000;

export async function pushBlob(
  session: RegistrySession,
  repository: Reference,
  blob: Descriptor,
  source: BlobSource,
  options: PushBlobOptions,
): Promise<PushedBlob> {
  const uploader = new Uploader(session, repository, blob, source, options);
  if (await uploader.isThere()) return { outcome: "exists" };
  const begun = await uploader.begin((options.mountFrom ?? []).slice(0, MOST_MOUNTS));
  if ("mountedFrom" in begun) return { outcome: "mounted", from: begun.mountedFrom };
  await uploader.send(begun.location);
  return { outcome: "uploaded" };
}

class Uploader {
  readonly #session: RegistrySession;
  readonly #host: RegistryHost;
  readonly #repository: Reference;
  readonly #blob: Descriptor;
  readonly #source: BlobSource;
  readonly #options: PushBlobOptions;
  /** Bytes of one request; smaller once the registry, or a proxy in front of it, refused a long one. */
  #chunk = Number.POSITIVE_INFINITY;

  constructor(
    session: RegistrySession,
    repository: Reference,
    blob: Descriptor,
    source: BlobSource,
    options: PushBlobOptions,
  ) {
    this.#session = session;
    this.#host = session.ownHost(repository.domain);
    this.#repository = repository;
    this.#blob = blob;
    this.#source = source;
    this.#options = options;
  }

  async isThere(): Promise<boolean> {
    const path = `/v2/${this.#repository.path}/blobs/${this.#blob.digest}`;
    const response = await this.#patient({ method: "HEAD", path });
    await response.body?.cancel();
    if (response.status === 200) return true;
    if (response.status === 404 || response.status === 403) return false;
    throw toPushError(this.#repository, response.status, new Uint8Array(0));
  }

  /** A session to send the blob to; or the repository that it was mounted from. */
  async begin(candidates: readonly Reference[]): Promise<{ mountedFrom: Reference } | { location: URL }> {
    for (const from of candidates) {
      const query = new URLSearchParams({ mount: this.#blob.digest, from: from.path });
      const response = await this.#start(`?${query}`, [pullScope(from)]).catch((error: unknown) => {
        this.#options.signal.throwIfAborted();
        // Who may not read there may still push here.
        if (error instanceof ConnectionError) throw error;
        return undefined;
      });
      await response?.body?.cancel();
      if (response?.status === 201) return { mountedFrom: from };
      // Not mounted: the session that was opened in its place is as good as any.
      if (response?.status === 202) return { location: this.#locationOf(response) };
    }
    const response = await this.#start("", []);
    if (response.status !== 202) throw await this.#problem(response);
    await response.body?.cancel();
    return { location: this.#locationOf(response) };
  }

  async #start(query: string, scopes: readonly string[]): Promise<Response> {
    const path = `/v2/${this.#repository.path}/blobs/uploads/${query}`;
    return await this.#patient({ method: "POST", path, body: NOTHING }, scopes);
  }

  /** Until the registry has the blob. Tries that brought something forward do not count. */
  async send(start: URL): Promise<void> {
    let location = start;
    let offset = 0;
    for (let tries = 0; ; ) {
      const before = offset;
      try {
        await this.#sendFrom(location, offset);
        return;
      } catch (error) {
        this.#options.signal.throwIfAborted();
        if (error instanceof TooLargeError && this.#chunk > SMALL_CHUNK) this.#chunk = SMALL_CHUNK;
        else if (
          !(error instanceof ConnectionError || error instanceof BusyError || error instanceof LostError)
        ) {
          throw error;
        }
        const asked = patienceFor(error);
        const state = await this.#stateOf(location);
        if (state) ({ location, offset } = state);
        else {
          // The session is gone, or is of no use: a new one begins at the beginning.
          const begun = await this.begin([]);
          if ("mountedFrom" in begun) return;
          location = begun.location;
          offset = 0;
        }
        tries = offset > before ? 0 : tries + 1;
        if (tries >= this.#session.mostTries) throw error;
        await pause(Math.max(pauseAfter(Math.max(tries, 1)), asked), this.#options.signal);
      }
    }
  }

  async #sendFrom(start: URL, startOffset: number): Promise<void> {
    let location = start;
    let offset = startOffset;
    const { size } = this.#blob;
    const single = offset === 0 && size <= SINGLE_REQUEST;
    while (!single && offset < size) {
      const end = Math.min(size, offset + this.#chunk);
      const ranged = offset > 0 || end < size;
      const response = await this.#transfer(
        {
          method: "PATCH",
          url: location,
          headers: {
            "content-type": "application/octet-stream",
            ...(ranged ? { "content-range": `${offset}-${end - 1}` } : {}),
          },
        },
        { offset, end },
      );
      if (response.status !== 202 && response.status !== 204) throw await this.#problem(response);
      await response.body?.cancel();
      location = this.#locationOf(response, location);
      offset = end;
    }
    await this.#finish(location, single ? { offset: 0, end: size } : { offset, end: offset });
  }

  async #finish(location: URL, range: { offset: number; end: number }): Promise<void> {
    const url = new URL(location);
    url.searchParams.set("digest", this.#blob.digest);
    const headers = { "content-type": "application/octet-stream" };
    const response = await this.#transfer({ method: "PUT", url, headers }, range);
    if (response.status !== 201 && response.status !== 204) throw await this.#problem(response);
    await response.body?.cancel();
    const stored = response.headers.get("docker-content-digest");
    if (stored !== null && stored !== this.#blob.digest) {
      throw new InvalidParameterError(`the registry stored ${this.#blob.digest} as ${stored}`, {
        subject: this.#blob.digest,
      });
    }
  }

  /** One request with a part of the blob; a connection that takes nothing is given up. */
  async #transfer(
    request: Omit<RegistryRequest, "path" | "signal">,
    { offset, end }: { offset: number; end: number },
  ): Promise<Response> {
    using stall = new StallWatch(STALL_TIMEOUT_MS, 1);
    const signal = AbortSignal.any([this.#options.signal, stall.signal]);
    const body: RequestBody = {
      length: end - offset,
      open: () => this.#read(offset, end, stall),
    };
    const path = `/v2/${this.#repository.path}/blobs/uploads/`;
    try {
      return await this.#session.authorized(
        this.#host,
        [pushScope(this.#repository)],
        { ...request, path, body, timeout: timeoutFor(end - offset), signal },
        this.#options,
      );
    } catch (error) {
      this.#options.signal.throwIfAborted();
      if (!stall.signal.aborted) throw error;
      throw new ConnectionError(`sending ${this.#blob.digest}: ${stall.reason}`, { cause: error });
    }
  }

  async *#read(offset: number, end: number, stall: StallWatch): AsyncGenerator<Uint8Array, void, undefined> {
    await using file = await open(this.#source.path, "r");
    stall.start();
    for (let position = offset; position < end; ) {
      // A buffer for each piece: the one before may still be on its way.
      const buffer = Buffer.allocUnsafe(Math.min(READ_SIZE, end - position));
      const { bytesRead } = await file.read(buffer, 0, buffer.byteLength, position);
      if (bytesRead === 0) throw new SystemError(`content ${this.#blob.digest} is shorter than it was`);
      position += bytesRead;
      yield buffer.subarray(0, bytesRead);
      stall.progress(bytesRead);
      this.#options.onProgress?.(position);
    }
    // What is on its way to the registry now, and its answer, have a limit of their own.
    stall[Symbol.dispose]();
  }

  /** How far the registry is; undefined if it does not know the session any more. */
  async #stateOf(location: URL): Promise<{ location: URL; offset: number } | undefined> {
    const response = await this.#patient({ url: location, path: "" });
    await response.body?.cancel();
    if (response.status !== 204 && response.status !== 202 && response.status !== 200) return undefined;
    const [, last] = /^(?:bytes=)?0-(\d+)$/.exec(response.headers.get("range") ?? "") ?? [];
    if (last === undefined) return undefined;
    // An empty session says 0-0 as well as one of one byte does.
    const offset = last === "0" ? 0 : Number(last) + 1;
    if (offset > this.#blob.size) return undefined;
    return { location: this.#locationOf(response, location), offset };
  }

  async #patient(
    request: Omit<RegistryRequest, "signal">,
    scopes: readonly string[] = [],
  ): Promise<Response> {
    const options: RegistryOptions = this.#options;
    return await this.#session.patient(
      this.#host,
      [pushScope(this.#repository), ...scopes],
      { ...request, signal: options.signal },
      options,
    );
  }

  /** Where to go on. Credentials go there only if it is the registry itself (`http.ts`). */
  #locationOf(response: Response, before?: URL): URL {
    const base = before ?? new URL(`${this.#session.http.schemeOf(this.#host)}://${this.#host.address}`);
    const location = response.headers.get("location");
    if (location === null) {
      if (before) return before;
      throw new SystemError(`registry ${this.#host.address} does not say where to upload to`);
    }
    return redirectTarget(base, location, this.#host);
  }

  async #problem(response: Response): Promise<Error> {
    const retryAfter = retryAfterOf(response);
    const body = await readBody(response, ERROR_LIMIT);
    const error = toPushError(this.#repository, response.status, body, retryAfter);
    if (response.status === 413) return new TooLargeError(error.message, { cause: error });
    // Distribution says 404 or 416 where the session is not where this side thinks.
    if (response.status === 404 || response.status === 416)
      return new LostError(error.message, { cause: error });
    return error;
  }
}

/** Time to send it at the slowest pace that is no stall, and for the answer; no more than a timer takes. */
function timeoutFor(bytes: number): number {
  return Math.min(FINISH_TIMEOUT_MS + bytes, 2 ** 31 - 1);
}

const NOTHING: RequestBody = { length: 0, open: () => new Uint8Array(0) };

class TooLargeError extends SystemError {}
class LostError extends SystemError {}
