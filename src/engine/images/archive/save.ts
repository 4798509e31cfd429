/**
 * `docker save`: an OCI layout and a docker-archive in one tar. Blobs go as they are, so what is loaded again has the
 * digests that it had. The same images give the same bytes.
 * @see image-spec image-layout.md; moby `image/tarexport/save.go`
 */
import { createReadStream } from "node:fs";
import { log } from "../../../base/log.ts";
import { encodeHeader, paddingAfter, TAR_END } from "../../../base/tar/index.ts";
import type { ContentStore, Descriptor, Platform } from "../../../core/content.ts";
import { hexOf } from "../../../core/digests.ts";
import { NotFoundError, SystemError } from "../../../core/errors.ts";
import type { Digest } from "../../../core/ids.ts";
import { formatPlatform, MEDIA_TYPES, parseManifest, platformMatches } from "../../../core/manifests.ts";
import {
  canonicalString,
  familiarName,
  familiarString,
  parseReference,
  type Reference,
} from "../../../core/references.ts";
import { MANIFEST_LIMIT } from "../../../core/registry.ts";
import type { PackedImage, Packer } from "../pack.ts";
import type { ImageRecord, ImageStore } from "../store.ts";

const READ_SIZE = 1 << 20;

export interface SaveParts {
  readonly store: ImageStore;
  readonly content: ContentStore;
  readonly packer: Packer;
}

export interface SaveRequest {
  /** Names, ids; a name without a tag means all its tags. */
  readonly names: readonly string[];
  readonly platform?: Platform;
  readonly signal: AbortSignal;
}

/** @throws NotFoundError before the first piece; SystemError naming the blob if one is damaged */
export async function* saveImages(parts: SaveParts, request: SaveRequest): AsyncGenerator<Uint8Array> {
  const wanted = await choose(parts, request);
  const layout = await describe(parts, wanted);
  using _lease = await parts.store.lease([...layout.blobs.keys()]);
  yield encodeHeader({ name: "blobs", type: "directory", mode: 0o755 });
  yield encodeHeader({ name: "blobs/sha256", type: "directory", mode: 0o755 });
  for (const digest of [...layout.blobs.keys()].sort()) {
    yield* blob(parts.content, digest, layout.blobs.get(digest) ?? 0, request.signal);
  }
  yield* document("index.json", layout.index);
  yield* document("manifest.json", layout.manifests);
  yield* document("oci-layout", { imageLayoutVersion: "1.0.0" });
  yield* document("repositories", layout.repositories);
  yield TAR_END;
}

interface Wanted {
  readonly image: PackedImage;
  /** All images for other platforms that go with it. */
  readonly variants: readonly PackedImage[];
  /** What `index.json` names: its manifest, or the index of all variants. */
  readonly target: Descriptor;
  readonly names: readonly Reference[];
}

async function choose(parts: SaveParts, { names, platform, signal }: SaveRequest): Promise<Wanted[]> {
  const chosen = new Map<Digest, { image: ImageRecord; names: Map<string, Reference> }>();
  for (const name of names) {
    const { image, references } = find(parts.store, name, platform);
    const entry = chosen.get(image.id) ?? { image, names: new Map<string, Reference>() };
    chosen.set(image.id, entry);
    for (const reference of references) entry.names.set(canonicalString(reference), reference);
  }
  const wanted: Wanted[] = [];
  for (const { image, names: references } of chosen.values()) {
    wanted.push(await complete(parts, image, [...references.values()], platform, signal));
  }
  return wanted;
}

function find(
  store: ImageStore,
  name: string,
  platform: Platform | undefined,
): { image: ImageRecord; references: Reference[] } {
  const own = store.variantsNamed(name)[0];
  const tags = own ? [] : tagsOf(store, name);
  const image = own ?? tags[0]?.image;
  if (!image) throw new NotFoundError("reference does not exist", { subject: name });
  const references = own ? nameIn(store, own, name) : tags.map(({ reference }) => reference);
  if (!platform || platformMatches(platform, image.config)) return { image, references };
  const variant = references
    .flatMap((reference) => store.variantsOf(reference))
    .find(({ config }) => platformMatches(platform, config));
  if (variant) return { image: variant, references };
  throw new NotFoundError(
    `image with reference ${name} was found but does not provide the specified platform (${formatPlatform(platform)})`,
    { subject: name },
  );
}

/** Of a name without a tag, where there is no `latest`. */
function tagsOf(store: ImageStore, name: string): { reference: Reference; image: ImageRecord }[] {
  const { domain, path, tag, digest } = parseReference(name);
  if (tag !== undefined || digest !== undefined) return [];
  return [...store.references()].flatMap(({ reference, record }) => {
    const image = store.findById(record.id);
    const same = reference.domain === domain && reference.path === path && reference.tag !== undefined;
    return same && image ? [{ reference, image }] : [];
  });
}

