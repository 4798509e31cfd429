/**
 * The images of this engine: what is persisted of them, and the index that everything reads.
 *
 * Tables: `images` (by image id) and `references` (by canonical reference, tags and digests alike). Both are read
 * once at boot; a change is persisted in one transaction before the index shows it.
 *
 * Content that no image refers to is collected, unless a lease holds it: a pull leases the digests that it will need
 * before it looks whether they are there, so that nothing goes away between the look and the commit.
 */
import { KeyedLock } from "../../base/keyed-lock.ts";
import { log } from "../../base/log.ts";
import type { ContentStore, Descriptor } from "../../core/content.ts";
import { hexOf, isDigest } from "../../core/digests.ts";
import { ConflictError, NotFoundError } from "../../core/errors.ts";
import type { Digest } from "../../core/ids.ts";
import type { ImageConfig } from "../../core/image.ts";
import {
  canonicalString,
  familiarString,
  parseCanonicalReference,
  parseReference,
  type Reference,
  withDefaultTag,
  withDigest,
} from "../../core/references.ts";
import type { Snapshotter } from "../../core/snapshots.ts";
import type { StateStore, Table } from "../../core/state.ts";

export interface ImageLayer {
  readonly diffId: Digest;
  readonly chainId: Digest;
  /** The layer's archive as it came. Absent of layers that were made here, until somebody wants it (`pack.ts`). */
  readonly blob?: Descriptor;
  /** Bytes of its files. */
  readonly size: number;
}

/** One way that an image is distributed in. */
export interface ImageForm {
  /** Absent of images that were made here, until somebody wants it. */
  readonly manifest?: Descriptor;
  /** Lowest first. */
  readonly layers: readonly ImageLayer[];
  /** Every document that leads to it: manifest, index, config. */
  readonly documents: readonly Digest[];
}

export interface ImageRecord extends ImageForm {
  /** The digest of the configuration. */
  readonly id: Digest;
  readonly config: ImageConfig;
  readonly configDescriptor: Descriptor;
  /** The same image under other manifests: in another compression, say. Each name keeps the one that it came with. */
  readonly otherForms?: readonly ImageForm[];
  /** The image that a committed one was made from. */
  readonly parent?: Digest;
  /** RFC 3339; when a tag was last moved here. */
  readonly lastTagged: string;
  /** Deleted by force while containers used it: kept for them, shown to no one. */
  readonly deleted?: boolean;
}

export interface ReferenceRecord {
  readonly id: Digest;
  /** The manifest or index that the reference names; absent as long as its image has no manifest. */
  readonly target?: Descriptor;
}

export interface ImageStoreParts {
  readonly state: StateStore;
  readonly content: ContentStore;
  readonly snapshots: Snapshotter;
}

export class ImageStore {
  readonly #state: StateStore;
  readonly #content: ContentStore;
  readonly #snapshots: Snapshotter;
  readonly #imageTable: Table<ImageRecord>;
  readonly #referenceTable: Table<ReferenceRecord>;
  readonly #images: Map<Digest, ImageRecord>;
  readonly #references: Map<string, ReferenceRecord>;
  readonly #leases = new Map<Digest, number>();
  readonly #collecting = new KeyedLock();

  constructor({ state, content, snapshots }: ImageStoreParts) {
    this.#state = state;
    this.#content = content;
    this.#snapshots = snapshots;
    this.#imageTable = state.table<ImageRecord>("images");
    this.#referenceTable = state.table<ReferenceRecord>("references");
    this.#images = new Map(this.#imageTable.entries() as [Digest, ImageRecord][]);
    this.#references = new Map(this.#referenceTable.entries());
  }

