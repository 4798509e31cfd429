/**
 * Images: pulling, listing, naming, removing. One object for the API's handlers and for containers, which see the
 * part of it that `ContainerImages` names.
 */
import type { ImageSummary } from "../../api/types.ts";
import { KeyedLock } from "../../base/keyed-lock.ts";
import type { BuildImages } from "../../core/build-images.ts";
import type { ContentStore, Descriptor } from "../../core/content.ts";
import { ForbiddenError, InvalidParameterError, NotFoundError } from "../../core/errors.ts";
import type { EventSink } from "../../core/events.ts";
import type { Digest } from "../../core/ids.ts";
import type {
  CommittedImage,
  ContainerImages,
  ImageConfig,
  ImageDefaults,
  ResolvedImage,
} from "../../core/image.ts";
import type { ArchiveReader } from "../../core/image-archives.ts";
import type { LayerCompressor, LayerUnpacker } from "../../core/layers.ts";
import { formatPlatform, parseManifest, parsePlatform, platformMatches } from "../../core/manifests.ts";
import {
  canonicalString,
  familiarString,
  parseReference,
  type Reference,
  withDefaultTag,
} from "../../core/references.ts";
import type { Credentials, FoundRepository, Registry, SearchOptions } from "../../core/registry.ts";
import type { Snapshotter } from "../../core/snapshots.ts";
import type { StateStore } from "../../core/state.ts";
import { loadImages } from "./archive/load.ts";
import { saveImages } from "./archive/save.ts";
import type { ChangeConfig } from "./changes.ts";
import { addCommitted } from "./commit.ts";
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
import type { Filters } from "./filters.ts";
import { ImagesForBuilds } from "./for-builds.ts";
import { type ImportRequest, importImage } from "./import.ts";
import type { LayerParts } from "./layers.ts";
import { parseNewName } from "./names.ts";
import { Packer } from "./pack.ts";
import type { ProgressMessage } from "./progress.ts";
import { Puller } from "./pull.ts";
import { Pusher } from "./push.ts";
import { type RemovedItem, removeImage } from "./remove.ts";
import { type ImageRecord, ImageStore } from "./store.ts";
import { type PrunedImages, Upkeep } from "./upkeep.ts";

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
  readonly maxConcurrentUploads: number;
  readonly archives: ArchiveReader;
  readonly compressor: LayerCompressor;
  readonly changeConfig: ChangeConfig;
}

export interface PullOptions {
  /** `linux/arm64`; undefined: the host's. */
  readonly platform?: string | undefined;
  readonly credentials?: Credentials | undefined;
  readonly signal: AbortSignal;
}

export class Images implements ContainerImages {
  readonly #deps: ImagesDeps;
  readonly #store: ImageStore;
  readonly #parts: ImagesDeps & LayerParts & { readonly packer: Packer };
  readonly #puller: Puller;
  readonly #pusher: Pusher;
  readonly #upkeep: Upkeep;

  constructor(deps: ImagesDeps) {
    this.#deps = deps;
    const store = new ImageStore(deps);
    this.#store = store;
    const packer = new Packer({ ...deps, store });
    this.#parts = { ...deps, store, packer, layerLocks: new KeyedLock() };
    this.#puller = new Puller(this.#parts);
    this.#pusher = new Pusher(this.#parts);
    this.#upkeep = new Upkeep(this.#parts);
  }

  limitDownloads(most: number): void {
    this.#puller.limitDownloads(most);
  }

