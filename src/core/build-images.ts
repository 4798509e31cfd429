/** Port: images as a builder reads and makes them. */
import type { Descriptor } from "./content.ts";
import type { Digest } from "./ids.ts";
import type { ImageConfig } from "./image.ts";
import type { Credentials } from "./registry.ts";

export interface BuiltLayer {
  readonly diffId: Digest;
  readonly chainId: Digest;
  /** Bytes of its files. */
  readonly size: number;
  /** RFC 3339; of layers that a build made. */
  readonly createdAt?: string;
  /** Its archive, where it came from a registry or was wanted before. */
  readonly blob?: Descriptor;
}

export interface BaseImage {
  readonly id: Digest;
  readonly config: ImageConfig;
  /** Lowest first. */
  readonly layers: readonly BuiltLayer[];
}

export interface NewImage {
  /** The configuration document. Its `rootfs` must be that of `layers`. */
  readonly config: ImageConfig;
  readonly layers: readonly BuiltLayer[];
  /** The image that it was made from, step by step: what the classic builder's cache goes by. */
  readonly parent?: Digest;
  /** References that it is called by from now on; they move from other images. */
  readonly names: readonly string[];
}

export interface BuildImages {
  /** By reference or id. @throws NotFoundError if it is there for another platform only */
  find(reference: string, platform: string | undefined): BaseImage | undefined;
  /** Reports lines of a pull's progress as Docker streams them. @throws as a pull */
  pull(
    reference: string,
    options: {
      readonly platform: string | undefined;
      readonly credentials: ((registryHost: string) => Credentials | undefined) | undefined;
      readonly onProgress: (message: object) => void;
      readonly signal: AbortSignal;
    },
  ): Promise<BaseImage>;
  /** Images that were made from this one by a step, newest first; of `undefined` those made from nothing. */
  children(parent: Digest | undefined): readonly BaseImage[];
  /** Durable when it returns. The layers must be there; they are kept from then on. */
  add(image: NewImage): Promise<Digest>;
  /** @throws InvalidParameterError if it cannot be a name */
  checkName(reference: string): string;
  tag(id: Digest, reference: string): void;
  /** Whether an image has the layer. */
  hasLayer(chainId: Digest): boolean;
  /** Deletes those that neither an image nor a result of a build has. */
  collectLayers(chainIds: readonly Digest[]): Promise<void>;
  /** Keeps an image and its layers until disposed. */
  hold(id: Digest): Disposable;
}
