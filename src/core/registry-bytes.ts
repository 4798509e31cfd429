/**
 * Port: where a registry keeps the bytes of blobs. Uploads know neither digest nor size beforehand: they grow, perhaps
 * through several instances of the registry, and are sealed at the end.
 *
 * Owns: bytes, their durability and verification. Leaves to others: who may see them, what refers to them, when they go.
 */

/** `sha256:…` or `sha512:…`, as registries take them. */
export type BlobDigest = string;

/**
 * What has to be remembered of an upload between two requests; kept by the caller, given back as it was. `offset` is
 * the number of bytes that are durable; the rest belongs to the driver.
 */
export interface UploadState {
  readonly offset: number;
  /** Of the first `offset` bytes, so that an upload that ends need not be read again. */
  readonly sha256: string;
  /** The driver's own. */
  readonly detail?: string;
}

export interface RegistryBytes {
  /** The least size of a chunk but the last, in bytes; 0 if any will do. */
  readonly leastChunk: number;
  begin(uploadId: string): Promise<UploadState>;
  /**
   * Adds bytes to the end. When the body breaks off, what came is kept and the new state tells how much.
   * @throws NoSpaceError; InvalidParameterError beyond `limit` bytes in all
   */
  append(
    uploadId: string,
    state: UploadState,
    body: AsyncIterable<Uint8Array>,
    limit: number,
  ): Promise<AppendResult>;
  /**
   * Verifies and makes durable under a new key. Until the caller records the key the object is nobody's.
   * @throws InvalidParameterError if the digest is another; NotFoundError if there is no such upload
   */
  seal(uploadId: string, state: UploadState, digest: BlobDigest): Promise<SealedBlob>;
  /** Idempotent. */
  discard(uploadId: string, state: UploadState): Promise<void>;

  /** Bytes from `start` to `end`, both inclusive. @throws NotFoundError */
  read(objectKey: string, range: ByteRange): AsyncIterable<Uint8Array>;
  /** A place where the client may fetch the bytes itself, or undefined. Valid for some minutes. */
  signedUrl(objectKey: string): Promise<string | undefined>;
  /** Idempotent. */
  delete(objectKey: string): Promise<void>;
  /**
   * Throws away what no upload and no blob owns and was last written before that time (ms since the epoch).
   * @returns bytes freed
   */
  sweep(before: number, isOwned: (name: StoredName) => Promise<boolean>): Promise<number>;
}

export interface AppendResult {
  readonly state: UploadState;
  /** The body ended before its time: the state is what was kept. */
  readonly broken?: Error;
}

export interface SealedBlob {
  readonly objectKey: string;
  readonly size: number;
}

export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

export type StoredName =
  | { readonly kind: "upload"; readonly uploadId: string }
  | { readonly kind: "object"; readonly objectKey: string };
