/** Images as builders see them: bases to build on, and what was built. */
import type { BaseImage, BuildImages, NewImage } from "../../core/build-images.ts";
import type { ContentStore } from "../../core/content.ts";
import { digestOf } from "../../core/digests.ts";
import { NotFoundError } from "../../core/errors.ts";
import type { Digest } from "../../core/ids.ts";
import { formatPlatform, parsePlatform, platformMatches } from "../../core/manifests.ts";
import { canonicalString, familiarString, parseReference, withDefaultTag } from "../../core/references.ts";
import type { Credentials } from "../../core/registry.ts";
import type { ProgressMessage } from "./progress.ts";
import type { ImageRecord, ImageStore } from "./store.ts";

const CONFIG_TYPE = "application/vnd.docker.container.image.v1+json";

export interface ImagesForBuildsParts {
  readonly images: {
    pull(
      name: string,
      options: { platform?: string | undefined; credentials?: Credentials | undefined; signal: AbortSignal },
    ): AsyncIterable<ProgressMessage>;
    tag(name: string, repository: string, tagName: string): void;
    hold(id: Digest): Disposable;
  };
  readonly store: ImageStore;
  readonly content: ContentStore;
}

export class ImagesForBuilds implements BuildImages {
  readonly #parts: ImagesForBuildsParts;

  constructor(parts: ImagesForBuildsParts) {
    this.#parts = parts;
  }

  find(reference: string, platform: string | undefined): BaseImage | undefined {
    const image = this.#parts.store.find(reference);
    if (!image || !platform) return image;
    const wanted = parsePlatform(platform);
    const variants = this.#parts.store.variantsNamed(reference);
    const fitting = variants.find(({ config }) => platformMatches(wanted, config));
    if (fitting) return fitting;
    throw new NotFoundError(
      `image with reference ${reference} was found but its platform (${formatPlatform(image.config)}) does not match the specified platform (${formatPlatform(wanted)})`,
      { subject: reference },
    );
  }

  async pull(
    reference: string,
    { platform, credentials, onProgress, signal }: Parameters<BuildImages["pull"]>[1],
  ): Promise<BaseImage> {
    const { domain } = parseReference(reference);
    const account = credentials?.(domain);
    // Without a tag it would be all of them.
    const name = familiarString(withDefaultTag(parseReference(reference)));
    for await (const message of this.#parts.images.pull(name, {
      platform,
      ...(account ? { credentials: account } : {}),
      signal,
    })) {
      onProgress(message);
    }
    return this.#parts.store.get(name);
  }

  children(parent: Digest | undefined): readonly BaseImage[] {
    return this.#parts.store.childrenOf(parent).sort((a, b) => createdOf(b) - createdOf(a));
  }

  async add({ config, layers, parent, names }: NewImage): Promise<Digest> {
    const { store, content } = this.#parts;
    const bytes = new TextEncoder().encode(JSON.stringify(config));
    const id = digestOf(bytes);
    using _lease = await store.lease([id, ...layers.map(({ chainId }) => chainId)]);
    const { digest, size } = await content.put(bytes);
    const image: ImageRecord = {
      id,
      config,
      configDescriptor: { mediaType: CONFIG_TYPE, digest, size },
      ...(parent ? { parent } : {}),
      layers: layers.map(({ diffId, chainId, size: bytesOfFiles, blob }) => ({
        ...{ diffId, chainId, size: bytesOfFiles },
        ...(blob ? { blob } : {}),
      })),
      documents: [digest],
      lastTagged: new Date().toISOString(),
    };
    // What was pulled keeps the manifest that it came with.
    const known = store.findById(id);
    store.add(
      known?.manifest ? { ...known, lastTagged: image.lastTagged } : image,
      new Map(names.map((name) => [canonicalString(withDefaultTag(parseReference(name))), { id }])),
    );
    return id;
  }

  checkName(reference: string): string {
    return familiarString(withDefaultTag(parseReference(reference)));
  }

  tag(id: Digest, reference: string): void {
    this.#parts.images.tag(id, reference, "");
  }

  hasLayer(chainId: Digest): boolean {
    return this.#parts.store.findLayerSize(chainId) !== undefined;
  }

  async collectLayers(chainIds: readonly Digest[]): Promise<void> {
    await this.#parts.store.collectLayers(chainIds);
  }

  hold(id: Digest): Disposable {
    return this.#parts.images.hold(id);
  }
}

function createdOf({ config }: ImageRecord): number {
  return Date.parse(config.created ?? "") || 0;
}
