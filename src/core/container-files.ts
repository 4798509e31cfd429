/**
 * Port: files of a container, from outside of it: `docker cp`, `docker export`. What lies in a container belongs to
 * whoever made its image and runs in it, and may change at any moment: every path is resolved beneath the container's
 * root, nothing outside of it is reached, and no code of it is run (invariants S02, S03).
 */

/** A mount of a container that does not run, for the view of its files. */
export interface ViewMount {
  /** Host path. */
  readonly source: string;
  /** In the container. */
  readonly destination: string;
  readonly readOnly: boolean;
  /** With what is mounted below the source. */
  readonly recursive: boolean;
}

/** Where a container's files are seen. */
export type FilesView =
  /** As its processes see them. */
  | { readonly kind: "running"; readonly pid: number; readonly startTime: number }
  /** Its mounted root and what would be mounted in it. */
  | { readonly kind: "stopped"; readonly rootfs: string; readonly mounts: readonly ViewMount[] };

/** What Docker tells of a path. */
export interface PathStat {
  /** The last part of what was asked for. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** A file mode as Go's `io/fs` has it. */
  readonly mode: number;
  /** RFC 3339 with nanoseconds. */
  readonly mtime: string;
  /** Of a symbolic link: where it leads in the end, as far as there is something. */
  readonly linkTarget: string;
}

/** A tar archive. Disposing gives it up. */
export interface FilesArchive extends AsyncDisposable {
  /** Undefined for the whole root. */
  readonly stat: PathStat | undefined;
  /** @throws SystemError if it could not be read to its end */
  readonly content: AsyncIterable<Uint8Array>;
}

export interface WriteFilesOptions {
  /** Fail where a directory would take the place of something else, or the other way round. */
  readonly noOverwriteDirNonDir: boolean;
  /** Who is to own everything; undefined: who the archive says. */
  readonly owner: { readonly uid: number; readonly gid: number } | undefined;
  /** Refused with Docker's words, before anything is written. */
  readonly readOnlyRoot: boolean;
  readonly mounts: readonly { readonly destination: string; readonly rw: boolean }[];
}

export interface ContainerFiles {
  /** @throws NotFoundError if nothing is there */
  stat(view: FilesView, path: string, signal: AbortSignal): Promise<PathStat>;
  /** What is at a path: a directory with everything in it, a link itself. @throws NotFoundError */
  read(view: FilesView, path: string, signal: AbortSignal): Promise<FilesArchive>;
  /** Everything in the root, by names without a slash in front. */
  readAll(view: FilesView, signal: AbortSignal): Promise<FilesArchive>;
  /**
   * Unpacks a tar archive, compressed or not, into a directory.
   * @throws NotFoundError, InvalidParameterError, NoSpaceError, SystemError; what was written till then stays
   */
  write(
    view: FilesView,
    path: string,
    content: AsyncIterable<Uint8Array>,
    options: WriteFilesOptions & { readonly signal: AbortSignal },
  ): Promise<void>;
}
