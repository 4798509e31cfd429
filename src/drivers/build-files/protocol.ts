/** What the file worker and the daemon tell each other: requests and answers as lines of JSON, matched by id. */
import type { ContentSelector, FileAction, RootPath, TreeEntry } from "../../core/build-files.ts";

export type WorkRequest =
  | {
      readonly id: number;
      readonly kind: "apply";
      readonly root: RootPath;
      readonly actions: readonly FileAction[];
    }
  | {
      readonly id: number;
      readonly kind: "digest";
      readonly root: RootPath;
      readonly selectors: readonly ContentSelector[];
    };

export type WorkAnswer =
  | { readonly id: number; readonly kind: "done"; readonly digest?: string }
  | {
      readonly id: number;
      readonly kind: "failed";
      readonly reason: FailureReason;
      readonly message: string;
    };

/** The request of `internal fill-tree`, its only argument. The archive or the transfer comes on standard input. */
export interface FillRequest {
  readonly root: RootPath;
  readonly parent: number;
  /** Where digests of the files' contents are kept; absent: nowhere. */
  readonly index?: string;
  readonly task:
    | {
        readonly kind: "unpack";
        readonly compression: Compression;
        readonly owner: { readonly uid: number; readonly gid: number } | "keep";
        /** The directory need not be empty. */
        readonly merge: boolean;
      }
    | { readonly kind: "receive" };
}

export type FillAnswer =
  /** Indexes of entries whose content is to be sent: the answer to each batch of entries. */
  | { readonly kind: "wanted"; readonly indexes: readonly number[] }
  | { readonly kind: "filled"; readonly entries: number; readonly size: number }
  | { readonly kind: "failed"; readonly reason: FailureReason; readonly message: string };

export type FailureReason = "invalid" | "not-found" | "no-space" | "system";

/**
 * A transfer on standard input: frames of a type, the length of what follows (32 bits, little endian), and that.
 * `entries`: JSON · `data`: the entry's index (32 bits) and bytes · `end`: the index · `finish`: nothing.
 */
export const FRAME = { entries: 1, data: 2, end: 3, finish: 4 } as const;
export const FRAME_HEADER = 5;

/** A TreeEntry as it travels: paths and links are byte strings. */
export interface WireEntry extends Omit<TreeEntry, "mtime"> {
  readonly mtime: string;
}

export type Compression = "none" | "gzip" | "bzip2" | "xz" | "zstd";

/** By the first six bytes. */
export function compressionOf(start: Uint8Array): Compression {
  const hex = Buffer.from(start.subarray(0, 6)).toString("hex");
  if (hex.startsWith("1f8b")) return "gzip";
  if (hex.startsWith("425a68")) return "bzip2";
  if (hex.startsWith("fd377a585a00")) return "xz";
  if (hex.startsWith("28b52ffd")) return "zstd";
  return "none";
}
