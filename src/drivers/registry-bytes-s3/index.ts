/**
 * Bytes of a registry in S3-compatible object storage, for registries of several instances.
 *
 *     b/<xx>/<uuid>     a blob, under a key that was chosen before its digest was known: no copy at the end
 *     u/<upload id>     the last bytes of an upload under way, fewer than the least part (5 MiB)
 *
 * Whole parts go into a multipart upload, whose state stands in `UploadState.detail`, so that any instance goes on. A running
 * hash cannot: an upload that changed instances is read once more when it ends.
 */
import { createHash, type Hash, randomUUID } from "node:crypto";
import { InvalidParameterError, NotFoundError } from "../../core/errors.ts";
import type {
  AppendResult,
  BlobDigest,
  ByteRange,
  RegistryBytes,
  SealedBlob,
  StoredName,
  UploadState,
} from "../../core/registry-bytes.ts";
import { S3Client, type S3Options, type S3Part } from "./client.ts";

/** S3 takes 10,000 parts: the first thousand are small, so that little is held in memory. */
const SMALL_PART = 8 << 20;
const LARGE_PART = 64 << 20;
const SMALL_PARTS = 1_000;
const LEAST_PART = 5 << 20;
const SIGNED_SECONDS = 20 * 60;
const MOST_HASHES = 256;

interface Detail {
  readonly key: string;
  /** Of the multipart upload, once there is a whole part. */
  readonly upload?: string;
  readonly parts: readonly S3Part[];
  /** Bytes in `u/<upload id>`, after those of the parts. */
  readonly tail: number;
}

export class S3RegistryBytes implements RegistryBytes {
  readonly leastChunk = LEAST_PART;
  readonly #s3: S3Client;
  readonly #redirects: boolean;
  /** By upload id: the hash after so many bytes. */
  readonly #hashes = new Map<string, { offset: number; hash: Hash }>();

  /** @param options.redirects clients fetch blobs from the storage themselves */
  constructor({ redirects, ...options }: S3Options & { readonly redirects: boolean }) {
    this.#s3 = new S3Client(options);
    this.#redirects = redirects;
  }

  async begin(uploadId: string): Promise<UploadState> {
    const id = randomUUID();
    const detail: Detail = { key: `b/${id.slice(0, 2)}/${id}`, parts: [], tail: 0 };
    this.#remember(uploadId, 0, createHash("sha256"));
    return { offset: 0, sha256: "", detail: JSON.stringify(detail) };
  }

