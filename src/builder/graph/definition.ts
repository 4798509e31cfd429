/** A whole definition: vertices by digest, what is known beside them, and where in a source file each comes from. */
import type { Digest } from "../../core/ids.ts";
import type { Edge, Op, OpMetadata } from "./ops.ts";

export interface Definition {
  /** Every vertex that `result` needs. */
  readonly ops: ReadonlyMap<Digest, Op>;
  /** The bytes that the digests are of: what travels, and is never encoded again. */
  readonly encoded: ReadonlyMap<Digest, Uint8Array>;
  readonly metadata: ReadonlyMap<Digest, OpMetadata>;
  /** Undefined: an empty file system. */
  readonly result: Edge | undefined;
  readonly source: DefinitionSource;
}

export interface DefinitionSource {
  readonly infos: readonly SourceInfo[];
  readonly locations: ReadonlyMap<Digest, readonly SourceLocation[]>;
}

export interface SourceInfo {
  readonly filename: string;
  readonly data: Uint8Array;
  /** `Dockerfile` */
  readonly language: string;
  /** What the file itself was taken from. */
  readonly definition?: Definition;
}

export interface SourceLocation {
  /** Into `DefinitionSource.infos`. */
  readonly sourceIndex: number;
  readonly ranges: readonly SourceRange[];
}

/** Lines count from 1. */
export interface SourceRange {
  readonly start: SourcePosition;
  readonly end: SourcePosition;
}

export interface SourcePosition {
  readonly line: number;
  readonly character: number;
}

export const EMPTY_DEFINITION: Definition = {
  ops: new Map(),
  encoded: new Map(),
  metadata: new Map(),
  result: undefined,
  source: { infos: [], locations: new Map() },
};
