/**
 * Images: pulling, listing, naming, removing. One object for the API's handlers and for containers, which see the
 * part of it that `ContainerImages` names.
 */
import type { ImageSummary } from "../../api/types.ts";
import { log } from "../../base/log.ts";
import type { BuildImages } from "../../core/build-images.ts";
import type { ContentStore, Descriptor } from "../../core/content.ts";
import { ForbiddenError, InvalidParameterError, NotFoundError } from "../../core/errors.ts";
import type { EventSink } from "../../core/events.ts";
import type { Digest } from "../../core/ids.ts";
import type { ContainerImages, ImageConfig, ResolvedImage } from "../../core/image.ts";
import type { LayerUnpacker } from "../../core/layers.ts";
import { formatPlatform, parseManifest, parsePlatform, platformMatches } from "../../core/manifests.ts";
import {
  canonicalString,
  familiarString,
  parseReference,
  type Reference,
  withDefaultTag,
  withTag,
} from "../../core/references.ts";
import type { Credentials, Registry } from "../../core/registry.ts";
import type { Snapshotter } from "../../core/snapshots.ts";
import type { StateStore } from "../../core/state.ts";
import {
  type DescribedImage,
  type FindUsers,
  type HistoryEntry,
  imageHistory,
  inspectImage,
  type ListImagesOptions,
  listImages,
} from "./describe.ts";
import { fetchConfig } from "./download.ts";
import { type Filters, flagFilter, imageFilter } from "./filters.ts";
import { ImagesForBuilds } from "./for-builds.ts";
import type { ProgressMessage } from "./progress.ts";
import { Puller, UNFINISHED_LIFETIME_MS } from "./pull.ts";
import { deleteImage, type RemovedItem, removeImage, untagSpareNames } from "./remove.ts";
import { type ImageRecord, ImageStore, type ReferenceRecord, sizeOf } from "./store.ts";

export type { DescribedImage } from "./describe.ts";
export { LIST_FILTERS, PRUNE_FILTERS } from "./filters.ts";
export type { ProgressMessage } from "./progress.ts";

export interface ImagesDeps {
  readonly state: StateStore;
  readonly content: ContentStore;
  readonly snapshots: Snapshotter;
  readonly unpacker: LayerUnpacker;
  readonly registry: Registry;
  readonly events: EventSink;
  /** The containers that use an image: it cannot be removed from under them. */
  readonly usersOf: FindUsers;
  readonly maxConcurrentDownloads: number;
}

export interface PullOptions {
  /** `linux/arm64`; undefined: the host's. */
  readonly platform?: string | undefined;
  readonly credentials?: Credentials | undefined;
  readonly signal: AbortSignal;
}

export interface PrunedImages {
  readonly ImagesDeleted: RemovedItem[];
  /** Bytes. */
  readonly SpaceReclaimed: number;
}

export class Images implements ContainerImages {
  readonly #deps: ImagesDeps;
  readonly #store: ImageStore;
  readonly #puller: Puller;
  /** Images that containers are being made of, and how many. */
  readonly #held = new Map<Digest, number>();

  constructor(deps: ImagesDeps) {
    this.#deps = deps;
    this.#store = new ImageStore(deps);
    this.#puller = new Puller({ ...deps, store: this.#store });
  }

  limitDownloads(most: number): void {
    this.#puller.limitDownloads(most);
  }

  resolve(reference: string, platform?: string): ResolvedImage {
    const image = this.#store.get(reference);
    if (platform !== undefined && platform !== "") {
      const wanted = parsePlatform(platform);
      if (!platformMatches(wanted, image.config)) {
        throw new NotFoundError(
          `image with reference ${reference} was found but its platform (${formatPlatform(image.config)}) does not match the specified platform (${formatPlatform(wanted)})`,
          { subject: reference },
        );
      }
    }
    return {
      id: image.id,
      ...(image.manifest ? { manifest: image.manifest } : {}),
      config: image.config,
      layers: image.layers.map((layer) => layer.chainId),
    };
  }

  /** For containers whose image may be gone from the lists meanwhile. */
  findConfig(id: Digest): ImageConfig | undefined {
    return this.#store.findById(id)?.config ?? this.#store.hidden().find((image) => image.id === id)?.config;
  }