  /** In no particular order. */
  list(): ImageRecord[] {
    return [...this.#images.values()].filter((image) => !image.deleted);
  }

  findById(id: Digest): ImageRecord | undefined {
    const image = this.#images.get(id);
    return image?.deleted ? undefined : image;
  }

  /** Sorted, tags before digests of the same repository. */
  referencesTo(id: Digest): Reference[] {
    const names: string[] = [];
    for (const [name, record] of this.#references) if (record.id === id) names.push(name);
    return names.sort().map(parseCanonicalReference);
  }

  /**
   * Whether it has no name of its own, and a name leads to it all the same: by an index that names another image of the
   * same repository first. It is shown with that one, and goes with it.
   */
  isVariant(image: ImageRecord): boolean {
    let named = false;
    for (const { id, target } of this.#references.values()) {
      if (id === image.id) return false;
      named ||=
        target !== undefined &&
        target.digest !== image.manifest?.digest &&
        documentsOf(image).includes(target.digest);
    }
    return named;
  }

  /** All that is shown with an image: itself, and its variants. */
  shownWith(image: ImageRecord): ImageRecord[] {
    const all = this.referencesTo(image.id).flatMap((reference) => this.variantsOf(reference));
    return [...new Set([image, ...all.filter((other) => other.id === image.id || this.isVariant(other))])];
  }

  /** Also one that was deleted by force while containers use it. */
  findKept(id: Digest): ImageRecord | undefined {
    return this.#images.get(id);
  }

  /** What a further name of an image leads to: the same as the one that it was asked for by. */
  targetOf(name: string, image: ImageRecord): ReferenceRecord {
    const { id, manifest } = image;
    const target = this.#referenceOf(name, image)?.target ?? manifest;
    return { id, ...(target ? { target } : {}) };
  }

  /** The images that a name leads to, for all platforms; an id leads to its own. */
  variantsNamed(name: string): ImageRecord[] {
    const image = this.find(name);
    if (!image) return [];
    const record = this.#referenceOf(name, image);
    return record ? this.#variants(record) : [image];
  }

  /** The name that an image was asked for by; undefined for an id. */
  referenceNamed(name: string, image: ImageRecord): Reference | undefined {
    if (!this.#referenceOf(name, image)) return undefined;
    const parsed = withDefaultTag(parseReference(name));
    return parsed.digest ? withDigest(parsed, parsed.digest) : parsed;
  }

  /** Undefined for an id. */
  #referenceOf(name: string, image: ImageRecord): ReferenceRecord | undefined {
    if (isDigest(name) || /^[a-f0-9]{64}$/.test(name)) return undefined;
    if (name.startsWith("sha256:")) return undefined;
    const parsed = withDefaultTag(parseReference(name));
    const record = this.findReference(parsed.digest ? withDigest(parsed, parsed.digest) : parsed);
    return record?.id === image.id ? record : undefined;
  }

  /**
   * The images that a name leads to: its own first, then those for other platforms that came by the same index.
   * Empty if nothing has the name.
   */
  variantsOf(reference: Reference): ImageRecord[] {
    const record = this.findReference(reference);
    return record ? this.#variants(record) : [];
  }

  #variants({ id: ownId, target }: ReferenceRecord): ImageRecord[] {
    const found = this.findById(ownId);
    if (!found) return [];
    const own = target ? asNamed(found, target) : found;
    if (!target || target.digest === own.manifest?.digest) return [own];
    const others = this.list().filter(
      ({ id, documents }) => id !== own.id && documents.includes(target.digest),
    );
    return [own, ...others];
  }

  findReference(reference: Reference): ReferenceRecord | undefined {
    return this.#references.get(canonicalString(reference));
  }

  /**
   * By id, by unique prefix of one, by tag or by digest; in that order of moby's `GetImage`.
   * @throws NotFoundError "No such image: …"
   */
  get(text: string): ImageRecord {
    const image = this.find(text);
    if (image) return image;
    throw new NotFoundError(`No such image: ${displayName(text)}`, { subject: text });
  }

  /** @throws InvalidParameterError if the text cannot be a name; ConflictError if a prefix is not unique */
  find(text: string): ImageRecord | undefined {
    if (isDigest(text)) return this.findById(text);
    if (/^[a-f0-9]{64}$/.test(text)) return this.findById(`sha256:${text}` as Digest);
    const prefix = /^(?:sha256:)?([a-f0-9]+)$/.exec(text)?.[1];
    if (text.startsWith("sha256:")) return prefix === undefined ? undefined : this.#findByPrefix(prefix);
    const parsed = withDefaultTag(parseReference(text));
    // With both given, the digest is what counts.
    const reference = parsed.digest ? withDigest(parsed, parsed.digest) : parsed;
    const named = this.findReference(reference);
    if (named) return this.findById(named.id);
    return prefix === undefined ? undefined : this.#findByPrefix(prefix);
  }

  #findByPrefix(prefix: string): ImageRecord | undefined {
    const found = this.list().filter((image) => hexOf(image.id).startsWith(prefix));
    if (found.length > 1) throw new ConflictError(`multiple IDs found with provided prefix: ${prefix}`);
    return found[0];
  }

