/** Images as the API shows them: list, inspect, history. Reads only. */
import type { ImageInspect, ImageSummary } from "../../api/types.ts";
import type { Descriptor } from "../../core/content.ts";
import type { Digest } from "../../core/ids.ts";
import { familiarString, type Reference } from "../../core/references.ts";
import type { Snapshotter } from "../../core/snapshots.ts";
import { createdAt, type Filters, imageFilter, referenceFilter } from "./filters.ts";
import { type ImageRecord, type ImageStore, sizeOf } from "./store.ts";

export interface ImageUser {
  readonly id: string;
  readonly running: boolean;
  readonly name: string;
}

export type FindUsers = (imageId: Digest) => readonly ImageUser[];

export interface ListImagesOptions {
  /** Also steps of builds: images without a name that others were made from. */
  readonly all?: boolean;
  readonly filters: Filters;
  /** Compute `SharedSize`, otherwise -1. */
  readonly sharedSize: boolean;
  readonly manifests: boolean;
}

/** Newest first. */
export function listImages(
  store: ImageStore,
  usersOf: FindUsers,
  options: ListImagesOptions,
): ImageSummary[] {
  const parents = options.all ? new Set<Digest>() : store.parents();
  return store
    .list()
    .filter((image) => !parents.has(image.id) || store.referencesTo(image.id).length > 0)
    .filter((image) => !store.isVariant(image))
    .filter(imageFilter(options.filters, store))
    .sort((a, b) => createdAt(b) - createdAt(a))
    .map((image) => {
      const users = usersOf(image.id);
      return {
        Id: image.id,
        ParentId: image.parent ?? "",
        ...namesOf(image, store, referenceFilter(options.filters)),
        Created: Math.floor(createdAt(image) / 1000),
        Size: sizeOf(image),
        SharedSize: options.sharedSize ? sharedSizeOf(image, store) : -1,
        Labels: { ...image.config.config?.Labels },
        ...(image.manifest ? { Descriptor: toDescriptor(image.manifest) } : {}),
        Containers: users.length,
        ...(options.manifests ? { Manifests: manifestSummaries(image, store, usersOf) } : {}),
      };
    });
}

function namesOf(
  image: ImageRecord,
  store: ImageStore,
  shown: (reference: Reference) => boolean = () => true,
): { RepoTags: string[]; RepoDigests: string[] } {
  const references = store.referencesTo(image.id).filter(shown);
  return {
    RepoTags: references.filter((reference) => reference.tag !== undefined).map(familiarString),
    RepoDigests: references.filter((reference) => reference.digest !== undefined).map(familiarString),
  };
}

function sharedSizeOf(image: ImageRecord, store: ImageStore): number {
  return image.layers.reduce((sum, layer) => sum + (store.layerUsers(layer.chainId) > 1 ? layer.size : 0), 0);
}

type ManifestSummary = NonNullable<ImageSummary["Manifests"]>[number];

/** None of an image that was made here and that nobody wanted as a manifest yet. */
function manifestSummaries(image: ImageRecord, store: ImageStore, usersOf: FindUsers): ManifestSummary[] {
  return store
    .shownWith(image)
    .flatMap((each) => (each.manifest ? [manifestSummary(each, each.manifest, usersOf(each.id))] : []));
}

function manifestSummary(
  image: ImageRecord,
  manifest: Descriptor,
  users: readonly ImageUser[],
): ManifestSummary {
  const content = image.layers.reduce(
    (sum, layer) => sum + (layer.blob?.size ?? 0),
    manifest.size + image.configDescriptor.size,
  );
  const unpacked = sizeOf(image);
  const { os, architecture, variant } = image.config;
  return {
    ID: manifest.digest,
    Descriptor: toDescriptor(manifest),
    Available: true,
    Size: { Content: content, Total: content + unpacked },
    Kind: "image",
    ImageData: {
      Platform: { os, architecture, ...(variant ? { variant } : {}) },
      Containers: users.map((user) => user.id),
      Size: { Unpacked: unpacked },
    },
  };
}

function toDescriptor({ mediaType, digest, size }: Descriptor): {
  mediaType: string;
  digest: string;
  size: number;
} {
  return { mediaType, digest, size };
}

/** With what was shown to clients before API 1.45 besides. */
export interface DescribedImage extends ImageInspect {
  readonly Container: string;
  readonly ContainerConfig: NonNullable<ImageInspect["Config"]>;
}

/** What inspect shows; the handler leaves out what the request's API version does not have. */
export function inspectImage(
  image: ImageRecord,
  parts: { store: ImageStore; snapshots: Snapshotter; usersOf: FindUsers; manifests: boolean },
): DescribedImage {
  const { config } = image;
  const [latest] = [...(config.history ?? [])].reverse();
  return {
    Id: image.id,
    ...namesOf(image, parts.store),
    Parent: image.parent ?? "",
    Comment: latest?.comment ?? "",
    ...(config.created ? { Created: config.created } : {}),
    DockerVersion: String(config.docker_version ?? ""),
    Author: config.author ?? "",
    Config: { ...config.config },
    Container: config.container ?? "",
    ContainerConfig: { ...config.container_config },
    Architecture: config.architecture,
    ...(config.variant ? { Variant: config.variant } : {}),
    Os: config.os,
    ...(config["os.version"] ? { OsVersion: config["os.version"] } : {}),
    Size: sizeOf(image),
    GraphDriver: { Name: parts.snapshots.name, Data: graphData(image, parts.snapshots) },
    RootFS: { Type: "layers", Layers: image.layers.map((layer) => layer.diffId) },
    Metadata: { LastTagTime: image.lastTagged },
    ...(image.manifest ? { Descriptor: toDescriptor(image.manifest) } : {}),
    ...(parts.manifests ? { Manifests: manifestSummaries(image, parts.store, parts.usersOf) } : {}),
  } as DescribedImage;
}

/** The highest layer is what `docker inspect` calls upper; an image has no merged and no work directory. */
function graphData(image: ImageRecord, snapshots: Snapshotter): Record<string, string> {
  const layers = image.layers.map((layer) => layer.chainId);
  const [upper, ...lower] = snapshots.describe("image", layers).LowerDir.split(":");
  return {
    ...(upper ? { UpperDir: upper } : {}),
    ...(lower.length > 0 ? { LowerDir: lower.join(":") } : {}),
  };
}

export interface HistoryEntry {
  readonly Id: string;
  /** Seconds since the epoch. */
  readonly Created: number;
  readonly CreatedBy: string;
  readonly Tags: string[] | null;
  readonly Size: number;
  readonly Comment: string;
}

/** Newest first. Only the image itself has an id: the steps before it were made elsewhere. */
export function imageHistory(image: ImageRecord, store: ImageStore): HistoryEntry[] {
  const sizes = image.layers.map((layer) => layer.size);
  const steps = image.config.history ?? [];
  const entries = steps.map((step) => ({
    Created: Math.floor((Date.parse(step.created ?? "") || 0) / 1000),
    CreatedBy: step.created_by ?? "",
    Size: step.empty_layer ? 0 : (sizes.shift() ?? 0),
    Comment: step.comment ?? "",
  }));
  // Some images have no history, or not of all layers.
  for (const size of sizes) entries.push({ Created: 0, CreatedBy: "", Size: size, Comment: "" });
  return entries.reverse().map((entry, index) => ({
    Id: index === 0 ? image.id : "<missing>",
    Tags: index === 0 ? namesOf(image, store).RepoTags : null,
    ...entry,
  }));
}
