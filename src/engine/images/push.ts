/**
 * Pushing images: their archives as they are, in parallel, what the registry lacks alone; then config, manifests and the
 * tag. An image that was pulled is pushed with the digests that it came with.
 *
 * Where a name leads to an index, the index goes with all of its images if all are here, else the one image that is.
 * @see moby `distribution/push_v2.go` for the words, `daemon/containerd/image_push.go` for indexes
 */
import { Semaphore } from "../../base/semaphore.ts";
import type { ContentStore, Descriptor, Platform } from "../../core/content.ts";
import { InvalidParameterError, messageOf, NotFoundError } from "../../core/errors.ts";
import type { EventSink } from "../../core/events.ts";
import { type Digest, shortId } from "../../core/ids.ts";
import { formatPlatform, type ImageIndex, parseManifest, platformMatches } from "../../core/manifests.ts";
import {
  canonicalString,
  familiarName,
  familiarString,
  parseReference,
  type Reference,
  repositoryOf,
  withDigest,
} from "../../core/references.ts";
import { type Credentials, MANIFEST_LIMIT, type Registry } from "../../core/registry.ts";
import type { PackedImage, Packer } from "./pack.ts";
import {
  layerMessage,
  message,
  type ProgressMessage,
  progressMessage,
  type Report,
  throttled,
  withProgress,
} from "./progress.ts";
import type { ImageStore } from "./store.ts";

export interface PusherParts {
  readonly store: ImageStore;
  readonly content: ContentStore;
  readonly registry: Registry;
  readonly packer: Packer;
  readonly events: EventSink;
  readonly maxConcurrentUploads: number;
}

export interface PushRequest {
  /** Without a tag all tags of the repository are pushed. */
  readonly name: string;
  readonly platform?: Platform;
  readonly credentials?: Credentials;
  readonly signal: AbortSignal;
}

export class Pusher {
  readonly #parts: PusherParts;
  readonly #uploads: Semaphore;

  constructor(parts: PusherParts) {
    this.#parts = parts;
    this.#uploads = new Semaphore(parts.maxConcurrentUploads);
  }

  /** @throws NotFoundError, InvalidParameterError before there is any progress */
  push(request: PushRequest): AsyncGenerator<ProgressMessage, void, undefined> {
    const wanted = parseReference(request.name);
    if (wanted.digest !== undefined) {
      throw new InvalidParameterError("cannot push a digest reference", { subject: request.name });
    }
    const references = this.#namesOf(wanted);
    return withProgress(request.signal, async (report, signal) => {
      report(message(`The push refers to repository [${repositoryOf(wanted)}]`));
      for (const reference of references) await this.#pushOne(reference, { ...request, signal }, report);
    });
  }

