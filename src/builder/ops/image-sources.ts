/** Images that a build starts from: those of the store, and what registries have of them. Each is resolved once in a build. */
import type { BaseImage, BuildImages } from "../../core/build-images.ts";
import { messageOf, NotFoundError } from "../../core/errors.ts";
import type { Credentials } from "../../core/registry.ts";
import type { Sessions } from "../session.ts";

export interface ImageRequest {
  /** `linux/amd64`; undefined: the host's. */
  readonly platform: string | undefined;
  /** `default`: what is here, else the registry's; `pull`: the registry's; `local`: what is here, else the registry's. */
  readonly mode: string;
  readonly sessionId: string;
  readonly signal: AbortSignal;
}

export class ImageSources {
  readonly #images: BuildImages;
  readonly #sessions: Sessions;
  readonly #resolved = new Map<string, Promise<BaseImage>>();
  readonly #held = new DisposableStack();

  constructor(images: BuildImages, sessions: Sessions) {
    this.#images = images;
    this.#sessions = sessions;
  }

  /** @throws NotFoundError "REF: not found" */
  resolve(reference: string, request: ImageRequest): Promise<BaseImage> {
    const key = JSON.stringify([reference, request.platform ?? "", request.mode]);
    const known = this.#resolved.get(key) ?? this.#resolve(reference, request);
    this.#resolved.set(key, known);
    known.catch(() => this.#resolved.delete(key));
    return known;
  }

  async #resolve(reference: string, { platform, mode, sessionId, signal }: ImageRequest): Promise<BaseImage> {
    const found = mode === "pull" ? undefined : this.#findLocal(reference, platform);
    const image = found ?? (await this.#pull(reference, { platform, sessionId, signal }));
    this.#held.use(this.#images.hold(image.id));
    return image;
  }

  #findLocal(reference: string, platform: string | undefined): BaseImage | undefined {
    try {
      // Of an image that is here only: the digest that a frontend was told is its id.
      const [, id] = /@(sha256:[0-9a-f]{64})$/.exec(reference) ?? [];
      return this.#images.find(reference, platform) ?? (id ? this.#images.find(id, platform) : undefined);
    } catch (error) {
      if (error instanceof NotFoundError) return undefined;
      throw error;
    }
  }

  async #pull(
    reference: string,
    { platform, sessionId, signal }: { platform: string | undefined; sessionId: string; signal: AbortSignal },
  ): Promise<BaseImage> {
    const credentials = await this.#credentials(reference, sessionId, signal);
    try {
      return await this.#images.pull(reference, {
        platform,
        credentials: () => credentials,
        onProgress: () => {},
        signal,
      });
    } catch (error) {
      if (error instanceof NotFoundError)
        throw new NotFoundError(`${reference}: not found: ${messageOf(error)}`, { cause: error });
      throw error;
    }
  }

  /** A client that has none, or no session at all, pulls as nobody. */
  async #credentials(
    reference: string,
    sessionId: string,
    signal: AbortSignal,
  ): Promise<Credentials | undefined> {
    if (sessionId === "") return undefined;
    const host = /^([^/]+[.:][^/]*|localhost)\//.exec(reference)?.[1] ?? "docker.io";
    const registry = host === "docker.io" ? "registry-1.docker.io" : host;
    try {
      const session = await this.#sessions.get(sessionId, { signal });
      return await session.credentials(registry, { signal });
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof NotFoundError) return undefined;
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#held.dispose();
  }
}
