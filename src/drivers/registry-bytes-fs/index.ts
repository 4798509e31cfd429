/**
 * Bytes of a registry as files on this machine.
 *
 *     <root>/uploads/<upload id>              growing
 *     <root>/blobs/<algorithm>/<xx>/<hex>.<random>    whole, verified, durable, never written again
 *
 * Order of writing: upload file → hash in passing → fsync → rename → fsync of the directory. Each seal makes a file of its
 * own: removing one of before can never hit another that was sealed meanwhile.
 */
import { createHash, type Hash, randomBytes } from "node:crypto";
import { createReadStream, mkdirSync } from "node:fs";
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { InvalidParameterError, NoSpaceError, NotFoundError, SystemError } from "../../core/errors.ts";
import type {
  AppendResult,
  BlobDigest,
  ByteRange,
  RegistryBytes,
  SealedBlob,
  StoredName,
  UploadState,
} from "../../core/registry-bytes.ts";
import { startWriteback } from "../../linux/files.ts";

/** Gathered before a write: sockets give 64 KiB at a time, and each write is a trip to another thread. */
const GATHER = 1 << 20;
const WRITEBACK_STEP = 8 << 20;
/** Of unfinished uploads whose hash is held ready: an upload that is not among them is read again. */
const MOST_HASHES = 256;
const EMPTY_SHA256 = createHash("sha256").digest("hex");

export class FileRegistryBytes implements RegistryBytes {
  readonly leastChunk = 0;
  readonly #uploads: string;
  readonly #blobs: string;
  /** By upload id: the hash after so many bytes. */
  readonly #hashes = new Map<string, { offset: number; hash: Hash }>();

