/** Blobs out of a registry: from where an upload stands, by range, again and again until it is whole or hopeless. */
import type { Descriptor, Ingest } from "../../core/content.ts";
import { InvalidParameterError, NotFoundError } from "../../core/errors.ts";
import type { Reference } from "../../core/references.ts";
import type { RegistryOptions } from "../../core/registry.ts";
import { BusyError, toEngineError } from "./errors.ts";
import type { RegistryHost } from "./hosts.ts";
import { ConnectionError, readBody, reasonOf } from "./http.ts";
import { patienceFor, pause, pauseAfter, pullScope, type RegistrySession, retryAfterOf } from "./session.ts";

/** A body that brings less than this in the time is a broken connection. */
const STALL_TIMEOUT_MS = 60_000;
const STALL_BYTES = 1024;
/** A try that brought as much was worth it, and does not count. */
const PROGRESS_BYTES = 1 << 20;
const ERROR_LIMIT = 64 << 10;

export interface DownloadOptions extends RegistryOptions {
  readonly onProgress?: ((current: number) => void) | undefined;
  /** For tests. */
  readonly stallTimeout?: number;
}

export async function fetchBlob(
  session: RegistrySession,
  repository: Reference,
  blob: Descriptor,
  into: Ingest,
  options: DownloadOptions,
): Promise<void> {
  await session.onAnyHost(repository, options, async (host) => {
    let tries = 0;
    while (into.offset < blob.size) {
      const before = into.offset;
      try {
        await fetchOnce(session, host, repository, blob, into, options);
      } catch (error) {
        options.signal.throwIfAborted();
        if (into.offset - before >= PROGRESS_BYTES) tries = 0;
        if (!isTransient(error) || ++tries >= session.mostTries) throw error;
        await pause(Math.max(pauseAfter(tries), patienceFor(error)), options.signal);
      }
    }
  });
}

async function fetchOnce(
  session: RegistrySession,
  host: RegistryHost,
  repository: Reference,
  blob: Descriptor,
  into: Ingest,
  options: DownloadOptions,
): Promise<void> {
  using stall = new StallWatch(options.stallTimeout ?? STALL_TIMEOUT_MS, STALL_BYTES);
  const signal = AbortSignal.any([options.signal, stall.signal]);
  const headers: Record<string, string> = into.offset > 0 ? { range: `bytes=${into.offset}-` } : {};
  const path = `/v2/${repository.path}/blobs/${blob.digest}`;
  const response = await session.authorized(
    host,
    [pullScope(repository)],
    { path, headers, signal },
    options,
  );
  await acceptRange(response, blob, into, repository);
  stall.start();
  try {
    for await (const chunk of response.body ?? []) {
      await into.write(chunk);
      stall.progress(chunk.byteLength);
      options.onProgress?.(into.offset);
    }
  } catch (error) {
    options.signal.throwIfAborted();
    // Errors of the upload itself pass; everything else is the connection's.
    if (error instanceof Error && "subject" in error) throw error;
    const reason = stall.signal.aborted ? stall.reason : reasonOf(error);
    throw new ConnectionError(`reading ${blob.digest}: ${reason}`, { cause: error });
  }
  if (into.offset < blob.size) throw new ConnectionError(`reading ${blob.digest}: unexpected EOF`);
}

/** Aborts its signal when too few bytes came in the time. */
export class StallWatch implements Disposable {
  readonly #abort = new AbortController();
  readonly #timeout: number;
  readonly #least: number;
  #bytes = 0;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(timeout: number, least: number) {
    this.#timeout = timeout;
    this.#least = least;
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  get reason(): string {
    return `no data for ${this.#timeout / 1000} seconds`;
  }

  start(): void {
    this.#timer = setInterval(() => {
      if (this.#bytes < this.#least) this.#abort.abort(new Error(this.reason));
      this.#bytes = 0;
    }, this.#timeout);
  }

  progress(bytes: number): void {
    this.#bytes += bytes;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
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
    const retryAfter = retryAfterOf(response);
    const answer = await readBody(response, ERROR_LIMIT);
    const problem = toEngineError(repository, response.status, answer, retryAfter);
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

function isTransient(error: unknown): boolean {
  return error instanceof ConnectionError || error instanceof BusyError;
}
