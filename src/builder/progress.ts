/**
 * Progress of a build as facts, in the shape of `control.StatusResponse`: whoever shows them (plain lines, a terminal,
 * a gRPC stream, the classic stream) gets the same.
 */
import type { Digest } from "../core/ids.ts";
import type { BuildWarning } from "./frontend.ts";
import type { ProgressGroup } from "./graph/ops.ts";

/** Times are nanoseconds since the epoch. */
export interface VertexFact {
  readonly digest: Digest;
  readonly inputs: readonly Digest[];
  readonly name: string;
  readonly cached: boolean;
  readonly started: bigint | undefined;
  readonly completed: bigint | undefined;
  /** Empty: none. */
  readonly error: string;
  readonly progressGroup?: ProgressGroup | undefined;
}

export interface VertexStatusFact {
  readonly id: string;
  readonly vertex: Digest;
  readonly name: string;
  readonly current: number;
  readonly total: number;
  readonly timestamp: bigint;
  readonly started: bigint | undefined;
  readonly completed: bigint | undefined;
}

export interface VertexLogFact {
  readonly vertex: Digest;
  readonly timestamp: bigint;
  readonly stream: "stdout" | "stderr";
  readonly bytes: Uint8Array;
}

export type ProgressFact =
  | { readonly type: "vertex"; readonly vertex: VertexFact }
  | { readonly type: "status"; readonly status: VertexStatusFact }
  | { readonly type: "log"; readonly log: VertexLogFact }
  | { readonly type: "warning"; readonly warning: BuildWarning };

export type ProgressSink = (fact: ProgressFact) => void;
