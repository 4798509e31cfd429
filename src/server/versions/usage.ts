/**
 * `GET /system/df` as an API version shows it: lists until 1.51, sums since 1.52. 1.52 and later send both, unless the
 * client asks for `verbose` sums: many clients name no version and know the lists alone. Pure.
 * @see moby system_routes.go, getDiskUsage
 */
import type { ApiLine } from "./create.ts";

/** Of one type. Sizes in bytes. */
export interface Usage {
  /** In use. */
  readonly ActiveCount: number;
  readonly TotalCount: number;
  /** What removing all that is not in use would give. */
  readonly Reclaimable: number;
  readonly TotalSize: number;
  readonly Items: readonly object[];
}

export interface Usages {
  readonly image?: Usage;
  readonly container?: Usage;
  readonly volume?: Usage;
  readonly buildCache?: Usage;
}

export function usageFor(api: ApiLine, usages: Usages, { verbose }: { readonly verbose: boolean }): object {
  if (!api.atLeast([1, 52])) return listsOf(api, usages);
  return { ...(!verbose && listsOf(api, usages)), ...sumsOf(usages, verbose) };
}

function listsOf(api: ApiLine, { image, container, volume, buildCache }: Usages): object {
  return {
    ...(image && { LayersSize: image.TotalSize, Images: image.Items.map((item) => imageFor(api, item)) }),
    ...(container && { Containers: container.Items }),
    ...(volume && { Volumes: volume.Items }),
    ...(buildCache && { BuildCache: buildCache.Items }),
    ...(buildCache && !api.atLeast([1, 42]) && { BuilderSize: buildCache.TotalSize }),
  };
}

function imageFor(api: ApiLine, image: object): object {
  return api.atLeast([1, 44]) ? image : { ...image, VirtualSize: (image as { Size?: number }).Size };
}

function sumsOf({ image, container, volume, buildCache }: Usages, verbose: boolean): object {
  const sums = (usage: Usage): object => {
    const { Items, ...rest } = usage;
    return verbose && Items.length > 0 ? { ...rest, Items } : rest;
  };
  return {
    ...(image && { ImageUsage: sums(image) }),
    ...(container && { ContainerUsage: sums(container) }),
    ...(volume && { VolumeUsage: sums(volume) }),
    ...(buildCache && { BuildCacheUsage: sums(buildCache) }),
  };
}
