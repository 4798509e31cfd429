/**
 * Port: looking into a container's root file system from outside. What lies in it belongs to whoever made the image
 * and ran the container: every path is resolved by the kernel as if the root were `/`, symbolic links included, and
 * nothing outside of it can be reached (invariants S04, S05, S14).
 */

export interface RootEntry {
  readonly kind: "file" | "directory" | "symlink" | "other";
  /** Permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes. */
  readonly size: number;
}

/** All that there is to say about a file, but its content. */
export interface RootFileFacts {
  /** `st_mode`: type and permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  /** Nanoseconds since the epoch. */
  readonly modTime: bigint;
  /** Of a symbolic link; otherwise empty. */
  readonly linkname: string;
  readonly devmajor: number;
  readonly devminor: number;
}

export interface RootFiles {
  /**
   * The content of a regular file, or undefined if there is none.
   * @throws InvalidParameterError if it is no regular file or larger than `limit` bytes
   */
  readFile(root: string, path: string, limit: number): Promise<Uint8Array | undefined>;
  /** What is at a path; of a symbolic link at its end only the link with `follow: false`. Undefined if nothing is. */
  stat(root: string, path: string, options?: { follow?: boolean }): Promise<RootEntry | undefined>;
  /**
   * Makes a directory and those above it, as `mkdir -p` inside of the container would. What is there stays as it is.
   * @throws InvalidParameterError if something that is no directory is in the way
   */
  makeDirectory(
    root: string,
    path: string,
    owner: { readonly uid: number; readonly gid: number; readonly mode: number },
  ): Promise<void>;
  /**
   * Notes what will be missing for something to be mounted on: the paths at which nothing is, and those above them.
   * Give it back to `removeStubs` when the mounts are gone.
   */
  missing(root: string, paths: readonly string[]): Promise<readonly string[]>;
  /** What is at a path; of a symbolic link at its end the link. Undefined if nothing is. */
  describe(root: string, path: string): Promise<RootFileFacts | undefined>;
  /** What is in a directory, by name; undefined if there is none. */
  readDirectory(
    root: string,
    path: string,
  ): Promise<readonly (RootFileFacts & { readonly name: string })[] | undefined>;
  /** Removes what was made there meanwhile if it is empty; the directories around it keep their times. */
  removeStubs(root: string, missing: readonly string[]): Promise<void>;
  /**
   * Where a path leads, without links; undefined if nothing is there, `outside` if it leads out of the root.
   */
  resolve(root: string, path: string): Promise<{ readonly path: string } | "outside" | undefined>;
  /**
   * Makes what something is to be mounted on: the directory or the file, with the directories above, links resolved
   * and made where they lead nowhere. What is there stays as it is.
   * @param mode of the directory, if it is made; 0755 unless given
   * @returns the path in the root by which no link is passed
   * @throws InvalidParameterError if it is of the other kind
   */
  makeMountTarget(root: string, path: string, kind: "directory" | "file", mode?: number): Promise<string>;
}