/** The tag that an image was asked for by; none for an id or a digest. */
function nameIn(store: ImageStore, image: ImageRecord, name: string): Reference[] {
  const reference = store.referenceNamed(name, image);
  return reference?.tag !== undefined && reference.digest === undefined ? [reference] : [];
}

async function complete(
  { store, content, packer }: SaveParts,
  image: ImageRecord,
  names: readonly Reference[],
  platform: Platform | undefined,
  signal: AbortSignal,
): Promise<Wanted> {
  const [first] = names;
  const packed = await packer.pack(image, signal);
  const target = first && store.findReference(first)?.target;
  if (platform || !first || !target || target.digest === packed.manifest.digest) {
    return { image: packed, variants: [], target: packed.manifest, names };
  }
  const variants = await Promise.all(store.variantsOf(first).map((variant) => packer.pack(variant, signal)));
  const document = parseManifest(await content.read(target.digest, MANIFEST_LIMIT), target.mediaType);
  const here = new Set(variants.flatMap(({ documents }) => documents));
  // An index of which a part is elsewhere would be a layout with holes.
  const whole = document.kind === "index" && document.manifests.every(({ digest }) => here.has(digest));
  return whole
    ? { image: packed, variants: variants.filter(({ id }) => id !== packed.id), target, names }
    : { image: packed, variants: [], target: packed.manifest, names };
}

interface Layout {
  readonly index: object;
  readonly manifests: object;
  readonly repositories: object;
  /** Sizes by digest. */
  readonly blobs: Map<Digest, number>;
}

async function describe({ content }: SaveParts, wanted: readonly Wanted[]): Promise<Layout> {
  const blobs = new Map<Digest, number>();
  const repositories: Record<string, Record<string, string>> = {};
  for (const { image, variants, target, names } of wanted) {
    for (const each of [image, ...variants]) {
      const { manifest, configDescriptor, layers } = each;
      for (const { digest, size } of [manifest, configDescriptor, ...layers.map(({ blob: of }) => of)]) {
        blobs.set(digest, size);
      }
    }
    blobs.set(target.digest, (await content.stat(target.digest))?.size ?? target.size);
    const top = image.layers.at(-1)?.diffId;
    for (const name of names) {
      const tags = repositories[familiarName(name)] ?? {};
      repositories[familiarName(name)] = tags;
      if (top && name.tag !== undefined) tags[name.tag] = hexOf(top);
    }
  }
  return {
    index: {
      schemaVersion: 2,
      mediaType: MEDIA_TYPES.ociIndex,
      manifests: wanted.flatMap(({ target, names }) => describeTarget(target, names)),
    },
    manifests: wanted.map(({ image, names }) => ({
      Config: pathOf(image.id),
      RepoTags: names.length > 0 ? names.map(familiarString) : null,
      Layers: image.layers.map((layer) => pathOf(layer.blob.digest)),
      LayerSources: Object.fromEntries(
        image.layers.map(({ diffId, blob: { mediaType, size, digest } }) => [
          diffId,
          { mediaType, size, digest },
        ]),
      ),
    })),
    repositories,
    blobs,
  };
}

function describeTarget({ mediaType, digest, size }: Descriptor, names: readonly Reference[]): object[] {
  if (names.length === 0) return [{ mediaType, digest, size }];
  return names.map((name) => ({
    mediaType,
    digest,
    size,
    annotations: {
      "io.containerd.image.name": canonicalString(name),
      "org.opencontainers.image.ref.name": name.tag,
    },
  }));
}

function pathOf(digest: Digest): string {
  return `blobs/sha256/${hexOf(digest)}`;
}

/** A flipped byte is found on the way, and ends the archive. */
async function* blob(
  content: ContentStore,
  digest: Digest,
  size: number,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const hash = new Bun.CryptoHasher("sha256");
  yield encodeHeader({ name: pathOf(digest), type: "file", mode: 0o644, size });
  let left = size;
  for await (const piece of createReadStream(content.path(digest), { highWaterMark: READ_SIZE })) {
    signal.throwIfAborted();
    const bytes = piece as Uint8Array;
    hash.update(bytes);
    left -= bytes.byteLength;
    if (left < 0) break;
    yield bytes;
  }
  if (left !== 0 || `sha256:${hash.digest("hex")}` !== digest) {
    // Gone, it is fetched again by the next pull or load; there, it would be taken for whole.
    await content.delete(digest);
    // The client sees an archive that breaks off: its status was sent long ago.
    log("error", "content is corrupt on disk and was removed: pull or load the image again", { digest });
    throw new SystemError(`content ${digest} is corrupt on disk: pull or load the image again`, {
      subject: digest,
    });
  }
  yield paddingAfter(size);
}

function* document(name: string, value: object): Generator<Uint8Array> {
  const bytes = Buffer.from(`${JSON.stringify(value)}\n`);
  yield encodeHeader({ name, type: "file", mode: 0o644, size: bytes.byteLength });
  yield bytes;
  yield paddingAfter(bytes.byteLength);
}
