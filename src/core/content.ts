/**
 * Port: content-addressed blobs (manifests, configs, compressed layers), kept as they were pulled.
 * A blob is visible only after its size and digest were verified and it is durable on disk
 * (temp file → hash → fsync → rename → fsync of the directory).
 */
import type { Digest } from "./ids.ts";

export interface BlobInfo {
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
}

/** A descriptor of the OCI image spec, as far as the engine reads it. */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
  readonly urls?: readonly string[];
  readonly annotations?: Readonly<Record<string, string>>;
  readonly platform?: Platform;
  readonly artifactType?: string;
}

export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
  readonly "os.version"?: string;
  readonly "os.features"?: readonly string[];
}

/**
 * An upload under way. It survives a crash: `ContentStore.ingest` of the same digest continues at `offset`.
 * Dispose without commit keeps the bytes for a later resume; `abort` throws them away.
 */
export interface Ingest extends AsyncDisposable {
  /** Bytes already there. */
  readonly offset: number;
  write(chunk: Uint8Array): Promise<void>;
  /** Starts over at zero: the registry does not do ranges. */
  truncate(): Promise<void>;
  /** @throws InvalidParameterError if size or digest differ; the bytes are thrown away then */
  commit(): Promise<BlobInfo>;
  abort(): Promise<void>;
}

/**
 * An upload whose digest and size nobody knows yet: they are found out in passing. It survives a crash like `Ingest`:
 * `receive` with the same name continues at `offset`. Dispose without commit keeps the bytes; `abort` throws them away.
 */
export interface StreamIngest extends AsyncDisposable {
  /** Bytes already there. */
  readonly offset: number;
  /** The file that is written: for helper processes that write it themselves, from its beginning, in place of `write`. */
  readonly path: string;
  write(chunk: Uint8Array): Promise<void>;
  truncate(): Promise<void>;
  /**
   * Makes a blob of it.
   * @param expected what the sender says that it is
   * @throws InvalidParameterError if it is anything else; the bytes are thrown away then
   */
  commit(expected?: Partial<BlobInfo>): Promise<BlobInfo>;
  /** The same for what a helper process wrote, and hashed itself. @throws SystemError if the file has another size */
  commitWritten(written: BlobInfo): Promise<BlobInfo>;
  abort(): Promise<void>;
}

export interface ContentStore {
  stat(digest: Digest): Promise<BlobInfo | undefined>;
  /** The file of a blob: for helper processes that read it themselves. @throws NotFoundError */
  path(digest: Digest): string;
  /** Whole, for documents. @throws NotFoundError; InvalidParameterError if larger than `limit` bytes or corrupt */
  read(digest: Digest, limit: number): Promise<Uint8Array>;
  /** Reads a blob to its end. @throws NotFoundError; InvalidParameterError if its bytes are not what its name says */
  verify(digest: Digest, options: { signal: AbortSignal }): Promise<void>;
  /** Stores a document that is in memory. Idempotent; one that was damaged is repaired. */
  put(bytes: Uint8Array): Promise<BlobInfo>;
  /** One writer per digest; a second caller waits for the first. */
  ingest(expected: BlobInfo, options: { signal: AbortSignal }): Promise<Ingest>;
  /**
   * An upload of unknown digest.
   * @param name `[A-Za-z0-9_-]+`, up to 64; one writer each, a second caller waits for the first
   */
  receive(name: string, options: { signal: AbortSignal }): Promise<StreamIngest>;
  /** An empty directory beside the blobs, for helper processes that write many files; gone with its disposal, and at boot. */
  scratch(): Promise<AsyncDisposable & { readonly path: string }>;
  /**
   * Makes a blob of a file in a scratch directory, which a helper process wrote and hashed. The file moves.
   * @throws NoSpaceError, SystemError
   */
  adopt(file: string, written: BlobInfo): Promise<BlobInfo>;
  delete(digest: Digest): Promise<boolean>;
  /** Every whole blob, with the time it was committed in ms since the epoch. */
  list(): AsyncIterable<BlobInfo & { readonly modifiedAt: number }>;
  /**
   * Throws away uploads that were last written before that time (ms since the epoch), and says how many bytes they had.
   * Those under way stay.
   */
  expireIngests(before: number): Promise<number>;
}
