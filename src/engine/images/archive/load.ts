/**
 * `docker load`: an archive is taken apart by a helper process, its blobs go into the store as they came, its layers are
 * unpacked, and only then its images are there. Blobs that no image of it has go again.
 */
import { compressionOf, MAGIC_LENGTH } from "../../../base/decompressors.ts";
import type { ContentStore, Platform } from "../../../core/content.ts";
import { InvalidParameterError, NotFoundError } from "../../../core/errors.ts";
import type { EventSink } from "../../../core/events.ts";
import { type Digest, shortId } from "../../../core/ids.ts";
import type { ImageConfig } from "../../../core/image.ts";
import type { ArchivedFile, ArchiveReader } from "../../../core/image-archives.ts";
import { formatPlatform, hostPlatform, parseImageConfig, platformMatches } from "../../../core/manifests.ts";
import { familiarString } from "../../../core/references.ts";
import { MANIFEST_LIMIT } from "../../../core/registry.ts";
import { ensureLayer, type LayerParts, layersOf } from "../layers.ts";
import { addImage } from "../made.ts";
import { LAYER_TYPES } from "../pack.ts";
import { type ProgressMessage, progressMessage, type Report, throttled, withProgress } from "../progress.ts";
import type { ImageLayer, ImageRecord } from "../store.ts";
import { type ArchivedImage, type ArchiveFiles, claimedDigest, readLayout } from "./layout.ts";

export interface LoadParts extends LayerParts {
  readonly content: ContentStore;
  readonly archives: ArchiveReader;
  readonly events: EventSink;
}

export interface LoadRequest {
  readonly input: AsyncIterable<Uint8Array>;
  readonly quiet: boolean;
  /** Only what is for it. */
  readonly platform?: Platform;
  readonly signal: AbortSignal;
}

/** Progress until all images are there; what fails leaves those that were loaded before. */
export function loadImages(
  parts: LoadParts,
  request: LoadRequest,
): AsyncGenerator<ProgressMessage, void, undefined> {
  return withProgress(request.signal, async (report, signal) => {
    await using scratch = await parts.content.scratch();
    const files = await parts.archives.read(request.input, { into: scratch.path, signal });
    const archive = new Archive(parts.content, files);
    const images = await chosen(archive, await readLayout(archive), request.platform);
    using _lease = await parts.store.lease(
      images.flatMap(({ archived, config }) => wantedBy(archived, config)),
    );
    const adopted: Digest[] = [];
    try {
      await archive.adopt(new Set(images.flatMap(({ archived }) => blobsOf(archived))), adopted);
      for (const image of images) await loadOne(parts, image, { ...request, signal }, report);
    } finally {
      for (const digest of adopted) await parts.store.collectIfUnused(digest);
    }
  });
}

interface Chosen {
  readonly archived: ArchivedImage;
  readonly config: ImageConfig;
}

/** Those for the platform that was asked for, else all; the host's come last, since a name leads to the last one. */
async function chosen(
  archive: Archive,
  images: readonly ArchivedImage[],
  platform: Platform | undefined,
): Promise<Chosen[]> {
  const all = await Promise.all(
    images.map(async (archived) => ({
      archived,
      config: parseImageConfig(await archive.read(archived.config.digest)),
    })),
  );
  const fitting = platform ? all.filter(({ config }) => platformMatches(platform, config)) : all;
  if (platform && fitting.length === 0) {
    throw new NotFoundError(`requested platform (${formatPlatform(platform)}) not found in the archive`);
  }
  if (fitting.length === 0) throw new InvalidParameterError("invalid archive: no image of it is whole");
  const isHost = ({ config }: Chosen) => platformMatches(hostPlatform(), config);
  return [...fitting.filter((image) => !isHost(image)), ...fitting.filter(isHost)];
}

async function loadOne(
  parts: LoadParts,
  { archived, config }: Chosen,
  { quiet, signal }: LoadRequest,
  report: Report,
): Promise<void> {
  if (config.os !== "linux") {
    throw new InvalidParameterError(
      `image operating system ${JSON.stringify(config.os)} cannot be used on this platform: operating system is not supported`,
    );
  }
  const layers = await loadLayers(parts, archived, config, quiet ? () => {} : report, signal);
  const { manifest, documents, names } = archived;
  const image = await addImage(parts, {
    config: await parts.content.read(archived.config.digest, MANIFEST_LIMIT),
    configType: archived.config.mediaType,
    layers,
    ...(manifest ? { manifest } : {}),
    documents,
    names: manifest ? names : names.map(({ reference }) => ({ reference })),
  });
  if (names.length === 0) report({ stream: `Loaded image ID: ${image.id}\n` });
  for (const { reference } of names) report({ stream: `Loaded image: ${familiarString(reference)}\n` });
  publish(
    parts,
    image,
    names.map(({ reference }) => familiarString(reference)),
  );
}

