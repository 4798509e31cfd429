/**
 * Pulling an image: manifest → config → layers, all of them downloading and unpacking at the same time, although a
 * layer's parent may not be there yet → one transaction that makes the image visible. Whatever happens before that
 * leaves no image, only content that the next pull continues with.
 *
 * Clients that pull the same at the same time share one pull. It ends early when the last of them is gone.
 */
import { createHash } from "node:crypto";
import { Semaphore } from "../../base/semaphore.ts";
import type { ContentStore, Descriptor, Platform } from "../../core/content.ts";
import { InvalidParameterError, NotFoundError } from "../../core/errors.ts";
import type { EventSink } from "../../core/events.ts";
import { type Digest, shortId } from "../../core/ids.ts";
import type { ImageConfig } from "../../core/image.ts";
import {
  formatPlatform,
  hostPlatform,
  type ImageManifest,
  noMatchingManifest,
  parseManifest,
  platformMatches,
  selectManifest,
} from "../../core/manifests.ts";
import {
  canonicalString,
  familiarName,
  familiarString,
  type Reference,
  repositoryOf,
  withDigest,
  withTag,
} from "../../core/references.ts";
import { type Credentials, MANIFEST_LIMIT, type Registry } from "../../core/registry.ts";
import { download, fetchConfig } from "./download.ts";
import { type Layer, type LayerParts, layersOf, sizeOfLayer, unpackLayer } from "./layers.ts";
import {
  layerMessage,
  message,
  type ProgressMessage,
  ProgressQueue,
  progressMessage,
  type Report,
  throttled,
} from "./progress.ts";
import { type ImageLayer, type ImageRecord, type ReferenceRecord, withForms } from "./store.ts";

/** An index may lead to another one, as far as this. */
const DEEPEST_INDEX = 4;
/** Downloads that no image came of are kept that long, for the next try. */
export const UNFINISHED_LIFETIME_MS = 24 * 3_600_000;

export interface PullerParts extends LayerParts {
  readonly content: ContentStore;
  readonly registry: Registry;
  readonly events: EventSink;
  readonly maxConcurrentDownloads: number;
}

export interface PullRequest {
  /** With a tag or digest; without either, all tags are pulled. */
  readonly reference: Reference;
  /** Undefined: the host's. */
  readonly platform?: Platform;
  readonly credentials?: Credentials;
  readonly signal: AbortSignal;
}

export class Puller {
  readonly #parts: PullerParts;
  readonly #shared = new Map<string, SharedPull>();
  readonly #downloads: Semaphore;

  constructor(parts: PullerParts) {
    this.#parts = parts;
    this.#downloads = new Semaphore(parts.maxConcurrentDownloads);
  }

  /** From now on. */
  limitDownloads(most: number): void {
    this.#downloads.resize(most);
  }

