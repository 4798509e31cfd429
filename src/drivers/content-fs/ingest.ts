/** Uploads as files: hash in passing → fsync → rename → fsync of the directory. */
import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { syncDirectory } from "../../base/durable.ts";
import { hasCode } from "../../base/error-codes.ts";
import type { BlobInfo, Ingest, StreamIngest } from "../../core/content.ts";
import { hexOf } from "../../core/digests.ts";
import { InvalidParameterError, NoSpaceError, SystemError } from "../../core/errors.ts";
import type { Digest } from "../../core/ids.ts";
import { startWriteback } from "../../linux/files.ts";

/** Bytes after which the kernel is asked to begin writing: the final fsync then has little left to wait for. */
const WRITEBACK_STEP = 8 << 20;

interface UploadParts {
  /** The file that is written. */
  readonly path: string;
  /** Where whole blobs are. */
  readonly directory: string;
  /** The turn of its writer. */
  readonly held: Disposable;
  readonly signal: AbortSignal;
}

/** Opens the upload of a blob that is known; what is there of it is hashed again. */
export async function openIngest(expected: BlobInfo, parts: UploadParts): Promise<Ingest> {
  const upload = await Upload.open(parts, expected.size);
  return {
    get offset() {
      return upload.offset;
    },
    async write(chunk) {
      if (upload.offset + chunk.byteLength > expected.size) {
        await upload.abort();
        throw new InvalidParameterError(
          `content ${expected.digest} is longer than its ${expected.size} bytes`,
          {
            subject: expected.digest,
          },
        );
      }
      await upload.write(chunk);
    },
    truncate: () => upload.truncate(),
    commit: () => upload.commit(expected),
    abort: () => upload.abort(),
    [Symbol.asyncDispose]: () => upload.end(),
  };
}

/** Opens an upload of which nothing is known; what is there of it is hashed again. */
export async function openStreamIngest(parts: UploadParts): Promise<StreamIngest> {
  const upload = await Upload.open(parts, Number.POSITIVE_INFINITY);
  return {
    get offset() {
      return upload.offset;
    },
    path: parts.path,
    write: (chunk) => upload.write(chunk),
    truncate: () => upload.truncate(),
    commit: (expected = {}) => upload.commit(expected),
    commitWritten: (written) => upload.commitWritten(written),
    abort: () => upload.abort(),
    [Symbol.asyncDispose]: () => upload.end(),
  };
}

/** Makes a blob of a file that a helper process wrote and hashed. */
export async function adoptFile(
  path: string,
  written: BlobInfo,
  parts: Omit<UploadParts, "path" | "signal">,
): Promise<BlobInfo> {
  const { signal } = new AbortController();
  await using upload = await Upload.openWritten({ ...parts, path, signal });
  return await upload.commitWritten(written);
}

class Upload implements AsyncDisposable {
  readonly #parts: UploadParts;
  readonly #file: FileHandle;
  #hash: Hash = createHash("sha256");
  #offset = 0;
  #writebackFrom = 0;
  #ended = false;

  private constructor(parts: UploadParts, file: FileHandle) {
    this.#parts = parts;
    this.#file = file;
  }

  static async open(parts: UploadParts, largest: number): Promise<Upload> {
    const file = await open(parts.path, "a+", 0o600);
    const upload = new Upload(parts, file);
    try {
      const { size } = await file.stat();
      // Longer than the whole: not a beginning of it.
      if (size > largest) await upload.truncate();
      else if (size > 0) {
        await hashFile(parts.path, upload.#hash, parts.signal);
        upload.#offset = size;
      }
      return upload;
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** Of a file that is whole: it is not read. */
  static async openWritten(parts: UploadParts): Promise<Upload> {
    try {
      return new Upload(parts, await open(parts.path, "r+"));
    } catch (error) {
      parts.held[Symbol.dispose]();
      throw error;
    }
  }

  get offset(): number {
    return this.#offset;
  }

  async write(chunk: Uint8Array): Promise<void> {
    this.#hash.update(chunk);
    await this.#writeAll(chunk);
    this.#offset += chunk.byteLength;
    if (this.#offset - this.#writebackFrom >= WRITEBACK_STEP) {
      startWriteback(this.#file.fd, this.#writebackFrom, this.#offset - this.#writebackFrom);
      this.#writebackFrom = this.#offset;
    }
  }

  /** The hash is ahead of the file once a write failed: the upload is of no more use then, a new one reads the file again. */
  async #writeAll(chunk: Uint8Array): Promise<void> {
    for (let written = 0; written < chunk.byteLength; ) {
      const { bytesWritten } = await this.#file
        .write(chunk, written, chunk.byteLength - written)
        .catch((error: unknown) => {
          throw this.#problem(error);
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

  async commit(expected: Partial<BlobInfo>): Promise<BlobInfo> {
    const actual = { digest: `sha256:${this.#hash.digest("hex")}` as Digest, size: this.#offset };
    const { digest = actual.digest, size = actual.size } = expected;
    if (digest !== actual.digest || size !== actual.size) {
      await this.abort();
      throw new InvalidParameterError(
        `content does not match: expected ${size} bytes, ${digest}, got ${actual.size} bytes, ${actual.digest}`,
        { subject: digest },
      );
    }
    return await this.#publish(actual);
  }

  async commitWritten(written: BlobInfo): Promise<BlobInfo> {
    const { size } = await this.#file.stat();
    if (size !== written.size) {
      await this.abort();
      throw new SystemError(`content ${written.digest} has ${size} bytes, ${written.size} were written`, {
        subject: written.digest,
      });
    }
    return await this.#publish(written);
  }

  async #publish(blob: BlobInfo): Promise<BlobInfo> {
    const { path, directory } = this.#parts;
    const target = join(directory, hexOf(blob.digest));
    try {
      await this.#file.sync();
      await rename(path, target);
      await syncDirectory(directory);
    } catch (error) {
      // After a failed fsync the page cache may claim what the disk does not have: no later try may trust these bytes.
      await rm(target, { force: true });
      await this.abort();
      throw this.#problem(error, blob.digest);
    }
    await this.end();
    return blob;
  }

  async abort(): Promise<void> {
    if (this.#ended) return;
    await rm(this.#parts.path, { force: true });
    await this.end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
  }

  async end(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    await this.#file.close();
    this.#parts.held[Symbol.dispose]();
  }

  #problem(error: unknown, subject: string = basename(this.#parts.path)): Error {
    const message = error instanceof Error ? error.message : String(error);
    return hasCode(error, "ENOSPC", "EDQUOT")
      ? new NoSpaceError(`no space left on device, writing content ${subject}`, { subject, cause: error })
      : new SystemError(`writing content ${subject}: ${message}`, { subject, cause: error });
  }
}

export async function hashFile(path: string, hash: Hash, signal: AbortSignal): Promise<void> {
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) {
    signal.throwIfAborted();
    hash.update(chunk as Uint8Array);
  }
}
