/**
 * The upkeep of images: what is in use, what nobody needs any more, and what boot and prune throw away.
 */
import { log } from "../../base/log.ts";
import type { ContentStore } from "../../core/content.ts";
import type { EventSink } from "../../core/events.ts";
import type { Digest } from "../../core/ids.ts";
import type { Snapshotter } from "../../core/snapshots.ts";
import type { FindUsers } from "./describe.ts";
import { type Filters, flagFilter, imageFilter } from "./filters.ts";
import { UNFINISHED_LIFETIME_MS } from "./pull.ts";
import { deleteImage, type RemovalParts, type RemovedItem, untagSpareNames } from "./remove.ts";
import { type ImageStore, sizeOf } from "./store.ts";

/** File systems give files whole blocks of this size. */
const DISK_BLOCK = 4096;

export interface UpkeepParts {
  readonly store: ImageStore;
  readonly content: ContentStore;
  readonly snapshots: Snapshotter;
  readonly events: EventSink;
  readonly usersOf: FindUsers;
}

export interface PrunedImages {
  readonly ImagesDeleted: RemovedItem[];
  /** Bytes. */
  readonly SpaceReclaimed: number;
}

export class Upkeep {
  readonly #deps: UpkeepParts;
  readonly #store: ImageStore;
  /** Images that containers are being made of, and how many. */
  readonly #held = new Map<Digest, number>();

  constructor(parts: UpkeepParts) {
    this.#deps = parts;
    this.#store = parts.store;
  }

  /** Removes images without a name, or with `dangling=false` all that no container uses; and content left of pulls. */
  async prune(filters: Filters, signal: AbortSignal): Promise<PrunedImages> {
    const onlyDangling = flagFilter(filters, "dangling") ?? true;
    const rest = new Map([...filters].filter(([name]) => name !== "dangling"));
    const matches = imageFilter(rest, this.#store);
    const removed: RemovedItem[] = [];
    let reclaimed = await this.#collectHidden();
    for (const image of this.#store.list()) {
      signal.throwIfAborted();
      // Steps of builds go with what was built of them; one that went already is not there any more.
      if (this.#store.childrenOf(image.id).length > 0 || !this.#store.findById(image.id)) continue;
      if (onlyDangling && this.#store.referencesTo(image.id).some((reference) => reference.tag !== undefined))
        continue;
      if (onlyDangling && this.#store.isVariant(image)) continue;
      if (!matches(image)) continue;
      if (this.#isInUse(image.id)) {
        removed.push(...(await untagSpareNames(this.removal(), image)));
        continue;
      }
      const before = removed.length;
      await deleteImage(this.removal(), image, removed);
      const layers = new Set(
        removed.slice(before).flatMap((item) => ("Deleted" in item ? [item.Deleted] : [])),
      );
      for (const layer of image.layers) if (layers.has(layer.chainId)) reclaimed += layer.size;
    }
    // Also what the next pull could continue with: it may be what filled the disk.
    reclaimed += await this.#deps.content.expireIngests(Number.POSITIVE_INFINITY);
    reclaimed += await this.#store.collectBlobs(Date.now());
    this.#deps.events.publish({
      type: "image",
      action: "prune",
      actor: { id: "", attributes: { reclaimed: String(reclaimed) } },
    });
    return { ImagesDeleted: removed, SpaceReclaimed: reclaimed };
  }

  hold(imageId: Digest): Disposable {
    this.#held.set(imageId, (this.#held.get(imageId) ?? 0) + 1);
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (!held) return;
        held = false;
        const left = (this.#held.get(imageId) ?? 1) - 1;
        if (left > 0) this.#held.set(imageId, left);
        else this.#held.delete(imageId);
        void this.released(imageId);
      },
    };
  }

  #isInUse(imageId: Digest): boolean {
    return this.#held.has(imageId) || this.#deps.usersOf(imageId).length > 0;
  }

  /** A container is gone: what was deleted by force while it used it can go now. */
  async released(imageId: Digest): Promise<void> {
    const image = this.#store.hidden().find((candidate) => candidate.id === imageId);
    if (!image || this.#isInUse(imageId)) return;
    try {
      await this.#store.remove(image, { inUse: false });
    } catch (error) {
      log("warn", "a deleted image could not be collected; boot and prune try again", {
        image: imageId,
        error,
      });
    }
  }

  async #collectHidden(): Promise<number> {
    let freed = 0;
    for (const image of this.#store.hidden()) {
      if (this.#isInUse(image.id)) continue;
      await this.#store.remove(image, { inUse: false });
      freed += sizeOf(image);
    }
    return freed;
  }

  /**
   * Boot, after containers are known and the snapshotter was reconciled: throws away what no image and no container
   * has any more, and downloads that no one continued for a day.
   */
  async recover(): Promise<void> {
    await this.#collectHidden();
    const before = Date.now() - UNFINISHED_LIFETIME_MS;
    const freed = (await this.#deps.content.expireIngests(before)) + (await this.#store.collectBlobs(before));
    if (freed > 0) log("info", "removed content of unfinished pulls", { bytes: freed });
    for (const image of this.#store.list()) {
      for (const layer of image.layers) {
        if (await this.#deps.snapshots.has(layer.chainId)) continue;
        log("warn", "a layer is missing on disk, pull the image again", {
          image: image.id,
          layer: layer.chainId,
        });
      }
    }
  }

  /** Layers as the file system holds them, each once, and all content. */
  async diskSize(signal: AbortSignal): Promise<number> {
    const { snapshots, content } = this.#deps;
    let total = 0;
    for (const chainId of this.#store.layers()) {
      // One that is lost takes nothing; boot says so.
      if (!(await snapshots.has(chainId))) continue;
      total += (await snapshots.layerUsage(chainId, signal)).allocated;
    }
    for await (const { size } of content.list()) total += Math.ceil(size / DISK_BLOCK) * DISK_BLOCK;
    return total;
  }

  /** What removing images needs. */
  removal(): RemovalParts {
    return {
      store: this.#store,
      usersOf: this.#deps.usersOf,
      isInUse: (id: Digest) => this.#isInUse(id),
      events: this.#deps.events,
    };
  }
}
