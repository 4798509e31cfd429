/**
 * What a build may ask of its client: directories, secrets, agents, credentials, and a place for results. A session of
 * BuildKit's gives all of it; a classic build gives its context alone. Implemented by `protocol/` and by the ways in.
 */
import type { Credentials } from "../core/registry.ts";
import type { FileStat } from "./frontend.ts";

export interface Sessions {
  /** Waits up to 5 s for it. @throws NotFoundError "no active session for ID: context deadline exceeded" */
  get(id: string, options: { signal: AbortSignal }): Promise<BuildSession>;
  /**
   * What a client sends up for `http://buildkit-session/…`, the address of a context that is neither in its session nor
   * elsewhere: the body of a request, or what its session hands out.
   * @throws NotFoundError
   */
  upload(
    url: string,
    options: { readonly sessionId: string; readonly signal: AbortSignal },
  ): Promise<AsyncIterable<Uint8Array>>;
}

export interface BuildSession {
  readonly id: string;
  /** Stays the same over builds of one directory: copies of a local source are kept by it. */
  readonly sharedKey: string;
  /** Aborts when the client has gone. */
  readonly closed: AbortSignal;

  /** A directory of that name that is on this host already and is nobody else's: nothing is transferred then. */
  tree?(name: string): string | undefined;
  /** @throws NotFoundError if the client has no directory of that name */
  openDirectory(name: string, options: DirectoryOptions): Promise<DirectoryTransfer>;
  /** Undefined: the client has none of that id. */
  secret(id: string, options: { signal: AbortSignal }): Promise<Uint8Array | undefined>;
  /** Undefined: the client forwards no agent of that id. */
  agent(id: string, options: { signal: AbortSignal }): Promise<AgentForward | undefined>;
  credentials(registryHost: string, options: { signal: AbortSignal }): Promise<Credentials | undefined>;
  /** Where exporters put files. */
  readonly output: SessionOutput;
  /** A content store of the client's: `oci:NAME`, `local:DIR`, `export`. */
  content(storeId: string): SessionContent;
}

export interface DirectoryOptions {
  readonly includePatterns: readonly string[];
  readonly excludePatterns: readonly string[];
  readonly followPaths: readonly string[];
  readonly signal: AbortSignal;
}

/**
 * A directory on the client's side. All entries come first, parents before children; then the bytes of those regular
 * files that the caller asks for. Disposing ends the transfer.
 */
export interface DirectoryTransfer extends AsyncDisposable {
  /** In batches. Paths are relative and slash-separated; a hard link is a regular file with a `linkname`. */
  readonly entries: AsyncIterable<readonly FileStat[]>;
  /** By the 0-based position among all entries. */
  request(index: number): void;
  /** Bytes of requested files; `end` is true with the last of a file. Interleaved as the client sends them. */
  readonly data: AsyncIterable<{ readonly index: number; readonly bytes: Uint8Array; readonly end: boolean }>;
  /** All that was wanted is here. */
  finish(): Promise<void>;
}

export interface AgentForward {
  /** One connection to the agent. */
  connect(options: { signal: AbortSignal }): Promise<{
    readonly output: AsyncIterable<Uint8Array>;
    write(bytes: Uint8Array): Promise<void>;
    close(): void;
  }>;
}

export interface SessionOutput {
  /** Sends one file (a tar archive). `metadata`: the exporter's response, for the client's `--metadata-file`. */
  sendFile(bytes: AsyncIterable<Uint8Array>, options: OutputOptions): Promise<void>;
  /** Sends a directory tree. */
  sendDirectory(tree: OutputTree, options: OutputOptions): Promise<void>;
}

export interface OutputOptions {
  /** Which of the client's outputs: its index among the exporters. */
  readonly exporterId: string;
  readonly metadata: ReadonlyMap<string, string>;
  readonly multiPlatform: boolean;
  readonly signal: AbortSignal;
}

export interface OutputTree {
  readonly entries: AsyncIterable<readonly FileStat[]>;
  read(path: string): AsyncIterable<Uint8Array>;
}

export interface SessionContent {
  stat(digest: string, options: { signal: AbortSignal }): Promise<{ size: number } | undefined>;
  read(digest: string, options: { signal: AbortSignal }): AsyncIterable<Uint8Array>;
  write(
    bytes: AsyncIterable<Uint8Array>,
    expected: { digest: string; size: number },
    options: { signal: AbortSignal },
  ): Promise<void>;
  /** Names an index or manifest: `index.json` of a layout. */
  label?(digest: string, labels: Readonly<Record<string, string>>): Promise<void>;
}