  /**
   * Progress until the image is there. What fails before there is any progress fails at the first step of the
   * iteration; a failed iteration left no image behind.
   */
  async *pull(request: PullRequest): AsyncGenerator<ProgressMessage, void, undefined> {
    const key = keyOf(request);
    let shared = this.#shared.get(key);
    if (!shared) {
      shared = new SharedPull((signal, report) => this.#pullAll({ ...request, signal }, report));
      this.#shared.set(key, shared);
      const started = shared;
      void started.ended.finally(() => {
        if (this.#shared.get(key) === started) this.#shared.delete(key);
      });
    }
    const queue = shared.join();
    const onAbort = () => queue.fail(request.signal.reason);
    request.signal.addEventListener("abort", onAbort, { once: true });
    try {
      request.signal.throwIfAborted();
      yield* queue;
    } finally {
      request.signal.removeEventListener("abort", onAbort);
      if (shared.leave(queue) && this.#shared.get(key) === shared) this.#shared.delete(key);
    }
  }

  async #pullAll(request: PullRequest, report: Report): Promise<void> {
    const { reference, signal } = request;
    await this.#parts.content.expireIngests(Date.now() - UNFINISHED_LIFETIME_MS);
    if (reference.tag !== undefined || reference.digest !== undefined) {
      await this.#pullOne(request, report);
      return;
    }
    const { credentials } = request;
    const tags = await this.#parts.registry.listTags(reference, { credentials, signal });
    for (const tag of tags) await this.#pullOne({ ...request, reference: withTag(reference, tag) }, report);
  }

  async #pullOne(request: PullRequest, report: Report): Promise<void> {
    const { reference, credentials, signal } = request;
    const { registry, content, store } = this.#parts;
    const fetched = await registry.fetchManifest(reference, { credentials, signal });
    report(message(`Pulling from ${reference.path}`, reference.digest ?? reference.tag));
    const chosen = await this.#choose(request, fetched);
    using _documents = await store.lease([...chosen.documents.keys(), chosen.manifest.config.digest]);
    for (const bytes of chosen.documents.values()) await content.put(bytes);

    const config = await fetchConfig(this.#parts, reference, chosen.manifest.config, {
      credentials,
      signal,
    });
    checkPlatform(config, request);
    const layers = layersOf(chosen.manifest.layers, config);
    const wanted = layers.flatMap(({ chainId, blob }) => [chainId, blob.digest]);
    using _layers = await store.lease(wanted);
    const unpacked = await this.#fetchLayers(request, layers, report);

    const image: ImageRecord = {
      id: chosen.manifest.config.digest,
      config,
      configDescriptor: chosen.manifest.config,
      manifest: chosen.descriptor,
      layers: unpacked,
      documents: [...chosen.documents.keys(), chosen.manifest.config.digest],
      lastTagged: new Date().toISOString(),
    };
    const changed = this.#commit(image, reference, fetched.descriptor);
    report(message(`Digest: ${fetched.descriptor.digest}`));
    const name = familiarString(reference);
    report(
      message(
        `Status: ${changed ? `Downloaded newer image for ${name}` : `Image is up to date for ${name}`}`,
      ),
    );
    this.#parts.events.publish({
      type: "image",
      action: "pull",
      actor: { id: name, attributes: { ...config.config?.Labels, name: familiarName(reference) } },
    });
  }

  /** Follows indexes down to the manifest for the platform; all documents on the way are part of the image. */
  async #choose(
    request: PullRequest,
    fetched: { descriptor: Descriptor; bytes: Uint8Array },
  ): Promise<{ manifest: ImageManifest; descriptor: Descriptor; documents: Map<Digest, Uint8Array> }> {
    const { reference, credentials, signal } = request;
    const platform = request.platform ?? hostPlatform();
    const documents = new Map<Digest, Uint8Array>();
    let current = fetched;
    for (let depth = 0; depth <= DEEPEST_INDEX; depth++) {
      documents.set(current.descriptor.digest, current.bytes);
      const parsed = parseManifest(current.bytes, current.descriptor.mediaType);
      if (parsed.kind === "manifest") {
        return {
          manifest: parsed,
          descriptor: { ...current.descriptor, mediaType: parsed.mediaType },
          documents,
        };
      }
      const entry = selectManifest(parsed, platform);
      if (!entry) throw noMatchingManifest(platform);
      if (entry.size > MANIFEST_LIMIT)
        throw new InvalidParameterError(`manifest ${entry.digest} is too large`);
      const next = await this.#parts.registry.fetchManifest(withDigest(reference, entry.digest), {
        credentials,
        signal,
      });
      if (next.descriptor.mediaType !== "" && next.descriptor.mediaType !== entry.mediaType) {
        throw new InvalidParameterError(
          `manifest ${entry.digest} was sent as ${next.descriptor.mediaType}, its index says ${entry.mediaType}`,
        );
      }
      if (next.descriptor.size !== entry.size) {
        throw new InvalidParameterError(`manifest ${entry.digest} has another size than its index says`);
      }
      current = { bytes: next.bytes, descriptor: { ...next.descriptor, mediaType: entry.mediaType } };
    }
    throw new InvalidParameterError(`indexes of ${familiarString(reference)} are nested too deeply`);
  }

  /** All layers at once; the first failure stops the others, and is thrown when they have stopped. */
  async #fetchLayers(request: PullRequest, layers: readonly Layer[], report: Report): Promise<ImageLayer[]> {
    const failed = new AbortController();
    const signal = AbortSignal.any([request.signal, failed.signal]);
    for (const { blob } of layers) report(layerMessage("Pulling fs layer", shortId(blob.digest)));
    const results = await Promise.allSettled(
      layers.map(async (layer) => {
        try {
          return await this.#fetchLayer({ ...request, signal }, layer, report);
        } catch (error) {
          failed.abort(error);
          throw error;
        }
      }),
    );
    request.signal.throwIfAborted();
    if (failed.signal.aborted) throw failed.signal.reason;
    return results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
  }

  async #fetchLayer(request: PullRequest, layer: Layer, report: Report): Promise<ImageLayer> {
    const { snapshots, content } = this.#parts;
    const id = shortId(layer.blob.digest);
    const { diffId, chainId, blob } = layer;
    using _turn = await this.#parts.layerLocks.acquire(chainId, request.signal);
    if (await snapshots.has(chainId)) {
      // Lost, found damaged and removed, or the layer came in another compression: what the manifest names has to be there.
      if ((await content.stat(blob.digest))?.size !== blob.size)
        await this.#downloadLayer(request, layer, report);
      const size = await sizeOfLayer(this.#parts, chainId, request.signal);
      report(layerMessage("Already exists", id));
      return { diffId, chainId, blob, size };
    }
    await this.#downloadLayer(request, layer, report);
    const size = await this.#unpack(request, layer, report).catch(async (error: unknown) => {
      if (!(error instanceof InvalidParameterError) || !(await this.#isDamaged(blob, request.signal)))
        throw error;
      await this.#parts.content.delete(blob.digest);
      await this.#downloadLayer(request, layer, report);
      return await this.#unpack(request, layer, report);
    });
    report(layerMessage("Pull complete", id));
    return { diffId, chainId, blob, size };
  }

  async #downloadLayer(request: PullRequest, { blob }: Layer, report: Report): Promise<void> {
    const id = shortId(blob.digest);
    if (!this.#downloads.hasFree) report(layerMessage("Waiting", id));
    using _slot = await this.#downloads.acquire(request.signal);
    const onProgress = throttled((current) => report(progressMessage("Downloading", id, current, blob.size)));
    const { reference, credentials, signal } = request;
    await download(this.#parts, reference, blob, {
      credentials,
      signal,
      onProgress,
      onVerify: () => report(layerMessage("Verifying Checksum", id)),
    });
    report(layerMessage("Download complete", id));
  }

  async #unpack(request: PullRequest, layer: Layer, report: Report): Promise<number> {
    const { blob } = layer;
    const id = shortId(blob.digest);
    report(progressMessage("Extracting", id, 0, blob.size));
    return await unpackLayer(this.#parts, layer, {
      archive: this.#parts.content.path(blob.digest),
      signal: request.signal,
      onProgress: throttled((current) => report(progressMessage("Extracting", id, current, blob.size))),
    });
  }

  async #isDamaged(blob: Descriptor, signal: AbortSignal): Promise<boolean> {
    try {
      await this.#parts.content.verify(blob.digest, { signal });
      return false;
    } catch (error) {
      if (error instanceof InvalidParameterError) return true;
      throw error;
    }
  }

  /** @returns whether the reference names another image now than before */
  #commit(image: ImageRecord, reference: Reference, target: Descriptor): boolean {
    const { store } = this.#parts;
    const record: ReferenceRecord = { id: image.id, target };
    const byDigest = withDigest(reference, target.digest);
    const references = new Map([[canonicalString(byDigest), record]]);
    let named = byDigest;
    if (reference.tag !== undefined && reference.digest === undefined) {
      references.set(canonicalString(reference), record);
      named = reference;
    }
    const before = store.findReference(named);
    const known = store.findById(image.id);
    const changed = before?.id !== image.id || !known;
    const merged = withForms(image, known);
    store.add(known && !changed ? { ...merged, lastTagged: known.lastTagged } : merged, references);
    return changed;
  }
}

