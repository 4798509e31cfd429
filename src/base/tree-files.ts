/**
 * What the tree helper (`gantry internal container-files`) is asked and what it answers: packing a tree into a tar archive
 * and unpacking one, beneath a root, by descriptor. The request is the one argument; the root is descriptor 3, unless
 * one is to be put together first. Answers are lines of JSON: to `stat` and `read` one with the stat on stdout, and behind
 * that of `read` the archive; a failure is the last line of stderr. The client uses it for its own side of `cp`.
 */

export interface TreeStat {
  readonly name: string;
  readonly size: number;
  /** As Go's `io/fs` has it. */
  readonly mode: number;
  readonly mtime: string;
  readonly linkTarget: string;
}

export interface TreeMount {
  readonly source: string;
  readonly destination: string;
  readonly readOnly: boolean;
  readonly recursive: boolean;
}

export interface TreeWriteOptions {
  readonly noOverwriteDirNonDir: boolean;
  /** Who is to own everything; undefined: who the archive says. */
  readonly owner?: { readonly uid: number; readonly gid: number } | undefined;
  /** Everything is to belong to this process, whatever the archive says. */
  readonly keepOwner?: boolean;
  readonly readOnlyRoot: boolean;
  readonly mounts: readonly { readonly destination: string; readonly rw: boolean }[];
  /** The first occurrence in each name is replaced. */
  readonly rename?: { readonly from: string; readonly to: string };
}

export interface TreeRequest {
  /** The caller's process id: the helper ends with it. */
  readonly parent: number;
  /** Undefined: the root is descriptor 3. */
  readonly stopped: { readonly rootfs: string; readonly mounts: readonly TreeMount[] } | undefined;
  readonly task:
    | { readonly kind: "stat"; readonly path: string }
    /** `as`: its name in the archive. */
    | { readonly kind: "read"; readonly path: string; readonly as?: string }
    | { readonly kind: "read-all" }
    | { readonly kind: "write"; readonly path: string; readonly options: TreeWriteOptions }
    /** An archive from stdin to stdout, its names changed. */
    | { readonly kind: "rename"; readonly from: string; readonly to: string };
}

export interface TreeStatAnswer {
  readonly stat: TreeStat;
}

/** `not-found`: nothing is at the path · `invalid`: the request's or the archive's fault · `no-space` · `system`. */
export interface TreeFailure {
  readonly reason: "not-found" | "not-a-directory" | "invalid" | "no-space" | "system";
  readonly message: string;
}

export const TREE_ROOT_DESCRIPTOR = 3;