  constructor(root: string) {
    this.#uploads = join(root, "uploads");
    this.#blobs = join(root, "blobs");
    for (const directory of [this.#uploads, this.#blobs])
      mkdirSync(directory, { recursive: true, mode: 0o700 });
  }

  async begin(uploadId: string): Promise<UploadState> {
    const file = await open(this.#upload(uploadId), "wx", 0o600);
    await file.close();
    return { offset: 0, sha256: EMPTY_SHA256 };
  }

  async append(
    uploadId: string,
    state: UploadState,
    body: AsyncIterable<Uint8Array>,
    limit: number,
  ): Promise<AppendResult> {
    const path = this.#upload(uploadId);
    const hash = await this.#hashAt(uploadId, state);
    const file = await open(path, "r+").catch((error) => {
      throw failure(error, `upload ${uploadId}`);
    });
    const writer = new Appender(file, state.offset, hash, uploadId);
    let broken: Error | undefined;
    try {
      // What a request left behind that was never acknowledged.
      await file.truncate(state.offset);
      for await (const chunk of body) {
        if (writer.size + chunk.byteLength > limit) {
          throw new InvalidParameterError(`upload ${uploadId} is larger than the ${limit} bytes allowed`);
        }
        await writer.add(chunk);
      }
    } catch (error) {
      if (error instanceof InvalidParameterError || error instanceof NoSpaceError) throw error;
      broken = error instanceof Error ? error : new Error(String(error));
    } finally {
      // An upload is acknowledged with its offset: these bytes have to be there after a crash.
      await writer.finish().finally(() => file.close());
    }
    this.#remember(uploadId, writer.offset, hash);
    return {
      state: { offset: writer.offset, sha256: hash.copy().digest("hex") },
      ...(broken ? { broken } : {}),
    };
  }

  async seal(uploadId: string, state: UploadState, digest: BlobDigest): Promise<SealedBlob> {
    const [algorithm = "", hex = ""] = digest.split(":");
    const found = algorithm === "sha256" ? state.sha256 : await this.#fileHash(uploadId, state, algorithm);
    if (found !== hex) {
      throw new InvalidParameterError(`the upload has digest ${algorithm}:${found}, not ${digest}`, {
        subject: digest,
      });
    }
    const objectKey = newKey(digest);
    const target = join(this.#blobs, objectKey);
    try {
      await makeDirectory(this.#blobs, dirname(target));
      const file = await open(this.#upload(uploadId), "r+");
      try {
        await file.truncate(state.offset);
        await file.chmod(0o440);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(this.#upload(uploadId), target);
      await syncDirectory(dirname(target));
    } catch (error) {
      throw failure(error, `blob ${digest}`);
    }
    this.#hashes.delete(uploadId);
    return { objectKey, size: state.offset };
  }

  async discard(uploadId: string): Promise<void> {
    this.#hashes.delete(uploadId);
    await rm(this.#upload(uploadId), { force: true });
  }

  async *read(objectKey: string, { start, end }: ByteRange): AsyncIterable<Uint8Array> {
    if (end < start) return;
    const file = createReadStream(join(this.#blobs, objectKey), { start, end, highWaterMark: GATHER });
    try {
      for await (const chunk of file) yield chunk as Uint8Array;
    } catch (error) {
      throw failure(error, `object ${objectKey}`);
    }
  }

  async signedUrl(): Promise<undefined> {
    return undefined;
  }

  async delete(objectKey: string): Promise<void> {
    await rm(join(this.#blobs, objectKey), { force: true });
  }

  async sweep(before: number, isOwned: (name: StoredName) => Promise<boolean>): Promise<number> {
    let freed = 0;
    for await (const [path, name] of this.#stored()) {
      const found = await stat(path).catch(() => undefined);
      if (!found || found.mtimeMs >= before || (await isOwned(name))) continue;
      await rm(path, { force: true });
      freed += found.size;
    }
    return freed;
  }

  async *#stored(): AsyncIterable<[path: string, name: StoredName]> {
    for (const uploadId of await readdir(this.#uploads)) {
      yield [join(this.#uploads, uploadId), { kind: "upload", uploadId }];
    }
    for (const algorithm of await readdir(this.#blobs)) {
      for (const prefix of await readdir(join(this.#blobs, algorithm))) {
        for (const hex of await readdir(join(this.#blobs, algorithm, prefix))) {
          const objectKey = join(algorithm, prefix, hex);
          yield [join(this.#blobs, objectKey), { kind: "object", objectKey }];
        }
      }
    }
  }

  #upload(uploadId: string): string {
    return join(this.#uploads, uploadId);
  }

  /** The running hash after `state.offset` bytes: at hand, or by reading them again. */
  async #hashAt(uploadId: string, state: UploadState): Promise<Hash> {
    const kept = this.#hashes.get(uploadId);
    // Taken out: if this request fails, the hash has seen bytes that the upload has not.
    this.#hashes.delete(uploadId);
    if (kept?.offset === state.offset) return kept.hash;
    if (state.offset === 0) return createHash("sha256");
    return await this.#hashFile(uploadId, state, "sha256");
  }

  #remember(uploadId: string, offset: number, hash: Hash): void {
    this.#hashes.delete(uploadId);
    this.#hashes.set(uploadId, { offset, hash });
    const [oldest] = this.#hashes.keys();
    if (this.#hashes.size > MOST_HASHES && oldest !== undefined) this.#hashes.delete(oldest);
  }

  async #fileHash(uploadId: string, state: UploadState, algorithm: string): Promise<string> {
    return (await this.#hashFile(uploadId, state, algorithm)).digest("hex");
  }

  async #hashFile(uploadId: string, { offset }: UploadState, algorithm: string): Promise<Hash> {
    const hash = createHash(algorithm);
    if (offset === 0) return hash;
    const file = createReadStream(this.#upload(uploadId), {
      start: 0,
      end: offset - 1,
      highWaterMark: GATHER,
    });
    let length = 0;
    try {
      for await (const chunk of file) {
        hash.update(chunk as Uint8Array);
        length += (chunk as Uint8Array).byteLength;
      }
    } catch (error) {
      throw failure(error, `upload ${uploadId}`);
    }
    if (length < offset)
      throw new SystemError(`upload ${uploadId} lost bytes: ${length} of ${offset} are there`);
    return hash;
  }
}

/** Gathers small chunks and hashes them while the file is written. */
class Appender {
  readonly #file: FileHandle;
  readonly #hash: Hash;
  readonly #name: string;
  #gathered: Uint8Array[] = [];
  #gatheredBytes = 0;
  #writebackFrom: number;
  /** Bytes that are in the file. */
  offset: number;

  constructor(file: FileHandle, offset: number, hash: Hash, name: string) {
    this.#file = file;
    this.#hash = hash;
    this.#name = name;
    this.offset = offset;
    this.#writebackFrom = offset;
  }

  get size(): number {
    return this.offset + this.#gatheredBytes;
  }

  async add(chunk: Uint8Array): Promise<void> {
    this.#gathered.push(chunk);
    this.#gatheredBytes += chunk.byteLength;
    if (this.#gatheredBytes >= GATHER) await this.#write();
  }

  async finish(): Promise<void> {
    await this.#write();
    await this.#file.datasync().catch((error) => {
      throw failure(error, `upload ${this.#name}`);
    });
  }

  async #write(): Promise<void> {
    if (this.#gatheredBytes === 0) return;
    const chunks = this.#gathered;
    const length = this.#gatheredBytes;
    this.#gathered = [];
    this.#gatheredBytes = 0;
    const written = this.#file.writev(chunks, this.offset);
    for (const chunk of chunks) this.#hash.update(chunk);
    const { bytesWritten } = await written.catch((error: unknown) => {
      throw failure(error, `upload ${this.#name}`);
    });
    if (bytesWritten !== length)
      throw new NoSpaceError(`no space left on device, writing upload ${this.#name}`);
    this.offset += length;
    if (this.offset - this.#writebackFrom < WRITEBACK_STEP) return;
    startWriteback(this.#file.fd, this.#writebackFrom, this.offset - this.#writebackFrom);
    this.#writebackFrom = this.offset;
  }
}

function newKey(digest: BlobDigest): string {
  const [algorithm = "", hex = ""] = digest.split(":");
  return join(algorithm, hex.slice(0, 2), `${hex}.${randomBytes(6).toString("hex")}`);
}

/** Below `root`, each new one durable in its parent. */
async function makeDirectory(root: string, path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true, mode: 0o700 });
  if (first === undefined) return;
  for (let made = path; made !== root; made = dirname(made)) await syncDirectory(dirname(made));
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

function failure(error: unknown, subject: string): Error {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  const message = error instanceof Error ? error.message : String(error);
  if (code === "ENOENT") return new NotFoundError(`${subject}: not found`, { subject, cause: error });
  if (code === "ENOSPC" || code === "EDQUOT")
    return new NoSpaceError(`no space left on device, writing ${subject}`, { subject, cause: error });
  return error instanceof NoSpaceError
    ? error
    : new SystemError(`${subject}: ${message}`, { subject, cause: error });
}