  /** The names that are pushed: one with a tag, else all tags of the repository. */
  #namesOf(wanted: Reference): Reference[] {
    const { store } = this.#parts;
    if (wanted.tag !== undefined) {
      if (!store.findReference(wanted)) throw missing(wanted);
      return [wanted];
    }
    const tags = [...store.references()]
      .map(({ reference }) => reference)
      .filter(
        ({ tag, domain, path }) => tag !== undefined && domain === wanted.domain && path === wanted.path,
      );
    if (tags.length === 0) throw missing(wanted);
    return tags.sort((a, b) => (canonicalString(a) < canonicalString(b) ? -1 : 1));
  }

  async #pushOne(reference: Reference, request: PushRequest, report: Report): Promise<void> {
    const { store, events } = this.#parts;
    const record = store.findReference(reference);
    const image = record && store.findById(record.id);
    if (!record || !image) throw missing(reference);
    const chosen = await this.#choose(reference, request);
    for (const each of chosen.images) await this.#pushImage(reference, each, request, report);
    if (chosen.note) report({ aux: chosen.note });
    const pushed = await this.#pushManifest(reference, chosen.top, request);
    report(message(`${reference.tag}: digest: ${pushed.digest} size: ${pushed.size}`));
    report({ aux: { Tag: reference.tag, Digest: pushed.digest, Size: pushed.size } });
    // From now on it is known by this digest as well, as if it had been pulled.
    store.add(
      store.findById(image.id) ?? image,
      new Map([
        [
          canonicalString(withDigest(reference, pushed.digest)),
          { id: chosen.images[0]?.id ?? image.id, target: pushed },
        ],
      ]),
    );
    events.publish({
      type: "image",
      action: "push",
      actor: {
        id: familiarString(reference),
        attributes: { ...image.config.config?.Labels, name: familiarName(reference) },
      },
    });
  }

  /** The images that go, and what the tag will name. */
  async #choose(reference: Reference, { platform, signal }: PushRequest): Promise<Chosen> {
    const { store, packer } = this.#parts;
    const variants = store.variantsOf(reference);
    if (platform) {
      const wanted = variants.find(({ config }) => platformMatches(platform, config));
      if (!wanted) {
        throw new NotFoundError(
          `image with reference ${familiarString(reference)} was found but does not provide the specified platform (${formatPlatform(platform)})`,
          { subject: familiarString(reference) },
        );
      }
      const image = await packer.pack(wanted, signal);
      return { images: [image], top: image.manifest };
    }
    const images = await Promise.all(variants.map((variant) => packer.pack(variant, signal)));
    const [first] = images;
    if (!first) throw missing(reference);
    const index = await this.#indexOf(reference);
    if (!index) return { images: [first], top: first.manifest };
    const here = new Set<Digest>(images.flatMap(({ documents }) => documents));
    const whole = index.document.manifests.every(
      ({ digest, annotations }) =>
        here.has(digest) || annotations?.["vnd.docker.reference.type"] !== undefined,
    );
    if (whole && (await this.#hasAll(index.document))) {
      return { images, top: index.descriptor };
    }
    const note = {
      manifestPushedInsteadOfIndex: true,
      originalIndex: index.descriptor,
      selectedManifest: first.manifest,
    };
    return { images: [first], top: first.manifest, note };
  }

  async #hasAll({ manifests }: ImageIndex): Promise<boolean> {
    for (const { digest } of manifests) if (!(await this.#parts.content.stat(digest))) return false;
    return true;
  }

  /** The index that a name leads to, if it is one. */
  async #indexOf(
    reference: Reference,
  ): Promise<{ descriptor: Descriptor; document: ImageIndex } | undefined> {
    const descriptor = this.#parts.store.findReference(reference)?.target;
    if (!descriptor || !(await this.#parts.content.stat(descriptor.digest))) return undefined;
    const parsed = parseManifest(
      await this.#parts.content.read(descriptor.digest, MANIFEST_LIMIT),
      descriptor.mediaType,
    );
    return parsed.kind === "index" ? { descriptor, document: parsed } : undefined;
  }

  /** Layers in parallel, then the config, then its manifest by digest. */
  async #pushImage(
    reference: Reference,
    image: PackedImage,
    request: PushRequest,
    report: Report,
  ): Promise<void> {
    const failed = new AbortController();
    const signal = AbortSignal.any([request.signal, failed.signal]);
    const layers = [...new Map(image.layers.map((layer) => [layer.blob.digest, layer])).values()].reverse();
    using _lease = await this.#parts.store.lease([
      ...image.documents,
      ...layers.map(({ blob }) => blob.digest),
    ]);
    for (const { diffId } of layers) report(layerMessage("Preparing", shortId(diffId)));
    await Promise.allSettled(
      layers.map(async ({ blob, diffId }) => {
        try {
          await this.#pushLayer(reference, blob, shortId(diffId), { ...request, signal }, report);
        } catch (error) {
          failed.abort(error);
          throw error;
        }
      }),
    );
    request.signal.throwIfAborted();
    if (failed.signal.aborted) throw failed.signal.reason;
    await this.#pushBlob(reference, image.configDescriptor, { ...request, signal });
    await this.#pushManifest(withDigest(reference, image.manifest.digest), image.manifest, request);
  }

  async #pushLayer(
    reference: Reference,
    blob: Descriptor,
    id: string,
    request: PushRequest,
    report: Report,
  ): Promise<void> {
    if (isForeign(blob)) {
      report(layerMessage("Skipped foreign layer", id));
      return;
    }
    if (!this.#uploads.hasFree) report(layerMessage("Waiting", id));
    using _turn = await this.#uploads.acquire(request.signal);
    const onProgress = throttled((current) => report(progressMessage("Pushing", id, current, blob.size)));
    const { outcome, from } = await this.#pushBlob(reference, blob, request, onProgress);
    if (outcome === "exists") report(layerMessage("Layer already exists", id));
    else if (outcome === "mounted") report(layerMessage(`Mounted from ${from?.path}`, id));
    else {
      report(progressMessage("Pushing", id, blob.size, blob.size));
      report(layerMessage("Pushed", id));
    }
  }

  async #pushBlob(
    reference: Reference,
    blob: Descriptor,
    { credentials, signal }: PushRequest,
    onProgress?: (current: number) => void,
  ) {
    const { content, registry } = this.#parts;
    const source = { path: content.path(blob.digest) };
    try {
      return await registry.pushBlob(reference, blob, source, {
        credentials,
        signal,
        mountFrom: this.#otherHomesOf(blob.digest, reference),
        onProgress,
      });
    } catch (error) {
      signal.throwIfAborted();
      // A registry that refuses the bytes may be right: then the disk is to blame, and is named.
      if (/digest|size/i.test(messageOf(error))) await this.#checkBlob(blob.digest, signal);
      throw error;
    }
  }

  /** @throws InvalidParameterError if it is damaged; then it is gone, and the next pull or load fetches it again */
  async #checkBlob(digest: Digest, signal: AbortSignal): Promise<void> {
    const { content } = this.#parts;
    try {
      await content.verify(digest, { signal });
    } catch (error) {
      if (!(error instanceof InvalidParameterError)) throw error;
      await content.delete(digest);
      throw new InvalidParameterError(`${error.message}: pull or load the image again`, {
        subject: digest,
        cause: error,
      });
    }
  }

  /** Other repositories of the same registry that have a blob, as far as this engine knows. */
  #otherHomesOf(digest: Digest, { domain, path }: Reference): Reference[] {
    const { store } = this.#parts;
    const homes = new Map<string, Reference>();
    for (const { reference, record } of store.references()) {
      if (reference.domain !== domain || reference.path === path || homes.has(reference.path)) continue;
      // A name that was only given here says nothing about the registry; a digest came from it.
      if (reference.digest === undefined) continue;
      const image = store.findById(record.id);
      if (image?.layers.some(({ blob }) => blob?.digest === digest)) {
        homes.set(reference.path, { domain, path: reference.path });
      }
    }
    return [...homes.values()];
  }

  async #pushManifest(
    reference: Reference,
    descriptor: Descriptor,
    { credentials, signal }: PushRequest,
  ): Promise<Descriptor> {
    const { content, registry } = this.#parts;
    const bytes = await content.read(descriptor.digest, MANIFEST_LIMIT);
    const { mediaType } = descriptor;
    return await registry.pushManifest(reference, { mediaType, bytes }, { credentials, signal });
  }
}

interface Chosen {
  readonly images: readonly PackedImage[];
  readonly top: Descriptor;
  /** What Docker's client tells people about it. */
  readonly note?: object;
}

/** Not for distribution: registries have no bytes of it. */
function isForeign({ mediaType, urls = [] }: Descriptor): boolean {
  return urls.length > 0 && /foreign|nondistributable/.test(mediaType);
}

function missing(reference: Reference): NotFoundError {
  return new NotFoundError(
    reference.tag === undefined
      ? `An image does not exist locally with the tag: ${familiarName(reference)}`
      : `tag does not exist: ${familiarString(reference)}`,
    { subject: familiarString(reference) },
  );
}
