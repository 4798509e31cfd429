/**
 * What the helper process and the daemon tell each other. The request is the one argument; the root of a running container
 * is descriptor 3. Answers are lines of JSON: to `stat` and `read` one with the stat on stdout, and behind that of `read`
 * the archive; a failure is the last line of stderr.
 */
import type { PathStat, ViewMount, WriteFilesOptions } from "../../core/container-files.ts";

export interface FilesRequest {
  /** The daemon's process id: the helper ends with it. */
  readonly parent: number;
  /** Undefined: a running one, whose root is descriptor 3. */
  readonly stopped: { readonly rootfs: string; readonly mounts: readonly ViewMount[] } | undefined;
  readonly task:
    | { readonly kind: "stat"; readonly path: string }
    | { readonly kind: "read"; readonly path: string }
    | { readonly kind: "read-all" }
    | { readonly kind: "write"; readonly path: string; readonly options: WriteFilesOptions };
}

export interface StatAnswer {
  readonly stat: PathStat;
}

/** `not-found`: nothing is at the path · `invalid`: the request's or the archive's fault · `no-space` · `system`. */
export interface FilesFailure {
  readonly reason: "not-found" | "invalid" | "no-space" | "system";
  readonly message: string;
}

export const ROOT_DESCRIPTOR = 3;