  /** Adds an image, and what it is called from now on. A tag that another image had moves. */
  add(image: ImageRecord, references: ReadonlyMap<string, ReferenceRecord>): void {
    this.#state.transaction(() => {
      this.#imageTable.put(image.id, image);
      for (const [name, record] of references) this.#referenceTable.put(name, record);
    });
    this.#images.set(image.id, image);
    for (const [name, record] of references) this.#references.set(name, record);
  }

  /** Manifest and archives of an image that was made here: its names now lead to the manifest. */
  packed(image: ImageRecord & { readonly manifest: Descriptor }): void {
    const references = new Map<string, ReferenceRecord>();
    for (const [name, record] of this.#references) {
      if (record.id === image.id && !record.target)
        references.set(name, { ...record, target: image.manifest });
    }
    this.add(image, references);
  }

  /** The images that were made from this one. */
  childrenOf(id: Digest | undefined): ImageRecord[] {
    return this.list().filter(({ parent }) => parent === id);
  }

  /** Ids of images that others were made from. */
  parents(): Set<Digest> {
    return new Set(this.list().flatMap(({ parent }) => parent ?? []));
  }

  /** Every name that there is, with what it leads to. */
  *references(): Iterable<{ readonly reference: Reference; readonly record: ReferenceRecord }> {
    for (const [name, record] of this.#references) yield { reference: parseCanonicalReference(name), record };
  }

  removeReference(reference: Reference): void {
    const name = canonicalString(reference);
    this.#referenceTable.delete(name);
    this.#references.delete(name);
  }

  /**
   * Removes an image with all that is called after it, then what was its own. While it is in use, its record and
   * content stay without being shown.
   * @returns chain ids of the layers that are gone, highest first
   */
  async remove(image: ImageRecord, options: { inUse: boolean }): Promise<Digest[]> {
    const names = this.referencesTo(image.id).map(canonicalString);
    const hidden: ImageRecord = { ...image, deleted: true };
    this.#state.transaction(() => {
      for (const name of names) this.#referenceTable.delete(name);
      if (options.inUse) this.#imageTable.put(image.id, hidden);
      else this.#imageTable.delete(image.id);
    });
    for (const name of names) this.#references.delete(name);
    if (options.inUse) {
      this.#images.set(image.id, hidden);
      return [];
    }
    this.#images.delete(image.id);
    return await this.#collect(image);
  }

  /** The images that were deleted by force while they were in use. */
  hidden(): ImageRecord[] {
    return [...this.#images.values()].filter((image) => image.deleted);
  }

  /** Holds content and layers against collection until disposed. */
  async lease(digests: readonly Digest[]): Promise<Disposable> {
    using _turn = await this.#collecting.acquire("");
    for (const digest of digests) this.#leases.set(digest, (this.#leases.get(digest) ?? 0) + 1);
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (!held) return;
        held = false;
        for (const digest of digests) {
          const left = (this.#leases.get(digest) ?? 1) - 1;
          if (left > 0) this.#leases.set(digest, left);
          else this.#leases.delete(digest);
        }
      },
    };
  }

  async #collect(image: ImageRecord): Promise<Digest[]> {
    const removed: Digest[] = [];
    for (const layer of [...image.layers].reverse()) {
      if (await this.#collectLayer(layer.chainId)) removed.push(layer.chainId);
    }
    for (const digest of blobsOf(image)) await this.#collectBlob(digest);
    return removed;
  }

  /** Highest first is best: what is left by a crash has its parents then. */
  async collectLayers(chainIds: readonly Digest[]): Promise<void> {
    for (const chainId of chainIds) await this.#collectLayer(chainId);
  }

  /** Others that keep layers, set once by the composition root: results of builds. */
  keptByOthers: (chainId: Digest) => boolean = () => false;

  /** Its name goes under the lock; deleting its files, which may be many, keeps no lease waiting. */
  async #collectLayer(chainId: Digest): Promise<boolean> {
    const deleting = await this.#ifUnneeded(chainId, () => ({ done: this.#snapshots.removeLayer(chainId) }));
    await deleting?.done;
    return deleting !== undefined;
  }

  async #collectBlob(digest: Digest): Promise<boolean> {
    return (await this.#ifUnneeded(digest, () => this.#content.delete(digest))) !== undefined;
  }

  async collectLayerIfUnused(chainId: Digest): Promise<void> {
    await this.#collectLayer(chainId);
  }

  /** Content that came for nothing goes again, unless somebody else wants it. */
  async collectIfUnused(digest: Digest): Promise<void> {
    await this.#collectBlob(digest);
  }

  /** One at a time under the lock: a lease never waits for more than one deletion. */
  async #ifUnneeded<T>(digest: Digest, remove: () => T | Promise<T>): Promise<T | undefined> {
    using _turn = await this.#collecting.acquire("");
    if (this.#leases.has(digest) || this.isReferenced(digest) || this.keptByOthers(digest)) return undefined;
    return await remove();
  }

  /** Content or a layer that an image has, shown or hidden. */
  isReferenced(digest: Digest): boolean {
    for (const image of this.#images.values()) {
      if (blobsOf(image).includes(digest)) return true;
      if (image.layers.some((layer) => layer.chainId === digest)) return true;
    }
    return false;
  }

  /** Chain ids of all layers that images have, hidden ones included: everything else is thrown away at boot. */
  layers(): Set<Digest> {
    return new Set([...this.#images.values()].flatMap((image) => image.layers.map((layer) => layer.chainId)));
  }

  /**
   * Throws away blobs that no image has and that are older than that.
   * @param before ms since the epoch
   * @returns bytes freed
   */
  async collectBlobs(before: number): Promise<number> {
    const referenced = new Set([...this.#images.values()].flatMap(blobsOf));
    let freed = 0;
    for await (const blob of this.#content.list()) {
      if (referenced.has(blob.digest) || blob.modifiedAt >= before) continue;
      if (!(await this.#collectBlob(blob.digest))) continue;
      log("debug", "removed content that no image has", { digest: blob.digest });
      freed += blob.size;
    }
    return freed;
  }

  /** How many images have a layer. */
  layerUsers(chainId: Digest): number {
    return this.list().filter((image) => image.layers.some((layer) => layer.chainId === chainId)).length;
  }

  /** A layer's archive, if an image of that layer has one. */
  findArchive(chainId: Digest): Descriptor | undefined {
    for (const image of this.#images.values()) {
      const layers = formsOf(image).flatMap((form) => form.layers);
      const layer = layers.find((candidate) => candidate.chainId === chainId && candidate.blob);
      if (layer) return layer.blob;
    }
    return undefined;
  }

  /** Bytes of a layer's files, if an image has it. */
  findLayerSize(chainId: Digest): number | undefined {
    for (const image of this.#images.values()) {
      const layer = image.layers.find((candidate) => candidate.chainId === chainId);
      if (layer) return layer.size;
    }
    return undefined;
  }
}

/** Digests of all content of an image, in all its forms. */
function blobsOf(image: ImageRecord): Digest[] {
  const layers = formsOf(image).flatMap((form) => form.layers);
  return [...documentsOf(image), ...layers.flatMap(({ blob }) => (blob ? [blob.digest] : []))];
}

function formsOf(image: ImageRecord): ImageForm[] {
  return [image, ...(image.otherForms ?? [])];
}

function documentsOf(image: ImageRecord): Digest[] {
  return formsOf(image).flatMap(({ documents }) => documents);
}

/** In the form that a name came with. */
function asNamed(image: ImageRecord, target: Descriptor): ImageRecord {
  const form = formsOf(image).find(({ documents }) => documents.includes(target.digest)) ?? image;
  const { manifest, layers, documents } = form;
  return { ...image, ...(manifest ? { manifest } : {}), layers, documents };
}

/** An image that is there under another manifest keeps that one, too. */
export function withForms(image: ImageRecord, known: ImageRecord | undefined): ImageRecord {
  const forms = new Map<Digest | undefined, ImageForm>();
  for (const { manifest, layers, documents } of known ? formsOf(known) : []) {
    if (manifest) forms.set(manifest.digest, { manifest, layers, documents });
  }
  const same = forms.get(image.manifest?.digest);
  forms.delete(image.manifest?.digest);
  // The indexes that led to it before may still be what a name leads to.
  const documents = [...new Set([...image.documents, ...(same?.documents ?? [])])];
  const otherForms = [...forms.values()];
  return { ...image, documents, ...(otherForms.length > 0 ? { otherForms } : {}) };
}

export function sizeOf(image: ImageRecord): number {
  return image.layers.reduce((sum, layer) => sum + layer.size, 0);
}

function displayName(text: string): string {
  try {
    return familiarString(withDefaultTag(parseReference(text)));
  } catch {
    // An id: shown as it was given.
    return text;
  }
}
