/**
 * Manifest and layer archives of images that were made here. Nobody needs them before an image leaves the engine, so they
 * are written then, once: the layers' own trees are what containers use. Images that were pulled have theirs.
 */
import type { Compression } from "../../base/decompressors.ts";
import { KeyedLock } from "../../base/keyed-lock.ts";
import { Semaphore } from "../../base/semaphore.ts";
import type { ContentStore, Descriptor } from "../../core/content.ts";
import { digestOf, hexOf } from "../../core/digests.ts";
import { NotFoundError, SystemError } from "../../core/errors.ts";
import type { LayerCompressor } from "../../core/layers.ts";
import { MEDIA_TYPES } from "../../core/manifests.ts";
import type { Snapshotter } from "../../core/snapshots.ts";
import type { ImageLayer, ImageRecord, ImageStore } from "./store.ts";

/** So many layers are compressed at a time. */
const LAYERS_AT_ONCE = 2;

/** Of layers in Docker's own manifests, by what their archives are compressed with; OCI's where Docker has no word. */
export const LAYER_TYPES = {
  none: "application/vnd.docker.image.rootfs.diff.tar",
  gzip: "application/vnd.docker.image.rootfs.diff.tar.gzip",
  zstd: "application/vnd.oci.image.layer.v1.tar+zstd",
  // Registries and other engines take none of these two: they are compressed anew.
  xz: "application/vnd.docker.image.rootfs.diff.tar.xz",
  bzip2: "application/vnd.docker.image.rootfs.diff.tar.bzip2",
} as const satisfies Record<Compression | "none", string>;

/** Docker's words and OCI's for the same. */
const OCI_TYPES: Readonly<Record<string, string>> = {
  [LAYER_TYPES.gzip]: "application/vnd.oci.image.layer.v1.tar+gzip",
  "application/vnd.docker.container.image.v1+json": "application/vnd.oci.image.config.v1+json",
};

export interface PackedLayer extends ImageLayer {
  readonly blob: Descriptor;
}

export interface PackedImage extends ImageRecord {
  readonly manifest: Descriptor;
  readonly layers: readonly PackedLayer[];
}

export interface PackerParts {
  readonly store: ImageStore;
  readonly content: ContentStore;
  readonly snapshots: Snapshotter;
  readonly compressor: LayerCompressor;
}

export class Packer {
  readonly #parts: PackerParts;
  /** By image id and by chain id: nothing is packed twice. */
  readonly #images = new KeyedLock();
  readonly #layers = new KeyedLock();
  readonly #turns = new Semaphore(LAYERS_AT_ONCE);

  constructor(parts: PackerParts) {
    this.#parts = parts;
  }

  /** An image with its manifest and archives, written now if they are not there. @throws NotFoundError if it is gone meanwhile */
  async pack(wanted: ImageRecord, signal: AbortSignal): Promise<PackedImage> {
    const { store, content } = this.#parts;
    if (isPacked(wanted)) return wanted;
    const { id } = wanted;
    using _turn = await this.#images.acquire(id, signal);
    const image = store.findById(id);
    if (!image) throw new NotFoundError(`No such image: ${id}`, { subject: id });
    if (isPacked(image)) return image;
    await using leases = new AsyncDisposableStack();
    const layers = await Promise.all(
      image.layers.map(async (layer) => {
        const blob =
          layer.blob && isFit(layer.blob) ? layer.blob : await this.#packLayer(layer, leases, signal);
        return { ...layer, blob };
      }),
    );
    const { mediaType, bytes } = manifestOf(image.configDescriptor, layers);
    leases.use(await store.lease([digestOf(bytes)]));
    const { digest, size } = await content.put(bytes);
    const manifest = { mediaType, digest, size };
    const packed: PackedImage = {
      ...image,
      manifest,
      layers,
      documents: [...image.documents, digest],
    };
    store.packed(packed);
    await leases.disposeAsync();
    // Archives as they came, which now have a smaller twin.
    for (const { blob } of image.layers) if (blob && !isFit(blob)) await store.collectIfUnused(blob.digest);
    return packed;
  }

  /** The archive's digest is leased before it is in the store: nothing collects it on the way to the image's record. */
  async #packLayer(
    layer: ImageLayer,
    leases: AsyncDisposableStack,
    signal: AbortSignal,
  ): Promise<Descriptor> {
    const { content, snapshots, store, compressor } = this.#parts;
    using _layer = await this.#layers.acquire(layer.chainId, signal);
    const known = store.findArchive(layer.chainId);
    if (known && isFit(known) && (await content.stat(known.digest))) {
      leases.use(await store.lease([known.digest]));
      return known;
    }
    using _turn = await this.#turns.acquire(signal);
    await using upload = await content.receive(`pack-${hexOf(layer.chainId).slice(0, 32)}`, { signal });
    const archive = layer.blob;
    const { diffId, digest, size } = archive
      ? {
          diffId: layer.diffId,
          ...(await compressor.compress({
            file: content.path(archive.digest),
            into: upload.path,
            signal,
          })),
        }
      : await snapshots.packLayer(layer.chainId, { file: upload.path, compression: "gzip", signal });
    if (diffId !== layer.diffId) {
      await upload.abort();
      throw new SystemError(
        `layer ${layer.chainId} changed on disk: its archive is ${diffId} and was ${layer.diffId}`,
        { subject: layer.chainId },
      );
    }
    leases.use(await store.lease([digest]));
    await upload.commitWritten({ digest, size });
    return { mediaType: LAYER_TYPES.gzip, digest, size };
  }
}

function isPacked(image: ImageRecord): image is PackedImage {
  return image.manifest !== undefined && image.layers.every(({ blob }) => blob !== undefined);
}

/** Whether registries take an archive as it is. */
function isFit({ mediaType }: Descriptor): boolean {
  return !UNFIT.has(mediaType);
}

const UNFIT: ReadonlySet<string> = new Set([LAYER_TYPES.none, LAYER_TYPES.xz, LAYER_TYPES.bzip2]);

/** Docker's manifest, or OCI's if a layer is none of Docker's. */
function manifestOf(
  config: Descriptor,
  layers: readonly PackedLayer[],
): { mediaType: string; bytes: Uint8Array } {
  const oci = layers.some(({ blob }) => blob.mediaType.includes(".oci."));
  const mediaType = oci ? MEDIA_TYPES.ociManifest : MEDIA_TYPES.dockerManifest;
  const plain = ({ mediaType: type, size, digest }: Descriptor) => ({
    mediaType: oci ? (OCI_TYPES[type] ?? type) : type,
    size,
    digest,
  });
  const document = {
    schemaVersion: 2,
    mediaType,
    config: plain(config),
    layers: layers.map(({ blob }) => plain(blob)),
  };
  return { mediaType, bytes: Buffer.from(JSON.stringify(document)) };
}
