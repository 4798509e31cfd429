/**
 * Port: file-system snapshots. *Committed* snapshots are read-only layers, named by chain id; *active* ones are
 * a writable top, named by its key: a container's id, or any name that whoever prepared it answers for at boot
 * (`reconcile`). A committed one has at most one parent.
 */
import type { Digest } from "./ids.ts";

export interface SnapshotUsage {
  /** Bytes on disk of this snapshot alone, without its parents. */
  readonly size: number;
  readonly inodes: number;
  /** Bytes that the file system gave for it, directories and half-filled blocks included. */
  readonly allocated: number;
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

/** One line of `docker diff`. */
export interface SnapshotChange {
  readonly kind: "added" | "modified" | "deleted";
  /** Absolute, as in the container. */
  readonly path: string;
}

/** A layer that was made here. */
export interface CommittedLayer {
  readonly chainId: Digest;
  /** Of the layer's archive: a lexical walk with whiteouts, the same bytes for the same content. */
  readonly diffId: Digest;
  /** Bytes of its files. */
  readonly size: number;
  /** Of the archive; 0 if nothing had changed. */
  readonly entries: number;
}

export interface CommitOptions {
  /** True: the active one stays as it is, and the layer is made from a copy. False: it turns into the layer, and its key is free. */
  readonly keep: boolean;
  /** What was to be kept is copied: who writes to the active one may go on. Called once, before anything else may fail. */
  readonly onCopied?: () => Promise<void>;
  readonly signal: AbortSignal;
}

export type LayerCompression = "none" | "gzip" | "zstd";

/** The archive of a layer as a file. */
export interface PackedLayer {
  readonly diffId: Digest;
  /** Of the file. */
  readonly digest: Digest;
  readonly size: number;
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

  /**
   * Makes the writable top `key` over the layers, lowest first. Cheap: directories only.
   * @param options.mountPoints what every container has mounted has its place in a layer between: empty files for hosts and
   *   the like in place of whatever the image has, that are no changes of the container's
   * @throws ConflictError
   */
  prepare(
    key: string,
    layers: readonly Digest[],
    options?: { readonly mountPoints?: boolean },
  ): Promise<void>;
  /** Mounts an active snapshot; a second call while it is mounted gives the same path. */
  mount(key: string): Promise<MountedRoot>;
  /** The path it is or would be mounted at, and the directories behind it, for inspect's `GraphDriver.Data`. */
  describe(
    key: string,
    layers: readonly Digest[],
  ): Readonly<Record<"LowerDir" | "MergedDir" | "UpperDir" | "WorkDir", string>>;
  usage(key: string, signal: AbortSignal): Promise<SnapshotUsage>;
  /** What an active one, mounted or not, changed of the layers below; in lexical order. @throws NotFoundError */
  changes(key: string, signal: AbortSignal): Promise<SnapshotChange[]>;
  /**
   * Makes a durable layer of what an active one changed, over the layers it was prepared with. Its archive is hashed and
   * not stored: `packLayer` writes it when somebody wants it. Idempotent if another caller committed the same layer first.
   * @throws NotFoundError; ConflictError if it is mounted and not to be kept; NoSpaceError
   */
  commit(key: string, options: CommitOptions): Promise<CommittedLayer>;
  /**
   * Writes the archive of a layer that was made by `commit`, into a file that is there or is made. The same layer gives the
   * same bytes, whenever and wherever. Of a layer that was unpacked it gives another archive than the one it came from.
   * @throws NotFoundError, NoSpaceError
   */
  packLayer(
    chainId: Digest,
    options: {
      readonly file: string;
      readonly compression: LayerCompression;
      readonly signal: AbortSignal;
    },
  ): Promise<PackedLayer>;
  /**
   * The same layer over another parent, durable; files are shared with the one that it is made from. Idempotent.
   * @returns its chain id @throws NotFoundError
   */
  restack(
    layer: { readonly chainId: Digest; readonly diffId: Digest },
    parent: Digest | undefined,
    options: { readonly signal: AbortSignal },
  ): Promise<Digest>;
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
