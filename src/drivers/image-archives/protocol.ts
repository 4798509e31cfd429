/** What the archive helper and the daemon tell each other: the request as one argument, answers as lines of JSON on stdout. */
import type { BlobInfo } from "../../core/content.ts";

export interface ReadRequest {
  /** An empty directory. */
  readonly into: string;
  /** The daemon's process id: the helper ends with it. */
  readonly parent: number;
}

export type ReadAnswer =
  | { readonly kind: "file"; readonly name: string; readonly path: string; readonly blob: BlobInfo }
  | { readonly kind: "link"; readonly name: string; readonly target: string }
  | { readonly kind: "done" }
  | { readonly kind: "failed"; readonly reason: "invalid" | "no-space" | "system"; readonly message: string };
