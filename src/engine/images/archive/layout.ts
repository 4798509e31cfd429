/**
 * What an archive of images says about itself: an OCI layout (`index.json`), a docker-archive (`manifest.json`), or both
 * in one, as current Dockers write. Pure but for reading documents.
 */
import type { Descriptor } from "../../../core/content.ts";
import { isDigest } from "../../../core/digests.ts";
import { InvalidParameterError } from "../../../core/errors.ts";
import type { Digest } from "../../../core/ids.ts";
import { type ImageIndex, type ImageManifest, parseManifest } from "../../../core/manifests.ts";
import {
  parseCanonicalReference,
  parseReference,
  type Reference,
  withDefaultTag,
} from "../../../core/references.ts";

/** An image of an archive, as far as its documents tell. */
export interface ArchivedImage {
  /** Digest of its configuration. */
  readonly config: Descriptor;
  /** Lowest first. */
  readonly layers: readonly Descriptor[];
  /** Absent in a docker-archive. */
  readonly manifest?: Descriptor;
  /** Digests of manifest and indexes that lead to it. */
  readonly documents: readonly Digest[];
  readonly names: readonly { readonly reference: Reference; readonly target?: Descriptor }[];
}

/** The files of an archive by digest and by name, links followed. */
export interface ArchiveFiles {
  /** Digest and size of a file; undefined if there is none of that name. */
  find(name: string): { readonly digest: Digest; readonly size: number } | undefined;
  has(digest: Digest): boolean;
  /** A document. @throws InvalidParameterError if it is too large */
  read(digest: Digest): Promise<Uint8Array>;
}

/** @throws InvalidParameterError if it is no archive of images */
export async function readLayout(files: ArchiveFiles): Promise<ArchivedImage[]> {
  const index = files.find("index.json");
  const list = files.find("manifest.json");
  if (!index && !list) {
    throw new InvalidParameterError("invalid archive: does not contain a manifest.json or an index.json");
  }
  const archived = list ? await readManifestList(files, list.digest) : [];
  if (!index) return archived;
  const images = await readIndex(files, index.digest);
  return merge(images, archived);
}

/** Names that only `manifest.json` knows, and images that only it lists. */
function merge(images: ArchivedImage[], archived: readonly ArchivedImage[]): ArchivedImage[] {
  const byConfig = new Map(images.map((image) => [image.config.digest, image]));
  for (const other of archived) {
    const same = byConfig.get(other.config.digest);
    if (!same) byConfig.set(other.config.digest, other);
    else if (same.names.length === 0) byConfig.set(same.config.digest, { ...same, names: other.names });
  }
  return [...byConfig.values()];
}

async function readIndex(files: ArchiveFiles, digest: Digest): Promise<ArchivedImage[]> {
  const parsed = parseManifest(await files.read(digest), "");
  if (parsed.kind !== "index") throw new InvalidParameterError("invalid archive: index.json is not an index");
  const images = new Map<Digest, ArchivedImage>();
  for (const entry of parsed.manifests) {
    const reference = nameOf(entry);
    for (const image of await follow(files, entry, [])) {
      const before = images.get(image.config.digest);
      const names = [...(before?.names ?? []), ...(reference ? [{ reference, target: plain(entry) }] : [])];
      images.set(image.config.digest, { ...image, names });
    }
  }
  return [...images.values()];
}

const DEEPEST_INDEX = 4;

/** All images that a descriptor leads to and that are whole in the archive. */
async function follow(
  files: ArchiveFiles,
  descriptor: Descriptor,
  path: readonly Digest[],
): Promise<ArchivedImage[]> {
  if (!files.has(descriptor.digest)) return [];
  const documents = [...path, descriptor.digest];
  const parsed = parseManifest(await files.read(descriptor.digest), descriptor.mediaType);
  if (parsed.kind === "manifest") return fromManifest(files, parsed, descriptor, documents);
  if (documents.length > DEEPEST_INDEX) throw new InvalidParameterError("indexes are nested too deeply");
  const images = await Promise.all(imagesOf(parsed).map((entry) => follow(files, entry, documents)));
  return images.flat();
}