/** All at once: the unpacker bounds how many; the first failure stops the others. */
async function loadLayers(
  parts: LoadParts,
  archived: ArchivedImage,
  config: ImageConfig,
  report: Report,
  signal: AbortSignal,
): Promise<ImageLayer[]> {
  const failed = new AbortController();
  const either = AbortSignal.any([signal, failed.signal]);
  const results = await Promise.allSettled(
    layersOf(archived.layers, config).map(async (layer) => {
      const id = shortId(layer.diffId);
      const { size } = layer.blob;
      try {
        const archive = parts.content.path(layer.blob.digest);
        const blob = archived.manifest
          ? layer.blob
          : { ...layer.blob, mediaType: await mediaTypeOf(archive) };
        const loaded = await ensureLayer(
          parts,
          { ...layer, blob },
          {
            archive,
            signal: either,
            onProgress: throttled((current) => report(progressMessage("Loading layer", id, current, size))),
          },
        );
        report(progressMessage("Loading layer", id, size, size));
        return loaded;
      } catch (error) {
        failed.abort(error);
        throw error;
      }
    }),
  );
  signal.throwIfAborted();
  if (failed.signal.aborted) throw failed.signal.reason;
  return results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
}

/** A docker-archive does not say how its layers are compressed. */
async function mediaTypeOf(archive: string): Promise<string> {
  const start = await Bun.file(archive).slice(0, MAGIC_LENGTH).bytes();
  return LAYER_TYPES[compressionOf(start) ?? "none"];
}

function publish({ events }: LoadParts, image: ImageRecord, names: readonly string[]): void {
  const attributes = { ...image.config.config?.Labels };
  for (const name of names) {
    events.publish({
      type: "image",
      action: "tag",
      actor: { id: image.id, attributes: { ...attributes, name } },
    });
  }
  events.publish({
    type: "image",
    action: "load",
    actor: { id: image.id, attributes: { ...attributes, name: image.id } },
  });
}

function blobsOf({ config, layers, documents }: ArchivedImage): Digest[] {
  return [config.digest, ...documents, ...layers.map(({ digest }) => digest)];
}

function wantedBy(archived: ArchivedImage, config: ImageConfig): Digest[] {
  return [...blobsOf(archived), ...layersOf(archived.layers, config).map(({ chainId }) => chainId)];
}

/** The files of the archive, some of which become blobs. */
class Archive implements ArchiveFiles {
  readonly #content: ContentStore;
  readonly #byName = new Map<string, ArchivedFile>();
  readonly #byDigest = new Map<Digest, ArchivedFile & { content: NonNullable<ArchivedFile["content"]> }>();

  constructor(content: ContentStore, files: readonly ArchivedFile[]) {
    this.#content = content;
    for (const file of files) {
      this.#byName.set(file.name, file);
      if (!file.content) continue;
      const { digest } = file.content.blob;
      const claimed = claimedDigest(file.name);
      if (claimed !== undefined && claimed !== digest) {
        throw new InvalidParameterError(`invalid archive: ${file.name} has the digest ${digest}`, {
          subject: claimed,
        });
      }
      this.#byDigest.set(digest, { ...file, content: file.content });
    }
  }

  find(name: string): { digest: Digest; size: number } | undefined {
    let file = this.#byName.get(name.replace(/^(?:\.?\/)+/, ""));
    // Layers that are the same are links in old archives.
    for (let step = 0; file?.target !== undefined && step < 8; step++) file = this.#byName.get(file.target);
    return file?.content?.blob;
  }

  has(digest: Digest): boolean {
    return this.#byDigest.has(digest);
  }

  async read(digest: Digest): Promise<Uint8Array> {
    const file = this.#byDigest.get(digest);
    if (!file) throw new InvalidParameterError(`invalid archive: ${digest} is not in it`);
    const { path, blob } = file.content;
    if (blob.size > MANIFEST_LIMIT) {
      throw new InvalidParameterError(`invalid archive: ${file.name} is larger than ${MANIFEST_LIMIT} bytes`);
    }
    return await Bun.file(path).bytes();
  }

  /** Makes blobs of those that are wanted and not there; `adopted` tells which, also when it fails. */
  async adopt(wanted: ReadonlySet<Digest>, adopted: Digest[]): Promise<void> {
    // The file of a configuration or manifest is read once more by its digest from the store.
    for (const digest of wanted) {
      const file = this.#byDigest.get(digest);
      if (!file) throw new InvalidParameterError(`invalid archive: ${digest} is not in it`);
      await this.#content.adopt(file.content.path, file.content.blob);
      adopted.push(digest);
    }
  }
}
