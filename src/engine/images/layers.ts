/** Layers of images from their archives into the snapshotter: each once, whoever else is at it. */
import type { KeyedLock } from "../../base/keyed-lock.ts";
import type { Descriptor } from "../../core/content.ts";
import { chainIdOf } from "../../core/digests.ts";
import { InvalidParameterError } from "../../core/errors.ts";
import type { Digest } from "../../core/ids.ts";
import type { ImageConfig } from "../../core/image.ts";
import type { LayerUnpacker } from "../../core/layers.ts";
import type { Snapshotter } from "../../core/snapshots.ts";
import type { ImageLayer, ImageStore } from "./store.ts";

/** A layer as its image's manifest and configuration describe it. */
export interface Layer {
  readonly diffId: Digest;
  readonly chainId: Digest;
  readonly parent: Digest | undefined;
  readonly blob: Descriptor;
}

export interface LayerParts {
  readonly store: ImageStore;
  readonly snapshots: Snapshotter;
  readonly unpacker: LayerUnpacker;
  /** By chain id: two images with the same layer unpack it once. */
  readonly layerLocks: KeyedLock;
}

/** Lowest first. @throws InvalidParameterError if manifest and configuration disagree */
export function layersOf(blobs: readonly Descriptor[], config: ImageConfig): Layer[] {
  const diffIds = config.rootfs.diff_ids;
  if (diffIds.length !== blobs.length) {
    throw new InvalidParameterError(
      `invalid image: the manifest has ${blobs.length} layers, its configuration ${diffIds.length}`,
    );
  }
  let parent: Digest | undefined;
  return blobs.map((blob, index) => {
    const diffId = diffIds[index] ?? blob.digest;
    const chainId = parent === undefined ? diffId : chainIdOf([parent, diffId]);
    const layer = { diffId, chainId, parent, blob };
    parent = chainId;
    return layer;
  });
}

export interface UnpackOptions {
  /** The file of its archive. */
  readonly archive: string;
  readonly signal: AbortSignal;
  /** Bytes of the archive that were read so far. */
  readonly onProgress?: (current: number) => void;
}

/** Unpacks and commits one layer. The caller has its lock. @returns bytes of its files */
export async function unpackLayer(
  { snapshots, unpacker }: LayerParts,
  { chainId, diffId, parent }: Layer,
  { archive, signal, onProgress }: UnpackOptions,
): Promise<number> {
  await using staging = await snapshots.stageLayer(chainId, parent);
  const { size } = await unpacker.unpack({
    blob: archive,
    diffId,
    into: staging.path,
    signal,
    ...(onProgress ? { onProgress } : {}),
  });
  signal.throwIfAborted();
  await staging.commit();
  return size;
}

/** Bytes of the files of a layer that is there. */
export async function sizeOfLayer(
  { store, snapshots }: LayerParts,
  chainId: Digest,
  signal: AbortSignal,
): Promise<number> {
  return store.findLayerSize(chainId) ?? (await snapshots.layerUsage(chainId, signal)).size;
}

/** A layer whose archive is here: unpacked now, unless it is there. */
export async function ensureLayer(
  parts: LayerParts,
  layer: Layer,
  options: UnpackOptions,
): Promise<ImageLayer> {
  const { chainId, diffId, blob } = layer;
  using _turn = await parts.layerLocks.acquire(chainId, options.signal);
  const size = (await parts.snapshots.has(chainId))
    ? await sizeOfLayer(parts, chainId, options.signal)
    : await unpackLayer(parts, layer, options);
  return { diffId, chainId, blob, size };
}