  async append(
    uploadId: string,
    state: UploadState,
    body: AsyncIterable<Uint8Array>,
    limit: number,
  ): Promise<AppendResult> {
    let detail = readDetail(state);
    const hash = this.#takeHash(uploadId, state.offset);
    let { offset } = state;
    let gathered: Uint8Array[] = detail.tail > 0 ? [await this.#tail(uploadId, detail.tail)] : [];
    let length = detail.tail;
    let broken: Error | undefined;
    try {
      for await (const chunk of body) {
        if (offset + chunk.byteLength > limit) {
          throw new InvalidParameterError(`upload ${uploadId} is larger than the ${limit} bytes allowed`);
        }
        hash?.update(chunk);
        offset += chunk.byteLength;
        gathered.push(chunk);
        length += chunk.byteLength;
        if (length < partSize(detail)) continue;
        detail = await this.#putPart(detail, Buffer.concat(gathered, length));
        gathered = [];
        length = 0;
      }
    } catch (error) {
      if (error instanceof InvalidParameterError || !isOfBody(error)) throw error;
      broken = error instanceof Error ? error : new Error(String(error));
    }
    if (length >= LEAST_PART) {
      detail = await this.#putPart(detail, Buffer.concat(gathered, length));
      length = 0;
      gathered = [];
    }
    if (length > 0) await this.#s3.put(tailKey(uploadId), Buffer.concat(gathered, length));
    detail = { ...detail, tail: length };
    if (hash) this.#remember(uploadId, offset, hash);
    const sha256 = hash ? hash.copy().digest("hex") : "";
    return { state: { offset, sha256, detail: JSON.stringify(detail) }, ...(broken ? { broken } : {}) };
  }

  async seal(uploadId: string, state: UploadState, digest: BlobDigest): Promise<SealedBlob> {
    const [algorithm = "", hex = ""] = digest.split(":");
    const running = this.#takeHash(uploadId, state.offset);
    const known =
      algorithm === "sha256" ? (running?.digest("hex") ?? (state.sha256 || undefined)) : undefined;
    if (known !== undefined && known !== hex) throw wrongDigest(digest, `${algorithm}:${known}`);
    const { key } = await this.#complete(uploadId, readDetail(state));
    if (known === undefined) {
      const found = await this.#hashObject(key, algorithm, state.offset);
      if (found !== hex) {
        await this.#s3.delete(key);
        throw wrongDigest(digest, `${algorithm}:${found}`);
      }
    }
    await this.#s3.delete(tailKey(uploadId));
    return { objectKey: key, size: state.offset };
  }

  async discard(uploadId: string, state: UploadState): Promise<void> {
    this.#hashes.delete(uploadId);
    const { key, upload } = readDetail(state);
    if (upload !== undefined) await this.#s3.abortParts(key, upload);
    await this.#s3.delete(tailKey(uploadId));
    await this.#s3.delete(key);
  }

  async *read(objectKey: string, { start, end }: ByteRange): AsyncIterable<Uint8Array> {
    if (end < start) return;
    const { body } = await this.#s3.get(objectKey, { start, end });
    if (body) for await (const chunk of body) yield chunk as Uint8Array;
  }

  async signedUrl(objectKey: string): Promise<string | undefined> {
    return this.#redirects ? await this.#s3.sign(objectKey, SIGNED_SECONDS) : undefined;
  }

  async delete(objectKey: string): Promise<void> {
    await this.#s3.delete(objectKey);
  }

  async sweep(before: number, isOwned: (name: StoredName) => Promise<boolean>): Promise<number> {
    let freed = 0;
    for (const prefix of ["b/", "u/"]) {
      for await (const { key, modifiedAt, size } of this.#s3.list(prefix)) {
        const name: StoredName =
          prefix === "b/" ? { kind: "object", objectKey: key } : { kind: "upload", uploadId: key.slice(2) };
        if (modifiedAt >= before || (await isOwned(name))) continue;
        await this.#s3.delete(key);
        freed += size;
      }
    }
    return freed;
  }

  async #putPart(detail: Detail, bytes: Uint8Array): Promise<Detail> {
    const upload = detail.upload ?? (await this.#s3.beginParts(detail.key));
    const number = detail.parts.length + 1;
    const etag = await this.#s3.putPart(detail.key, upload, number, bytes);
    return { ...detail, upload, parts: [...detail.parts, { number, etag }] };
  }

  /** One object from the parts and the rest; a small upload is a plain object. */
  async #complete(uploadId: string, detail: Detail): Promise<Detail> {
    const rest = detail.tail > 0 ? await this.#tail(uploadId, detail.tail) : new Uint8Array();
    if (detail.upload === undefined) {
      await this.#s3.put(detail.key, rest);
      return detail;
    }
    const whole = rest.byteLength > 0 ? await this.#putPart(detail, rest) : detail;
    await this.#s3.completeParts(detail.key, detail.upload, whole.parts);
    return whole;
  }

  async #tail(uploadId: string, length: number): Promise<Uint8Array> {
    const reply = await this.#s3.get(tailKey(uploadId));
    const bytes = new Uint8Array(await reply.arrayBuffer());
    if (bytes.byteLength < length)
      throw new NotFoundError(`upload ${uploadId}: its last bytes are not there`);
    // What a request added that was never acknowledged is left out.
    return bytes.subarray(0, length);
  }

  async #hashObject(key: string, algorithm: string, size: number): Promise<string> {
    const hash = createHash(algorithm);
    for await (const chunk of this.read(key, { start: 0, end: size - 1 })) hash.update(chunk);
    return hash.digest("hex");
  }

  #takeHash(uploadId: string, offset: number): Hash | undefined {
    const kept = this.#hashes.get(uploadId);
    this.#hashes.delete(uploadId);
    return kept?.offset === offset ? kept.hash : offset === 0 ? createHash("sha256") : undefined;
  }

  #remember(uploadId: string, offset: number, hash: Hash): void {
    this.#hashes.delete(uploadId);
    this.#hashes.set(uploadId, { offset, hash });
    const [oldest] = this.#hashes.keys();
    if (this.#hashes.size > MOST_HASHES && oldest !== undefined) this.#hashes.delete(oldest);
  }
}

function partSize({ parts }: Detail): number {
  return parts.length < SMALL_PARTS ? SMALL_PART : LARGE_PART;
}

function tailKey(uploadId: string): string {
  return `u/${uploadId}`;
}

function readDetail({ detail }: UploadState): Detail {
  if (detail === undefined) throw new NotFoundError("the upload was begun in another kind of storage");
  return JSON.parse(detail) as Detail;
}

/** The storage's own failures are no end of a body: they must not pass for one. */
function isOfBody(error: unknown): boolean {
  return !(error instanceof Error && (error.name === "UnavailableError" || error.name === "NotFoundError"));
}

function wrongDigest(digest: BlobDigest, found: string): InvalidParameterError {
  return new InvalidParameterError(`the upload has digest ${found}, not ${digest}`, { subject: digest });
}
