/** What the registry's use cases stand on. Put together once, in the role. */
import type { BlobDigest, RegistryBytes } from "../../core/registry-bytes.ts";
import type { SqlDatabase } from "../../core/sql.ts";
import type { Visibility } from "./store/repositories.ts";

export interface RegistryDeps {
  readonly database: SqlDatabase;
  readonly bytes: RegistryBytes;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  readonly policy: RegistryPolicy;
  readonly events: RegistryEvents;
}

/** Times in milliseconds, sizes in bytes. */
export interface RegistryPolicy {
  /** How long a blob that no manifest names is kept: a push may take its time. */
  readonly uploadGrace: number;
  /** How long after a deletion the bytes may still be asked for. */
  readonly deleteGrace: number;
  /** How long an upload may rest. */
  readonly uploadLife: number;
  readonly largestBlob: number;
  /** Of repositories that a push makes. */
  readonly visibility: Visibility;
  readonly deletion: boolean;
}

export const DEFAULT_POLICY: RegistryPolicy = {
  uploadGrace: 24 * 3600_000,
  deleteGrace: 3600_000,
  uploadLife: 24 * 3600_000,
  largestBlob: 2 ** 40,
  visibility: "private",
  deletion: true,
};

export type RegistryAction = "push" | "pull" | "mount" | "delete";

/** Something happened that others may want to know. */
export interface RegistryEvent {
  readonly action: RegistryAction;
  readonly repository: string;
  readonly target: "manifest" | "blob" | "tag" | "repository";
  readonly digest?: BlobDigest;
  readonly tag?: string;
  readonly mediaType?: string;
  readonly size?: number;
  readonly fromRepository?: string;
  /** Undefined for whoever said nothing. */
  readonly account: string | undefined;
}

export interface RegistryEvents {
  publish(event: RegistryEvent): void;
}