  /**
   * Pulls, reporting progress. The first step of the iteration fails if the image cannot be had at all.
   * @param name without tag and digest all tags are pulled
   * @throws InvalidParameterError; ForbiddenError for the name that means no image at all
   */
  pull(
    name: string,
    { platform, credentials, signal }: PullOptions,
  ): AsyncGenerator<ProgressMessage, void, undefined> {
    const reference = parseReference(name);
    if (isOfficial(reference, "scratch")) throw new ForbiddenError("'scratch' is a reserved name");
    return this.#puller.pull({
      reference,
      ...(platform ? { platform: parsePlatform(platform) } : {}),
      ...(credentials ? { credentials } : {}),
      signal,
    });
  }

  list(options: ListImagesOptions): ImageSummary[] {
    return listImages(this.#store, this.#deps.usersOf, options);
  }

  /** @throws NotFoundError */
  inspect(name: string, options: { manifests?: boolean; platform?: string } = {}): DescribedImage {
    this.resolve(name, options.platform);
    return inspectImage(this.#store.get(name), {
      store: this.#store,
      snapshots: this.#deps.snapshots,
      usersOf: this.#deps.usersOf,
      manifests: options.manifests ?? false,
    });
  }

  /** @throws NotFoundError */
  history(name: string): HistoryEntry[] {
    return imageHistory(this.#store.get(name), this.#store);
  }

  /** What builders read and make of images. */
  forBuilds(): BuildImages {
    return new ImagesForBuilds({ images: this, store: this.#store, content: this.#deps.content });
  }

  /**
   * Gives an image one more name; one that another image had moves.
   * @throws NotFoundError; InvalidParameterError
   */
  tag(name: string, repository: string, tagName: string): void {
    const parsed = parseReference(repository);
    if (isOfficial(parsed, "sha256")) {
      throw new InvalidParameterError("refusing to create an ambiguous tag using digest algorithm as name");
    }
    const image = this.#store.get(name);
    if (parsed.digest !== undefined) {
      throw new InvalidParameterError("refusing to create a tag with a digest reference", {
        subject: repository,
      });
    }
    const reference = withDefaultTag(tagName === "" ? parsed : withTag(parsed, tagName));
    this.#store.add(
      { ...image, lastTagged: new Date().toISOString() },
      new Map([[canonicalString(reference), nameOf(image)]]),
    );
    this.#deps.events.publish({
      type: "image",
      action: "tag",
      actor: {
        id: image.id,
        attributes: { ...image.config.config?.Labels, name: familiarString(reference) },
      },
    });
  }

  /** @throws NotFoundError, also when it is for another platform; ConflictError */
  async remove(
    name: string,
    options: { force: boolean; platform?: string | undefined },
  ): Promise<RemovedItem[]> {
    this.resolve(name, options.platform);
    return await removeImage(this.#removal(), name, options.force);
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
      if (!matches(image)) continue;
      if (this.#isInUse(image.id)) {
        removed.push(...(await untagSpareNames(this.#removal(), image)));
        continue;
      }
      const before = removed.length;
      await deleteImage(this.#removal(), image, removed);
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

  /** Bytes of all layers, each counted once, as `system df` shows them. */
  layersSize(): number {
    const layers = [...this.#store.list(), ...this.#store.hidden()].flatMap((image) => image.layers);
    const sizes = new Map(layers.map(({ chainId, size }) => [chainId, size]));
    return [...sizes.values()].reduce((sum, size) => sum + size, 0);
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

  /** For the snapshotter's reconciliation at boot: the layers that are not to be thrown away. */
  layers(): ReadonlySet<Digest> {
    return this.#store.layers();
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

  /** `GET /distribution/{name}/json`: what a registry has under a name, without pulling it. */
  async describeDistribution(
    name: string,
    options: { credentials?: Credentials | undefined; signal: AbortSignal },
  ): Promise<{
    Descriptor: Descriptor;
    Platforms: { os: string; architecture: string; variant?: string }[];
  }> {
    const reference = withDefaultTag(parseReference(name));
    const { descriptor, bytes } = await this.#deps.registry.fetchManifest(reference, options);
    const parsed = parseManifest(bytes, descriptor.mediaType);
    const Descriptor = { ...descriptor, mediaType: parsed.mediaType };
    if (parsed.kind === "index") {
      return {
        Descriptor,
        Platforms: parsed.manifests.flatMap(({ platform }) => (platform ? [platform] : [])),
      };
    }
    const { os, architecture, variant } = await fetchConfig(this.#deps, reference, parsed.config, options);
    return { Descriptor, Platforms: [{ os, architecture, ...(variant ? { variant } : {}) }] };
  }

  #removal() {
    return {
      store: this.#store,
      usersOf: this.#deps.usersOf,
      isInUse: (id: Digest) => this.#isInUse(id),
      events: this.#deps.events,
    };
  }
}

/** Of a new name: it leads to what the image has, and to its manifest as soon as there is one. */
function nameOf({ id, manifest }: ImageRecord): ReferenceRecord {
  return { id, ...(manifest ? { target: manifest } : {}) };
}

/** Written as this one word. */
function isOfficial({ domain, path }: Reference, name: string): boolean {
  return domain === "docker.io" && path === `library/${name}`;
}

export function createImages(deps: ImagesDeps): Images {
  return new Images(deps);
}
