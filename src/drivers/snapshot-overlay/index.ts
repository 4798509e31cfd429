/**
 * Snapshots on overlayfs: one directory for each layer, stacked by the kernel.
 *
 *     <dataRoot>/layers/<hex of chain id>/diff     the layer's own tree
 *     <dataRoot>/layers/<hex of chain id>/parent   link to `../<hex of the parent>`; absent at the bottom
 *     <dataRoot>/layers/.staging-*, .removed-*     being made, being deleted: thrown away at boot
 *     <dataRoot>/snapshots/<key>/diff, work        the writable top of one container
 *     <dataRoot>/layers/<hex of chain id>/init     between it and the containers on it (`init-layer.ts`)
 *     <dataRoot>/snapshots/<key>/init              link to that one; a directory without layers; absent without it
 *     <dataRoot>/snapshots/<key>/top               link to its highest layer; absent without layers
 *     <execRoot>/rootfs/<key>                      where it is mounted
 *
 * What a directory needs to know is kept in links, not files: they are part of the same journal as the directories
 * themselves, so no crash leaves one without the other.
 *
 * Calls that return at once (mkdir, mount) are made synchronously; walking and deleting trees is not.
 */
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmdirSync,
  statSync,
  symlinkSync,
} from "node:fs";
import { rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { syncDirectory } from "../../base/durable.ts";
import { hasCode } from "../../base/error-codes.ts";
import { log } from "../../base/log.ts";
import { Semaphore } from "../../base/semaphore.ts";
import type { EnginePaths } from "../../core/config.ts";
import { chainIdOf, hexOf } from "../../core/digests.ts";
import { ConflictError, NotFoundError, SystemError } from "../../core/errors.ts";
import type { Digest } from "../../core/ids.ts";
import type {
  CommitOptions,
  CommittedLayer,
  LayerCompression,
  LayerStaging,
  MountedRoot,
  PackedLayer,
  SnapshotChange,
  Snapshotter,
  SnapshotUsage,
} from "../../core/snapshots.ts";
import { bindMount, MS, mount, mountPoints, unmount } from "../../linux/mounts.ts";
import { copyTree } from "./copy-tree.ts";
import { archiveDiff, listChanges, type OverlayTop } from "./diff/index.ts";
import { ensureInitLayer } from "./init-layer.ts";
import { mountLayers } from "./mount-layers.ts";
import { SyncGroup } from "./sync-group.ts";
import { treeUsage } from "./tree-usage.ts";

/** So many trees are walked at a time. */
const MEASUREMENTS = 4;

/** Layers and writable tops as directories, put together by overlayfs. */
export class OverlaySnapshotter implements Snapshotter, AsyncDisposable {
  readonly name = "overlay2";
  readonly #layers: string;
  readonly #snapshots: string;
  readonly #mountPoints: string;
  /** How many `MountedRoot`s are held of each key. */
  readonly #held = new Map<string, number>();
  readonly #sync = new SyncGroup();
  /** Of layers that were measured: they never change. */
  readonly #layerUsages = new Map<Digest, SnapshotUsage>();
  readonly #measurements = new Semaphore(MEASUREMENTS);

  private constructor(paths: Pick<EnginePaths, "dataRoot" | "execRoot">) {
    this.#layers = join(paths.dataRoot, "layers");
    this.#snapshots = join(paths.dataRoot, "snapshots");
    this.#mountPoints = join(paths.execRoot, "rootfs");
  }

  /** Makes the directories, and the place of the mount points private: no other mount namespace gets a copy of a root. */
  static open(paths: Pick<EnginePaths, "dataRoot" | "execRoot">): OverlaySnapshotter {
    const snapshotter = new OverlaySnapshotter(paths);
    for (const directory of [snapshotter.#layers, snapshotter.#snapshots, snapshotter.#mountPoints]) {
      mkdirSync(directory, { recursive: true, mode: 0o710 });
    }
    snapshotter.#ownPropagation();
    return snapshotter;
  }

  #ownPropagation(): void {
    if (!mountPoints().includes(this.#mountPoints)) bindMount(this.#mountPoints, this.#mountPoints);
    mount({ source: "none", target: this.#mountPoints, flags: MS.PRIVATE });
  }

  async has(chainId: Digest): Promise<boolean> {
    return existsSync(this.#layer(chainId));
  }

  async stageLayer(chainId: Digest, parent: Digest | undefined): Promise<LayerStaging> {
    const staging = this.#stage(hexOf(chainId).slice(0, 12), parent);
    return {
      path: staging.path,
      commit: () => staging.commitAs(chainId),
      [Symbol.asyncDispose]: () => staging[Symbol.asyncDispose](),
    };
  }

  #stage(
    label: string,
    parent: Digest | undefined,
  ): AsyncDisposable & { readonly path: string; commitAs(chainId: Digest): Promise<void> } {
    const staging = join(this.#layers, `.staging-${label}-${randomBytes(6).toString("hex")}`);
    const path = join(staging, "diff");
    mkdirSync(staging, { mode: 0o710 });
    mkdirSync(path, { mode: 0o755 });
    if (parent !== undefined) symlinkSync(`../${hexOf(parent)}`, join(staging, "parent"));
    let committed = false;
    return {
      path,
      commitAs: async (chainId) => {
        await this.#sync.wait(staging);
        committed = renameUnlessThere(staging, this.#layer(chainId));
        try {
          await syncDirectory(this.#layers);
        } catch (error) {
          // It may not be there after a power loss: nobody is to build on it.
          if (committed) await this.removeLayer(chainId);
          throw error;
        }
      },
      [Symbol.asyncDispose]: async () => {
        if (!committed) await rm(staging, { recursive: true, force: true });
      },
    };
  }

  async removeLayer(chainId: Digest): Promise<void> {
    this.#layerUsages.delete(chainId);
    await this.#discard(this.#layer(chainId), this.#layers);
  }

  async layerUsage(chainId: Digest, signal: AbortSignal): Promise<SnapshotUsage> {
    const layer = this.#layer(chainId);
    if (!existsSync(layer)) throw new NotFoundError(`layer does not exist: ${chainId}`, { subject: chainId });
    const usage = this.#layerUsages.get(chainId) ?? (await this.#measure(layer, signal));
    this.#layerUsages.set(chainId, usage);
    return usage;
  }

  async #measure(directory: string, signal: AbortSignal): Promise<SnapshotUsage> {
    using _turn = await this.#measurements.acquire(signal);
    return await treeUsage(join(directory, "diff"), signal);
  }

  async prepare(
    key: string,
    layers: readonly Digest[],
    { mountPoints = false }: { readonly mountPoints?: boolean } = {},
  ): Promise<void> {
    const directory = this.#snapshot(key);
    const top = layers.at(-1);
    const root = top === undefined ? undefined : this.#rootOf(top);
    try {
      mkdirSync(directory, { mode: 0o710 });
    } catch (error) {
      if (!hasCode(error, "EEXIST")) throw error;
      throw new ConflictError(`snapshot ${key} already exists`, { subject: key, cause: error });
    }
    // The root directory of the container is the upper one's: it looks as the highest layer says.
    mkdirSync(join(directory, "diff"));
    chmodSync(join(directory, "diff"), root ? root.mode & 0o7777 : 0o755);
    if (root && (root.uid !== 0 || root.gid !== 0)) chownSync(join(directory, "diff"), root.uid, root.gid);
    mkdirSync(join(directory, "work"), { mode: 0o700 });
    if (top === undefined) mkdirSync(join(directory, "empty"), { mode: 0o755 });
    else symlinkSync(`../../layers/${hexOf(top)}`, join(directory, "top"));
    if (mountPoints) this.#addInitLayer(directory, top);
  }

  #addInitLayer(directory: string, top: Digest | undefined): void {
    const link = join(directory, "init");
    if (top === undefined) {
      ensureInitLayer(link, []);
      return;
    }
    ensureInitLayer(join(this.#layer(top), "init"), this.#directoriesFrom(findLink(join(directory, "top"))));
    symlinkSync(`../../layers/${hexOf(top)}/init`, link);
  }

  #rootOf(chainId: Digest): { mode: number; uid: number; gid: number } {
    const found = statSync(join(this.#layer(chainId), "diff"), { throwIfNoEntry: false });
    if (!found) throw new NotFoundError(`layer does not exist: ${chainId}`, { subject: chainId });
    return found;
  }

  async mount(key: string): Promise<MountedRoot> {
    const path = this.#mountPoint(key);
    if (!this.#held.has(key) && !this.#isMounted(key)) this.#mountOverlay(key, path);
    this.#held.set(key, (this.#held.get(key) ?? 0) + 1);
    let held = true;
    return {
      path,
      [Symbol.asyncDispose]: async () => {
        if (!held) return;
        held = false;
        this.#release(key);
      },
    };
  }

  #mountOverlay(key: string, path: string): void {
    const directory = this.#snapshot(key);
    if (!existsSync(directory)) throw new NotFoundError(`snapshot ${key} does not exist`, { subject: key });
    const lower = this.#lowerDirectories(directory);
    mkdirSync(path, { recursive: true, mode: 0o755 });
    try {
      mountLayers({ lower, upper: join(directory, "diff"), work: join(directory, "work"), target: path });
    } catch (error) {
      rmdirSync(path);
      throw new SystemError(`error creating overlay mount to ${path}: ${(error as Error).message}`, {
        subject: key,
        cause: error,
      });
    }
  }

  /** Highest first, as overlayfs wants them. */
  #lowerDirectories(directory: string): string[] {
    const directories = [
      ...this.#initLayerOf(directory),
      ...this.#directoriesFrom(findLink(join(directory, "top"))),
    ];
    return directories.length > 0 ? directories : [join(directory, "empty")];
  }

  #initLayerOf(directory: string): string[] {
    const init = join(directory, "init");
    return existsSync(init) ? [realpathSync(init)] : [];
  }

  #directoriesFrom(highest: string | undefined): string[] {
    const directories: string[] = [];
    let link = highest;
    while (link !== undefined) {
      const layer = join(this.#layers, basename(link));
      directories.push(join(layer, "diff"));
      link = findLink(join(layer, "parent"));
    }
    return directories;
  }

  #release(key: string): void {
    const left = (this.#held.get(key) ?? 1) - 1;
    if (left > 0) {
      this.#held.set(key, left);
      return;
    }
    this.#held.delete(key);
    this.#unmount(key);
  }

  /** An overlay is a device of its own: its root differs from the directory around it. */
  #isMounted(key: string): boolean {
    const found = statSync(this.#mountPoint(key), { throwIfNoEntry: false });
    return found !== undefined && found.dev !== statSync(this.#mountPoints).dev;
  }

  #unmount(key: string): void {
    const path = this.#mountPoint(key);
    while (unmount(path, { lazy: true }));
    try {
      rmdirSync(path);
    } catch (error) {
      if (!hasCode(error, "ENOENT")) throw error;
    }
  }

  describe(
    key: string,
    layers: readonly Digest[],
  ): Readonly<Record<"LowerDir" | "MergedDir" | "UpperDir" | "WorkDir", string>> {
    const directory = this.#snapshot(key);
    return {
      LowerDir: [
        ...this.#initLayerOf(directory),
        ...layers.map((layer) => join(this.#layer(layer), "diff")).reverse(),
      ].join(":"),
      MergedDir: this.#mountPoint(key),
      UpperDir: join(directory, "diff"),
      WorkDir: join(directory, "work"),
    };
  }

  async usage(key: string, signal: AbortSignal): Promise<SnapshotUsage> {
    const directory = this.#snapshot(key);
    if (!existsSync(directory)) throw new NotFoundError(`snapshot ${key} does not exist`, { subject: key });
    return await this.#measure(directory, signal);
  }

  async changes(key: string, signal: AbortSignal): Promise<SnapshotChange[]> {
    return await listChanges(this.#topOf(this.#existing(key)), signal);
  }

  async commit(key: string, options: CommitOptions): Promise<CommittedLayer> {
    const directory = this.#existing(key);
    if (!options.keep && (this.#held.has(key) || this.#isMounted(key))) {
      throw new ConflictError(`snapshot ${key} is mounted`, { subject: key });
    }
    const parent = findLink(join(directory, "top"));
    const parentId = parent === undefined ? undefined : chainIdOfName(basename(parent));
    await using staging = this.#stage(key, parentId);
    if (options.keep) {
      await copyTree(join(directory, "diff"), staging.path, options.signal);
      await options.onCopied?.();
    }
    const upper = options.keep ? staging.path : join(directory, "diff");
    // Not over the mount points of containers: `packLayer` will have the layers alone, and must find the same.
    const lower = this.#directoriesFrom(parent);
    const { diffId, size, entries } = await archiveDiff({ upper, lower }, { signal: options.signal });
    if (!options.keep) {
      rmdirSync(staging.path);
      renameSync(upper, staging.path);
    }
    const chainId = chainIdOver(parentId, diffId);
    await staging.commitAs(chainId);
    if (!options.keep) await this.remove(key);
    return { chainId, diffId, size, entries };
  }

  async restack(
    layer: { readonly chainId: Digest; readonly diffId: Digest },
    parent: Digest | undefined,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<Digest> {
    const chainId = chainIdOver(parent, layer.diffId);
    if (await this.has(chainId)) return chainId;
    const source = this.#layer(layer.chainId);
    if (!existsSync(source)) {
      throw new NotFoundError(`layer does not exist: ${layer.chainId}`, { subject: layer.chainId });
    }
    await using staging = this.#stage(hexOf(chainId).slice(0, 12), parent);
    await copyTree(join(source, "diff"), staging.path, signal, { link: true });
    await staging.commitAs(chainId);
    return chainId;
  }

  async packLayer(
    chainId: Digest,
    { file, compression, signal }: { file: string; compression: LayerCompression; signal: AbortSignal },
  ): Promise<PackedLayer> {
    const layer = this.#layer(chainId);
    if (!existsSync(layer)) throw new NotFoundError(`layer does not exist: ${chainId}`, { subject: chainId });
    const top = { upper: join(layer, "diff"), lower: this.#directoriesFrom(findLink(join(layer, "parent"))) };
    const { diffId, blob } = await archiveDiff(top, { output: { file, compression }, signal });
    if (!blob) throw new SystemError(`packing layer ${chainId} gave no archive`, { subject: chainId });
    return { diffId, ...blob };
  }

  #existing(key: string): string {
    const directory = this.#snapshot(key);
    if (!existsSync(directory)) throw new NotFoundError(`snapshot ${key} does not exist`, { subject: key });
    return directory;
  }

  #topOf(directory: string): OverlayTop {
    return { upper: join(directory, "diff"), lower: this.#lowerDirectories(directory) };
  }

  async remove(key: string): Promise<void> {
    this.#held.delete(key);
    if (existsSync(this.#mountPoint(key))) this.#unmount(key);
    try {
      await this.#discard(this.#snapshot(key), this.#snapshots);
    } catch (error) {
      // The new name needs a block, on a full disk: whoever removes a snapshot has written that down, half of one hurts nobody.
      if (!hasCode(error, "ENOSPC") && !hasCode(error, "EDQUOT")) throw error;
      await rm(this.#snapshot(key), { recursive: true, force: true });
    }
  }

  /** Takes the name away at once, then deletes. What a crash leaves is found by its name at boot. */
  async #discard(path: string, parent: string): Promise<void> {
    const removed = takeNameAway(path, parent);
    if (removed !== undefined) await rm(removed, { recursive: true, force: true });
  }

  async reconcile(owned: {
    keys: ReadonlySet<string>;
    mounted: ReadonlySet<string>;
    layers: ReadonlySet<Digest>;
  }): Promise<void> {
    for (const key of readdirSync(this.#mountPoints)) {
      if (!owned.mounted.has(key)) this.#unmount(key);
    }
    const layers = new Set([...owned.layers].map(hexOf));
    await Promise.all([
      this.#removeUnowned(this.#snapshots, owned.keys),
      this.#removeUnowned(this.#layers, layers),
    ]);
  }

  /** All names are taken away before the first await: what is half deleted is nobody's snapshot or layer. */
  async #removeUnowned(directory: string, owned: ReadonlySet<string>): Promise<void> {
    const doomed = readdirSync(directory).filter((name) => !owned.has(name));
    const removed = doomed.map((name) => {
      log("info", "removing what no one owns", { directory, name });
      return takeNameAway(join(directory, name), directory);
    });
    for (const path of removed) {
      if (path === undefined) continue;
      await rm(path, { recursive: true, force: true }).catch((error) =>
        log("error", "what no one owns could not be removed; the next boot tries again", { path, error }),
      );
    }
  }

  /** The daemon ends. Roots that are mounted stay, they belong to running containers. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (readdirSync(this.#mountPoints).length === 0) unmount(this.#mountPoints);
  }

  #layer(chainId: Digest): string {
    return join(this.#layers, hexOf(chainId));
  }

  #snapshot(key: string): string {
    return join(this.#snapshots, checkedKey(key));
  }

  #mountPoint(key: string): string {
    return join(this.#mountPoints, checkedKey(key));
  }
}

function chainIdOver(parent: Digest | undefined, diffId: Digest): Digest {
  return parent === undefined ? diffId : chainIdOf([parent, diffId]);
}

function chainIdOfName(hex: string): Digest {
  return `sha256:${hex}` as Digest;
}

/** Where it is to be deleted; undefined if it is not there. */
function takeNameAway(path: string, parent: string): string | undefined {
  const removed = join(parent, `.removed-${randomBytes(8).toString("hex")}`);
  try {
    renameSync(path, removed);
    return removed;
  } catch (error) {
    if (hasCode(error, "ENOENT")) return undefined;
    throw error;
  }
}

/** False if the target is there already: another caller committed the same layer first. */
function renameUnlessThere(from: string, to: string): boolean {
  try {
    renameSync(from, to);
    return true;
  } catch (error) {
    if (hasCode(error, "ENOTEMPTY", "EEXIST")) return false;
    throw error;
  }
}

function findLink(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch (error) {
    if (hasCode(error, "ENOENT")) return undefined;
    throw error;
  }
}

/** A key becomes a file name: it must be one. */
function checkedKey(key: string): string {
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(key))
    throw new SystemError(`not a snapshot key: ${JSON.stringify(key)}`);
  return key;
}
