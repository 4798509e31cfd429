/**
 * Port: file-system snapshots. *Committed* snapshots are read-only layers, named by chain id; *active* ones are
 * the writable top of one container, named by its key (the container id). A committed one has at most one parent.
 */
import type { Digest } from "./ids.ts";

export interface SnapshotUsage {
  /** Bytes on disk of this snapshot alone, without its parents. */
  readonly size: number;
  readonly inodes: number;
}

/** A root file system that is mounted. Disposing unmounts it (lazily, if something holds it). Idempotent. */
export interface MountedRoot extends AsyncDisposable {
  /** Absolute path on the host. */
  readonly path: string;
}

/** The staging place of a layer that is being unpacked. */
export interface LayerStaging extends AsyncDisposable {
  /** The empty directory that the layer's own tree goes into, in overlayfs form (whiteouts as 0/0 devices, opaque xattr). */
  readonly path: string;
  /** syncfs → rename → fsync of the parent; idempotent if another caller committed the same chain id first. */
  commit(): Promise<void>;
}

export interface Snapshotter {
  /** `overlay2`, as `/info` and inspect's `GraphDriver` name it. */
  readonly name: string;
  has(chainId: Digest): Promise<boolean>;
  /** A layer whose parent need not be there yet: layers of an image unpack in parallel. */
  stageLayer(chainId: Digest, parent: Digest | undefined): Promise<LayerStaging>;
  /** The name is free when the call returns; the promise settles when everything is deleted. Absent is fine. */
  removeLayer(chainId: Digest): Promise<void>;
  layerUsage(chainId: Digest, signal: AbortSignal): Promise<SnapshotUsage>;

  /** Makes the writable top `key` over the layers, lowest first. Cheap: directories only. @throws ConflictError */
  prepare(key: string, layers: readonly Digest[]): Promise<void>;
  /** Mounts an active snapshot; a second call while it is mounted gives the same path. */
  mount(key: string): Promise<MountedRoot>;
  /** The path it is or would be mounted at, and the directories behind it, for inspect's `GraphDriver.Data`. */
  describe(
    key: string,
    layers: readonly Digest[],
  ): Readonly<Record<"LowerDir" | "MergedDir" | "UpperDir" | "WorkDir", string>>;
  usage(key: string, signal: AbortSignal): Promise<SnapshotUsage>;
  /** Unmounts and deletes; absent is fine. */
  remove(key: string): Promise<void>;

  /**
   * Boot: throws staging away and removes every active snapshot, mount and layer that no owner claims. Their names are
   * free when it returns its promise; the deleting may go on for long, and what cannot be deleted is left for the next.
   */
  reconcile(owned: {
    keys: ReadonlySet<string>;
    mounted: ReadonlySet<string>;
    layers: ReadonlySet<Digest>;
  }): Promise<void>;
}
