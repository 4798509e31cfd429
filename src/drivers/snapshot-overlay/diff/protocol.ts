/** What the diff helper and the daemon tell each other: the request as one argument, answers as lines of JSON on stdout. */
import type { Digest } from "../../../core/ids.ts";
import type { LayerCompression, SnapshotChange } from "../../../core/snapshots.ts";

export interface DiffRequest {
  readonly upper: string;
  /** Highest first. */
  readonly lower: readonly string[];
  /** The daemon's process id: the helper ends with it. */
  readonly parent: number;
  /** `list`: tell what differs. `archive`: hash the layer's archive, and write it if there is an `output`. */
  readonly task:
    | { readonly kind: "list" }
    | {
        readonly kind: "archive";
        readonly output?: { readonly file: string; readonly compression: LayerCompression };
      };
}

export type DiffAnswer =
  | { readonly kind: "changes"; readonly changes: readonly SnapshotChange[] }
  | { readonly kind: "listed" }
  | {
      readonly kind: "archived";
      /** Digest of the archive, not compressed. */
      readonly diffId: Digest;
      /** Bytes of the files in it. */
      readonly size: number;
      readonly entries: number;
      /** Of the output, as it was written. */
      readonly blob?: { readonly digest: Digest; readonly size: number };
    }
  | { readonly kind: "failed"; readonly reason: "no-space" | "system"; readonly message: string };