function checkPlatform(config: ImageConfig, { platform, reference }: PullRequest): void {
  if (config.os !== "linux") {
    throw new InvalidParameterError(
      `image operating system ${JSON.stringify(config.os)} cannot be used on this platform: operating system is not supported`,
    );
  }
  if (platform && !platformMatches(platform, config)) {
    throw new NotFoundError(
      `image with reference ${familiarString(reference)} was found but its platform (${formatPlatform(config)}) does not match the specified platform (${formatPlatform(platform)})`,
    );
  }
}

/** Pulls with other credentials must not be shared: who may not pull an image does not get it from who may. */
function keyOf({ reference, platform, credentials }: PullRequest): string {
  const account = createHash("sha256")
    .update(JSON.stringify(credentials ?? null))
    .digest("hex");
  return JSON.stringify([
    repositoryOf(reference),
    reference.tag,
    reference.digest,
    platform && formatPlatform(platform),
    account,
  ]);
}

/** One pull and the clients that watch it. */
class SharedPull {
  readonly ended: Promise<void>;
  readonly #cancel = new AbortController();
  readonly #watchers = new Set<ProgressQueue>();
  /** What a late client is told first: the newest message of each layer, and all others. */
  readonly #past = new Map<string, ProgressMessage>();
  #outcome: { error?: unknown } | undefined;

  constructor(work: (signal: AbortSignal, report: Report) => Promise<void>) {
    this.ended = this.#run(work);
  }

  async #run(work: (signal: AbortSignal, report: Report) => Promise<void>): Promise<void> {
    try {
      await work(this.#cancel.signal, (progress) => this.#report(progress));
      this.#outcome = {};
    } catch (error) {
      this.#outcome = { error };
    }
    for (const watcher of this.#watchers) this.#finish(watcher);
  }

  #report(progress: ProgressMessage): void {
    const layer = progress.progressDetail ? progress.id : undefined;
    this.#past.set(layer ?? `${this.#past.size}:${progress.status}`, progress);
    for (const watcher of this.#watchers) watcher.push(progress);
  }

  #finish(watcher: ProgressQueue): void {
    if (this.#outcome?.error !== undefined) watcher.fail(this.#outcome.error);
    else watcher.end();
  }

  join(): ProgressQueue {
    const watcher = new ProgressQueue();
    for (const progress of this.#past.values()) watcher.push(progress);
    this.#watchers.add(watcher);
    if (this.#outcome) this.#finish(watcher);
    return watcher;
  }

  /** @returns true if that was the last one and the pull was still under way: it is cancelled then */
  leave(watcher: ProgressQueue): boolean {
    this.#watchers.delete(watcher);
    if (this.#watchers.size > 0 || this.#outcome) return false;
    this.#cancel.abort(new DOMException("the pull was cancelled: no client waits for it", "AbortError"));
    return true;
  }
}
