/** What the unpack helper and the daemon tell each other: the request as one argument, answers as lines of JSON on stdout. */

export interface HelperRequest {
  readonly blob: string;
  /** Not checked if undefined. */
  readonly diffId: string | undefined;
  readonly into: string;
  /** The daemon's process id: the helper ends with it. */
  readonly parent: number;
}

export type HelperAnswer =
  /** Bytes of the blob that were read so far. */
  | { readonly kind: "progress"; readonly current: number }
  | { readonly kind: "done"; readonly size: number; readonly entries: number }
  /** `invalid`: the archive's fault · `no-space` · `system`: the host's. */
  | { readonly kind: "failed"; readonly reason: "invalid" | "no-space" | "system"; readonly message: string };