  /** An image, for a platform if one is named: the name may lead to images for several. @throws NotFoundError */
  #find(reference: string, platform?: string): ImageRecord {
    const image = this.#store.get(reference);
    if (platform === undefined || platform === "") return image;
    const wanted = parsePlatform(platform);
    const fitting = this.#store
      .variantsNamed(reference)
      .find(({ config }) => platformMatches(wanted, config));
    if (fitting) return fitting;
    throw new NotFoundError(
      `image with reference ${reference} was found but its platform (${formatPlatform(image.config)}) does not match the specified platform (${formatPlatform(wanted)})`,
      { subject: reference },
    );
  }

  resolve(reference: string, platform?: string): ResolvedImage {
    const image = this.#find(reference, platform);
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

  /**
   * Pushes under a name; without a tag all of them. Fails at the first step of the iteration if there is nothing to push.
   * @throws NotFoundError, InvalidParameterError
   */
  push(
    name: string,
    { platform, credentials, signal }: PullOptions,
  ): AsyncGenerator<ProgressMessage, void, undefined> {
    return this.#pusher.push({
      name,
      ...(platform ? { platform: parsePlatform(platform) } : {}),
      ...(credentials ? { credentials } : {}),
      signal,
    });
  }

  /** The images as a tar archive. The first step of the iteration fails if one cannot be had. @throws NotFoundError */
  save(
    names: readonly string[],
    { platform, signal }: { platform?: string | undefined; signal: AbortSignal },
  ): AsyncGenerator<Uint8Array> {
    return saveImages(this.#parts, {
      names,
      ...(platform ? { platform: parsePlatform(platform) } : {}),
      signal,
    });
  }

  /** Reads an archive of images, compressed or not. */
  load(
    input: AsyncIterable<Uint8Array>,
    { platform, quiet, signal }: { platform?: string | undefined; quiet: boolean; signal: AbortSignal },
  ): AsyncGenerator<ProgressMessage, void, undefined> {
    return loadImages(this.#parts, {
      input,
      quiet,
      ...(platform ? { platform: parsePlatform(platform) } : {}),
      signal,
    });
  }

  /** Makes an image of the tree in an archive. @throws InvalidParameterError */
  import(
    request: Omit<ImportRequest, "platform" | "reference"> & {
      platform?: string;
      repository: string;
      tag: string;
    },
  ): AsyncGenerator<ProgressMessage, void, undefined> {
    const { platform, repository, tag, ...rest } = request;
    const reference = parseNewName(repository, tag);
    return importImage(this.#parts, {
      ...rest,
      ...(reference ? { reference } : {}),
      ...(platform ? { platform: parsePlatform(platform) } : {}),
    });
  }

  changeConfig(config: ImageDefaults, instructions: readonly string[]): ImageDefaults {
    return this.#deps.changeConfig(config, instructions);
  }

  addCommitted(image: CommittedImage): Promise<Digest> {
    return addCommitted(this.#parts, image);
  }

  list(options: ListImagesOptions): ImageSummary[] {
    return listImages(this.#store, this.#deps.usersOf, options);
  }

  /** @throws NotFoundError */
  inspect(name: string, options: { manifests?: boolean; platform?: string } = {}): DescribedImage {
    return inspectImage(this.#find(name, options.platform), {
      store: this.#store,
      snapshots: this.#deps.snapshots,
      usersOf: this.#deps.usersOf,
      manifests: options.manifests ?? false,
    });
  }

  /** @throws NotFoundError */
  history(name: string, platform?: string): HistoryEntry[] {
    return imageHistory(this.#find(name, platform), this.#store);
  }

  /** Layers that stay although no image has them: set once by the daemon's composition root. */
  layersKeptBy(keeps: (chainId: Digest) => boolean): void {
    this.#store.keptByOthers = keeps;
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
    const reference = parseNewName(repository, tagName, () => this.#store.get(name));
    const image = this.#store.get(name);
    if (!reference) throw new InvalidParameterError("repository name must have at least one component");
    this.#store.add(
      { ...image, lastTagged: new Date().toISOString() },
      new Map([[canonicalString(reference), this.#store.targetOf(name, image)]]),
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
    return await removeImage(this.#upkeep.removal(), name, options.force);
  }

  prune(filters: Filters, signal: AbortSignal): Promise<PrunedImages> {
    return this.#upkeep.prune(filters, signal);
  }

  hold(imageId: Digest): Disposable {
    return this.#upkeep.hold(imageId);
  }

  released(imageId: Digest): Promise<void> {
    return this.#upkeep.released(imageId);
  }

  /** Bytes that all images take on disk: layers, each once, and what they came in. */
  diskSize(signal: AbortSignal): Promise<number> {
    return this.#upkeep.diskSize(signal);
  }

  /**
   * Repositories of a registry by a part of their names: `term`, or `registry.example/term`.
   * @throws InvalidParameterError; NotFoundError if the registry has no search
   */
  search(term: string, options: SearchOptions): Promise<FoundRepository[]> {
    return this.#deps.registry.search(term, options);
  }

  /** For the snapshotter's reconciliation at boot: the layers that are not to be thrown away. */
  layers(): ReadonlySet<Digest> {
    return this.#store.layers();
  }

  /** Boot, after containers are known and the snapshotter was reconciled. */
  recover(): Promise<void> {
    return this.#upkeep.recover();
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
}

/** Written as this one word. */
function isOfficial({ domain, path }: Reference, name: string): boolean {
  return domain === "docker.io" && path === `library/${name}`;
}

export function createImages(deps: ImagesDeps): Images {
  return new Images(deps);
}
