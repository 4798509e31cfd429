/**
 * Port: reading and writing the file trees of a build: copying between them, changing them, the digests of their content,
 * and filling them from archives and clients. Every path is resolved as if its root were `/`, and nothing outside of
 * it is reached, whoever made the tree. The work is done outside of the daemon's process.
 */

/** A directory of the host that stands for `/`. */
export type RootPath = string;

/** Who owns what is made. Names are looked up in `/etc/passwd` and `/etc/group` of a tree. */
export interface FileOwner {
  readonly user?: { readonly id: number } | { readonly name: string; readonly root: RootPath | undefined };
  readonly group?: { readonly id: number } | { readonly name: string; readonly root: RootPath | undefined };
}

/** Times are nanoseconds since the epoch as text; absent: now, or as the source has it. */
export type FileAction =
  | {
      readonly kind: "copy";
      /** Undefined: an empty tree. */
      readonly source: RootPath | undefined;
      readonly src: string;
      readonly dest: string;
      readonly owner?: FileOwner;
      /** Permission bits. */
      readonly mode?: number;
      /** Symbolic: `u+x,go-w`. */
      readonly modeText?: string;
      readonly time?: string;
      readonly followLinks: boolean;
      readonly directoryContents: boolean;
      readonly unpackArchives: boolean;
      readonly createDestination: boolean;
      readonly wildcards: boolean;
      readonly allowNoMatch: boolean;
      readonly include: readonly string[];
      readonly exclude: readonly string[];
      readonly replaceExisting: boolean;
      readonly required: readonly string[];
    }
  | {
      readonly kind: "mkfile";
      readonly path: string;
      readonly mode: number;
      /** Base64. */
      readonly data: string;
      readonly owner?: FileOwner;
      readonly time?: string;
    }
  | {
      readonly kind: "mkdir";
      readonly path: string;
      readonly mode: number;
      readonly parents: boolean;
      readonly owner?: FileOwner;
      readonly time?: string;
    }
  | {
      readonly kind: "rm";
      readonly path: string;
      readonly allowNotFound: boolean;
      readonly wildcards: boolean;
    }
  | {
      readonly kind: "symlink";
      readonly target: string;
      readonly path: string;
      readonly owner?: FileOwner;
      readonly time?: string;
    };

/** Which part of a tree counts. */
export interface ContentSelector {
  readonly path: string;
  readonly followLinks: boolean;
  readonly wildcards: boolean;
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  readonly required: readonly string[];
}

/** A tree that was filled by `unpack` or a transfer: digests of its files are known. */
export interface FilledTree {
  /** Entries, and bytes of files. */
  readonly entries: number;
  readonly size: number;
}

/** One entry that a client tells, as `st_mode` and byte strings have it. */
export interface TreeEntry {
  readonly path: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  /** Nanoseconds since the epoch. */
  readonly mtime: bigint;
  readonly linkname: string;
  readonly devmajor: number;
  readonly devminor: number;
}

/** A tree that takes over what a client has, where it differs from what is there. */
export interface TreeTransfer extends AsyncDisposable {
  /** In the client's order, parents first. Resolves with the indexes whose content is wanted. */
  offer(entries: readonly TreeEntry[]): Promise<readonly number[]>;
  /** `end`: the last piece. Resolves when there is room for more. */
  write(index: number, bytes: Uint8Array, end: boolean): Promise<void>;
  /** All is there: what the client does not have is removed. */
  finish(): Promise<FilledTree>;
}

export interface BuildFiles {
  /**
   * In order, in one go.
   * @throws NotFoundError `"/x": not found`; InvalidParameterError for what cannot be done with these trees
   */
  apply(request: {
    readonly root: RootPath;
    readonly actions: readonly FileAction[];
    readonly signal: AbortSignal;
  }): Promise<void>;
  /**
   * One digest (hex) of what is selected: names, modes, owners, content, links; no times.
   * @throws NotFoundError if a path without wildcards is not there
   */
  digest(request: {
    readonly root: RootPath;
    readonly selectors: readonly ContentSelector[];
    readonly signal: AbortSignal;
  }): Promise<string>;
  /**
   * Unpacks an archive (plain or compressed with gzip, bzip2, xz or zstd: its first bytes tell) below `root`, an empty
   * directory whose content is remembered beside it (`<root>.index`). Owners become 0:0 unless `keepOwners`.
   */
  unpack(request: {
    readonly root: RootPath;
    readonly archive: AsyncIterable<Uint8Array>;
    readonly keepOwners?: boolean;
    readonly signal: AbortSignal;
  }): Promise<FilledTree>;
  /** @param request.root a directory that is empty or was left by a transfer that finished */
  receive(request: { readonly root: RootPath; readonly signal: AbortSignal }): Promise<TreeTransfer>;
  /** A tar archive of all that is there. @throws SystemError */
  archive(request: { readonly root: RootPath; readonly signal: AbortSignal }): AsyncIterable<Uint8Array>;
  /** The content of a regular file; its path is resolved in the root. @throws NotFoundError, InvalidParameterError */
  read(request: { readonly root: RootPath; readonly path: string }): AsyncIterable<Uint8Array>;
}
