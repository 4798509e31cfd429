/**
 * Content as files, one for each blob.
 *
 *     <dataRoot>/content/blobs/sha256/<hex>   whole, verified, durable
 *     <dataRoot>/content/ingest/<hex>         being written; kept over a crash, so that a download continues
 *
 * Order of writing: ingest file → hash in passing → fsync → rename → fsync of the directory.
 * What a resumed ingest has already is hashed again from the file: nothing else needs to be remembered.
 */
import { createHash, type Hash } from "node:crypto";
import { createReadStream, existsSync, mkdirSync } from "node:fs";
import { type FileHandle, open, readdir, rename, rm, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import { KeyedLock } from "../../base/keyed-lock.ts";
import type { EnginePaths } from "../../core/config.ts";
import type { BlobInfo, ContentStore, Ingest } from "../../core/content.ts";
import { digestOf, hexOf } from "../../core/digests.ts";
import { InvalidParameterError, NoSpaceError, NotFoundError, SystemError } from "../../core/errors.ts";
import type { Digest } from "../../core/ids.ts";
import { startWriteback } from "../../linux/files.ts";

/** Bytes after which the kernel is asked to begin writing: the final fsync then has little left to wait for. */
const WRITEBACK_STEP = 8 << 20;

export class FileContentStore implements ContentStore {
  readonly #blobs: string;
  readonly #ingests: string;
  readonly #writers = new KeyedLock();

  private constructor(root: string) {
    this.#blobs = join(root, "blobs", "sha256");
    this.#ingests = join(root, "ingest");
  }

  static open(paths: Pick<EnginePaths, "dataRoot">): FileContentStore {
    const store = new FileContentStore(join(paths.dataRoot, "content"));
    for (const directory of [store.#blobs, store.#ingests]) {
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
    const held = await this.#writers.acquire(expected.digest, options.signal);
    try {
      const found = await this.stat(expected.digest);
      if (found?.size === expected.size) return alreadyThere(found, held);
      return await FileIngest.open({
        expected,
        path: join(this.#ingests, hexOf(expected.digest)),
        target: this.#blob(expected.digest),
        directory: this.#blobs,
        held,
        signal: options.signal,
      });
    } catch (error) {
      held[Symbol.dispose]();
      throw error;
    }
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
      if (this.#writers.isHeld(`sha256:${name}`)) continue;
      using _writer = await this.#writers.acquire(`sha256:${name}`);
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

interface FileIngestParts {
  readonly expected: BlobInfo;
  readonly path: string;
  readonly target: string;
  readonly directory: string;
  readonly held: Disposable;
  readonly signal: AbortSignal;
}

class FileIngest implements Ingest {
  readonly #parts: FileIngestParts;
  readonly #file: FileHandle;
  #hash: Hash;
  #offset = 0;
  #writebackFrom = 0;
  #ended = false;

  private constructor(parts: FileIngestParts, file: FileHandle) {
    this.#parts = parts;
    this.#file = file;
    this.#hash = createHash("sha256");
  }

  static async open(parts: FileIngestParts): Promise<FileIngest> {
    const file = await open(parts.path, "a+", 0o600);
    const ingest = new FileIngest(parts, file);
    try {
      const { size } = await file.stat();
      // Longer than the whole: not a beginning of it.
      if (size > parts.expected.size) await ingest.truncate();
      else if (size > 0) {
        await hashFile(parts.path, ingest.#hash, parts.signal);
        ingest.#offset = size;
      }
      return ingest;
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  get offset(): number {
    return this.#offset;
  }

  async write(chunk: Uint8Array): Promise<void> {
    const { digest, size } = this.#parts.expected;
    if (this.#offset + chunk.byteLength > size) {
      await this.abort();
      throw new InvalidParameterError(`content ${digest} is longer than its ${size} bytes`, {
        subject: digest,
      });
    }
    this.#hash.update(chunk);
    await this.#writeAll(chunk);
    this.#offset += chunk.byteLength;
    if (this.#offset - this.#writebackFrom >= WRITEBACK_STEP) {
      startWriteback(this.#file.fd, this.#writebackFrom, this.#offset - this.#writebackFrom);
      this.#writebackFrom = this.#offset;
    }
  }

  /** The hash is ahead of the file once a write failed: the ingest is of no more use then, a new one reads the file again. */
  async #writeAll(chunk: Uint8Array): Promise<void> {
    for (let written = 0; written < chunk.byteLength; ) {
      const { bytesWritten } = await this.#file
        .write(chunk, written, chunk.byteLength - written)
        .catch((error: unknown) => {
          throw spaceOrSystemError(error, this.#parts.expected.digest);
        });
      written += bytesWritten;
    }
  }

  async truncate(): Promise<void> {
    await this.#file.truncate(0);
    this.#hash = createHash("sha256");
    this.#offset = 0;
    this.#writebackFrom = 0;
  }

  async commit(): Promise<BlobInfo> {
    const { expected, path, target, directory } = this.#parts;
    const actual = this.#hash.digest("hex");
    if (this.#offset !== expected.size || actual !== hexOf(expected.digest)) {
      const found = `${this.#offset} bytes, sha256:${actual}`;
      await this.abort();
      throw new InvalidParameterError(
        `content does not match: expected ${expected.size} bytes, ${expected.digest}, got ${found}`,
        { subject: expected.digest },
      );
    }
    try {
      await this.#file.sync();
      await rename(path, target);
      await fsyncDirectory(directory);
    } catch (error) {
      await this.#discard();
      throw spaceOrSystemError(error, expected.digest);
    }
    await this.#end();
    return expected;
  }

  /** After a failed fsync the page cache may claim what the disk does not have: no later try may trust these bytes. */
  async #discard(): Promise<void> {
    await rm(this.#parts.target, { force: true });
    await this.abort();
  }

  async abort(): Promise<void> {
    if (this.#ended) return;
    await rm(this.#parts.path, { force: true });
    await this.#end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end();
  }

  async #end(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    await this.#file.close();
    this.#parts.held[Symbol.dispose]();
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

async function hashFile(path: string, hash: Hash, signal: AbortSignal): Promise<void> {
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) {
    signal.throwIfAborted();
    hash.update(chunk as Uint8Array);
  }
}

async function fsyncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

function ignoreMissing(error: unknown): undefined {
  if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
  throw error;
}

function missing(digest: Digest): NotFoundError {
  return new NotFoundError(`content digest ${digest}: not found`, { subject: digest });
}

function corrupt(digest: Digest): InvalidParameterError {
  return new InvalidParameterError(`content ${digest} is corrupt on disk: its bytes have another digest`, {
    subject: digest,
  });
}

function spaceOrSystemError(error: unknown, digest: Digest): Error {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  const message = error instanceof Error ? error.message : String(error);
  return code === "ENOSPC" || code === "EDQUOT"
    ? new NoSpaceError(`no space left on device, writing content ${digest}`, {
        subject: digest,
        cause: error,
      })
    : new SystemError(`writing content ${digest}: ${message}`, { subject: digest, cause: error });
}
