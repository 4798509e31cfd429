/**
 * The classic builder's cache: an image that was made from the same parent by a step of the same configuration. With
 * `--cache-from`, also the image whose history shows that step next.
 * @see moby image/cache/cache.go
 */
import type { BaseImage, BuildImages } from "../../core/build-images.ts";
import { type ClassicImageConfig, isSameStep, type RunConfig } from "./run-config.ts";

export interface CacheQuestion {
  readonly parent: BaseImage | undefined;
  readonly config: RunConfig;
  readonly platform: { readonly os: string; readonly architecture: string };
}

export class StepCache {
  readonly #images: BuildImages;
  readonly #sources: readonly BaseImage[];
  readonly #enabled: boolean;

  constructor(images: BuildImages, options: { noCache: boolean; from: readonly string[] }) {
    this.#images = images;
    this.#enabled = !options.noCache;
    this.#sources = options.from.flatMap((reference) => findQuietly(images, reference) ?? []);
  }

  /** The image that the step would make. */
  async find(question: CacheQuestion): Promise<BaseImage | undefined> {
    if (!this.#enabled) return undefined;
    return this.#local(question) ?? (await this.#fromHistory(question));
  }

  #local({ parent, config, platform }: CacheQuestion): BaseImage | undefined {
    return this.#images.children(parent?.id).find((image) => {
      const made = (image.config as ClassicImageConfig).container_config;
      const { os, architecture } = image.config;
      return (
        made !== undefined &&
        os === platform.os &&
        architecture === platform.architecture &&
        isSameStep(made, config)
      );
    });
  }

  async #fromHistory({ parent, config }: CacheQuestion): Promise<BaseImage | undefined> {
    const length = parent?.config.history?.length ?? 0;
    const wanted = (config.Cmd ?? []).join(" ");
    for (const source of this.#sources) {
      const history = source.config.history ?? [];
      const step = history[length];
      if (!isPrefix(parent, source) || step?.created_by !== wanted) continue;
      if (history.length - 1 === length) return source;
      return await this.#restore(source, parent, length, config);
    }
    return undefined;
  }

  /** The image as it was after that step of a longer history. */
  async #restore(
    source: BaseImage,
    parent: BaseImage | undefined,
    length: number,
    containerConfig: RunConfig,
  ): Promise<BaseImage> {
    const history = (source.config.history ?? []).slice(0, length + 1);
    const layers = source.layers.slice(0, history.filter((step) => !step.empty_layer).length);
    const config: ClassicImageConfig = {
      ...source.config,
      created: history.at(-1)?.created,
      config: { ...parent?.config.config, ...withoutCommand(containerConfig, parent) },
      container_config: containerConfig,
      history,
      rootfs: { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) },
    };
    const id = await this.#images.add({
      config,
      layers,
      ...(parent ? { parent: parent.id } : {}),
      names: [],
    });
    return { id, config, layers };
  }
}

/** The step's own command is not the image's. */
function withoutCommand(config: RunConfig, parent: BaseImage | undefined): object {
  return {
    ...config,
    Cmd: parent?.config.config?.Cmd ?? null,
    Entrypoint: parent?.config.config?.Entrypoint ?? null,
  };
}

function isPrefix(parent: BaseImage | undefined, source: BaseImage): boolean {
  const history = parent?.config.history ?? [];
  if (parent === undefined) return true;
  if (history.length >= (source.config.history?.length ?? 0)) return false;
  const layersMatch = parent.layers.every(({ chainId }, index) => source.layers[index]?.chainId === chainId);
  return (
    layersMatch &&
    history.every((step, index) => step.created_by === source.config.history?.[index]?.created_by)
  );
}

function findQuietly(images: BuildImages, reference: string): BaseImage | undefined {
  try {
    return images.find(reference, undefined);
  } catch {
    return undefined; // a cache that is not there is no error
  }
}
