/**
 * Content as files, one for each blob.
 *
 *     <dataRoot>/content/blobs/sha256/<hex>   whole, verified, durable
 *     <dataRoot>/content/ingest/<hex>         being written; kept over a crash, so that a download continues
 *     <dataRoot>/content/ingest/stream-<name> the same, of a digest that is not known yet
 *     <dataRoot>/content/scratch/s-*          what helper processes write; thrown away at boot
 *
 * Order of writing: ingest file → hash in passing → fsync → rename → fsync of the directory.
 * What a resumed ingest has already is hashed again from the file: nothing else needs to be remembered.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { mkdtemp, readdir, rm, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import { hasCode } from "../../base/error-codes.ts";
import { KeyedLock } from "../../base/keyed-lock.ts";
import type { EnginePaths } from "../../core/config.ts";
import type { BlobInfo, ContentStore, Ingest, StreamIngest } from "../../core/content.ts";
import { digestOf, hexOf } from "../../core/digests.ts";
import { InvalidParameterError, NotFoundError } from "../../core/errors.ts";
import type { Digest } from "../../core/ids.ts";
import { adoptFile, hashFile, openIngest, openStreamIngest } from "./ingest.ts";

/** In front of the names of uploads whose digest is not known: no digest begins so. */
const STREAM_PREFIX = "stream-";

/** Blobs as files, named by their digest. */
export class FileContentStore implements ContentStore {
  readonly #blobs: string;
  readonly #ingests: string;
  readonly #scratch: string;
  readonly #writers = new KeyedLock();

  private constructor(root: string) {
    this.#blobs = join(root, "blobs", "sha256");
    this.#ingests = join(root, "ingest");
    this.#scratch = join(root, "scratch");
  }

  static open(paths: Pick<EnginePaths, "dataRoot">): FileContentStore {
    const store = new FileContentStore(join(paths.dataRoot, "content"));
    // Whoever wrote there is gone.
    rmSync(store.#scratch, { recursive: true, force: true });
    for (const directory of [store.#blobs, store.#ingests, store.#scratch]) {
      mkdirSync(directory, { recursive: true, mode: 0o710 });
    }
    return store;
  }

  async stat(digest: Digest): Promise<BlobInfo | undefined> {
    const found = await stat(this.#blob(digest)).catch(ignoreMissing);
    return found && { digest, size: found.size };
  }

  path(digest: Digest): string {
    const path = this.#blob(digest);
    if (!existsSync(path)) throw missing(digest);
    return path;
  }

  async read(digest: Digest, limit: number): Promise<Uint8Array> {
    const info = await this.stat(digest);
    if (!info) throw missing(digest);
    if (info.size > limit) {
      throw new InvalidParameterError(
        `content ${digest} has ${info.size} bytes, more than the ${limit} allowed`,
        {
          subject: digest,
        },
      );
    }
    const bytes = await Bun.file(this.#blob(digest)).bytes();
    if (digestOf(bytes) !== digest) throw corrupt(digest);
    return bytes;
  }

  async verify(digest: Digest, options: { signal: AbortSignal }): Promise<void> {
    this.path(digest);
    const hash = createHash("sha256");
    await hashFile(this.#blob(digest), hash, options.signal);
    if (hash.digest("hex") !== hexOf(digest)) throw corrupt(digest);
  }

  async put(bytes: Uint8Array): Promise<BlobInfo> {
    const expected = { digest: digestOf(bytes), size: bytes.byteLength };
    await this.#dropIfDamaged(expected);
    await using ingest = await this.ingest(expected, { signal: new AbortController().signal });
    await ingest.truncate();
    await ingest.write(bytes);
    return await ingest.commit();
  }

  /** Size and name may be right and the bytes not: a document is small enough to look. */
  async #dropIfDamaged({ digest, size }: BlobInfo): Promise<void> {
    if (!(await this.stat(digest))) return;
    try {
      await this.read(digest, size);
    } catch (error) {
      if (!(error instanceof InvalidParameterError)) throw error;
      await this.delete(digest);
    }
  }

  async ingest(expected: BlobInfo, options: { signal: AbortSignal }): Promise<Ingest> {
    return await this.#withWriter(hexOf(expected.digest), options.signal, async (parts) => {
      const found = await this.stat(expected.digest);
      return found?.size === expected.size
        ? alreadyThere(found, parts.held)
        : await openIngest(expected, parts);
    });
  }

  async receive(name: string, options: { signal: AbortSignal }): Promise<StreamIngest> {
    if (!/^[A-Za-z0-9_-]{1,64}$/.test(name)) {
      throw new InvalidParameterError(`invalid name of an upload: ${JSON.stringify(name)}`);
    }
    return await this.#withWriter(`${STREAM_PREFIX}${name}`, options.signal, openStreamIngest);
  }

  /** @param file in the directory of uploads: it has one writer at a time */
  async #withWriter<T>(
    file: string,
    signal: AbortSignal,
    open: (parts: { path: string; directory: string; held: Disposable; signal: AbortSignal }) => Promise<T>,
  ): Promise<T> {
    const held = await this.#writers.acquire(file, signal);
    try {
      return await open({ path: join(this.#ingests, file), directory: this.#blobs, held, signal });
    } catch (error) {
      held[Symbol.dispose]();
      throw error;
    }
  }

  async scratch(): Promise<AsyncDisposable & { readonly path: string }> {
    const path = await mkdtemp(join(this.#scratch, "s-"));
    return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
  }

  async adopt(file: string, written: BlobInfo): Promise<BlobInfo> {
    const { signal } = new AbortController();
    const held = await this.#writers.acquire(hexOf(written.digest), signal);
    return await adoptFile(file, written, { directory: this.#blobs, held });
  }

  async delete(digest: Digest): Promise<boolean> {
    try {
      await unlink(this.#blob(digest));
      return true;
    } catch (error) {
      ignoreMissing(error);
      return false;
    }
  }

  async *list(): AsyncIterable<BlobInfo & { modifiedAt: number }> {
    for (const name of await readdir(this.#blobs)) {
      const found = await stat(join(this.#blobs, name)).catch(ignoreMissing);
      const digest = `sha256:${name}` as Digest;
      if (found) yield { digest, size: found.size, modifiedAt: found.mtimeMs };
    }
  }

  async expireIngests(before: number): Promise<number> {
    let freed = 0;
    for (const name of await readdir(this.#ingests)) {
      if (this.#writers.isHeld(name)) continue;
      using _writer = await this.#writers.acquire(name);
      const path = join(this.#ingests, name);
      const found = await stat(path).catch(ignoreMissing);
      if (!found || found.mtimeMs >= before) continue;
      await rm(path, { force: true });
      freed += found.size;
    }
    return freed;
  }

  #blob(digest: Digest): string {
    return join(this.#blobs, hexOf(digest));
  }
}

/** The blob was committed while the caller waited for its turn: there is nothing left to write. */
function alreadyThere(info: BlobInfo, held: Disposable): Ingest {
  return {
    offset: info.size,
    write: async () => {},
    truncate: async () => {},
    commit: async () => info,
    abort: async () => {},
    [Symbol.asyncDispose]: async () => held[Symbol.dispose](),
  };
}

function missing(digest: Digest): NotFoundError {
  return new NotFoundError(`content digest ${digest}: not found`, { subject: digest });
}

function corrupt(digest: Digest): InvalidParameterError {
  return new InvalidParameterError(`content ${digest} is corrupt on disk: its bytes have another digest`, {
    subject: digest,
  });
}

function ignoreMissing(error: unknown): undefined {
  if (hasCode(error, "ENOENT")) return undefined;
  throw error;
}