/** Attestations and the like are not images. */
function imagesOf({ manifests }: ImageIndex): Descriptor[] {
  return manifests.filter(({ annotations }) => annotations?.["vnd.docker.reference.type"] === undefined);
}

function fromManifest(
  files: ArchiveFiles,
  manifest: ImageManifest,
  descriptor: Descriptor,
  documents: readonly Digest[],
): ArchivedImage[] {
  const { config, layers, mediaType } = manifest;
  if (![config, ...layers].every(({ digest }) => files.has(digest))) return [];
  // Docker's own archives have manifests over plain layers, made up for the archive: no registry knows them.
  const madeUp = layers.length > 0 && layers.every((layer) => /\.tar$/.test(layer.mediaType));
  return [
    {
      config,
      layers,
      ...(madeUp ? {} : { manifest: { ...plain(descriptor), mediaType } }),
      documents: madeUp ? [] : documents,
      names: [],
    },
  ];
}

/** `io.containerd.image.name` is whole; `ref.name` may be a whole name or only a tag, which names nothing. */
function nameOf({ annotations = {} }: Descriptor): Reference | undefined {
  const whole = annotations["io.containerd.image.name"];
  if (whole) return withDefaultTag(parseCanonicalReference(whole));
  const name = annotations["org.opencontainers.image.ref.name"];
  if (!name || !/[:/]/.test(name)) return undefined;
  return withDefaultTag(parseReference(name));
}

async function readManifestList(files: ArchiveFiles, digest: Digest): Promise<ArchivedImage[]> {
  const text = new TextDecoder().decode(await files.read(digest));
  let entries: unknown;
  try {
    entries = JSON.parse(text);
  } catch (error) {
    throw new InvalidParameterError(`invalid archive: manifest.json is not JSON: ${String(error)}`);
  }
  if (!Array.isArray(entries))
    throw new InvalidParameterError("invalid archive: manifest.json is not a list");
  return entries.map((entry: unknown) => fromListEntry(files, entry));
}

function fromListEntry(files: ArchiveFiles, value: unknown): ArchivedImage {
  const entry = (typeof value === "object" && value !== null ? value : {}) as Record<string, unknown>;
  const { Config, Layers, RepoTags, LayerSources } = entry;
  const layers = Array.isArray(Layers) ? Layers : [];
  const sources =
    typeof LayerSources === "object" && LayerSources !== null ? Object.values(LayerSources) : [];
  const types = new Map(
    sources.map((source: { digest?: string; mediaType?: string }) => [source?.digest, source?.mediaType]),
  );
  return {
    config: { mediaType: "application/vnd.docker.container.image.v1+json", ...fileOf(files, Config) },
    layers: layers.map((name: unknown) => {
      const file = fileOf(files, name);
      return { mediaType: types.get(file.digest) ?? "application/vnd.docker.image.rootfs.diff.tar", ...file };
    }),
    documents: [],
    names: (Array.isArray(RepoTags) ? RepoTags : [])
      .filter((tag): tag is string => typeof tag === "string")
      .map((tag) => ({ reference: withDefaultTag(parseReference(tag)) })),
  };
}

function fileOf(files: ArchiveFiles, name: unknown): { digest: Digest; size: number } {
  const found = typeof name === "string" ? files.find(name) : undefined;
  if (!found) throw new InvalidParameterError(`invalid archive: ${JSON.stringify(name)} is not in it`);
  return found;
}

function plain({ mediaType, digest, size }: Descriptor): Descriptor {
  return { mediaType, digest, size };
}

/** The digest that the name of a blob claims; undefined for other files. */
export function claimedDigest(name: string): Digest | undefined {
  const hex = /^blobs\/sha256\/([a-f0-9]{64})$/.exec(name)?.[1];
  const digest = `sha256:${hex}`;
  return hex !== undefined && isDigest(digest) ? digest : undefined;
}
