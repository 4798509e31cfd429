/**
 * Removing images, with Docker's rules: a name is untagged; the last name takes the image with it; an id takes the
 * image and its names, if they are of one repository. Containers stand in the way, unless forced and not running.
 * @see moby `daemon/images/image_delete.go`
 */
import { hexOf } from "../../core/digests.ts";
import { ConflictError } from "../../core/errors.ts";
import type { EventSink } from "../../core/events.ts";
import { type Digest, shortId } from "../../core/ids.ts";
import {
  canonicalString,
  familiarString,
  parseReference,
  type Reference,
  repositoryOf,
  withDefaultTag,
  withDigest,
} from "../../core/references.ts";
import type { FindUsers } from "./describe.ts";
import type { ImageRecord, ImageStore } from "./store.ts";

export interface RemovalParts {
  readonly store: ImageStore;
  readonly usersOf: FindUsers;
  /** Also true while a container is being made of it. */
  readonly isInUse: (imageId: Digest) => boolean;
  readonly events: EventSink;
}

export type RemovedItem = { readonly Untagged: string } | { readonly Deleted: string };

/** @throws NotFoundError; ConflictError in Docker's words */
export async function removeImage(parts: RemovalParts, name: string, force: boolean): Promise<RemovedItem[]> {
  const image = parts.store.get(name);
  const variants = parts.store.shownWith(image).filter(({ id }) => id !== image.id);
  const removed: RemovedItem[] = [];
  if (!isIdPrefix(image.id, name)) {
    const reference = storedReference(name);
    checkReferenceUnused(parts, image, reference, force);
    untag(parts, image, reference, removed);
    untagDigestsOfSameName(parts, image, reference, removed);
    if (parts.store.referencesTo(image.id).length > 0) return removed;
    // A step of another build: it lost a name, and stays.
    if (parts.store.childrenOf(image.id).length > 0) return removed;
    // The name is gone, and that is what was asked for: the image stays quietly if something uses it.
    if (parts.usersOf(image.id).length > 0 && conflictOf(parts, image, force)) return removed;
  } else if (isOfOneRepository(parts.store.referencesTo(image.id))) {
    const conflict = conflictOf(parts, image, force, { ignoreReferences: true });
    if (conflict) throw conflict;
    for (const reference of parts.store.referencesTo(image.id)) untag(parts, image, reference, removed);
  }
  const conflict = conflictOf(parts, image, force);
  if (conflict) throw conflict;
  await deleteImage(parts, image, removed);
  // Those for other platforms that came under the same name, unless something uses them.
  for (const variant of variants) {
    const kept = parts.store.isVariant(variant) || parts.store.referencesTo(variant.id).length > 0;
    if (!kept && !parts.isInUse(variant.id)) await deleteImage(parts, variant, removed);
  }
  return removed;
}

/**
 * Takes names from an image that containers use, in order, for as long as `docker rmi` would let them go: one is left.
 * @see moby daemon/images/image_prune.go
 */
export async function untagSpareNames(parts: RemovalParts, image: ImageRecord): Promise<RemovedItem[]> {
  if (parts.usersOf(image.id).length === 0) return [];
  const removed: RemovedItem[] = [];
  for (const reference of parts.store.referencesTo(image.id)) {
    // Went with the last tag of its repository.
    if (!parts.store.findReference(reference)) continue;
    try {
      removed.push(...(await removeImage(parts, canonicalString(reference), false)));
    } catch (error) {
      if (!(error instanceof ConflictError)) throw error;
    }
  }
  return removed;
}

/** Removes an image that nothing stands in the way of, with all its names. */
export async function deleteImage(
  parts: RemovalParts,
  image: ImageRecord,
  removed: RemovedItem[],
): Promise<void> {
  for (const reference of parts.store.referencesTo(image.id)) untag(parts, image, reference, removed);
  const layers = await parts.store.remove(image, { inUse: parts.isInUse(image.id) });
  publish(parts, image, "delete", image.id);
  removed.push({ Deleted: image.id });
  for (const chainId of layers) removed.push({ Deleted: chainId });
  await deleteSpareParent(parts, image, removed);
}

/** The steps that an image was built in go with it, as far as nothing else needs them. */
async function deleteSpareParent(
  parts: RemovalParts,
  { parent }: ImageRecord,
  removed: RemovedItem[],
): Promise<void> {
  const image = parent && parts.store.findById(parent);
  if (!image || parts.isInUse(image.id)) return;
  if (parts.store.referencesTo(image.id).length > 0 || parts.store.childrenOf(image.id).length > 0) return;
  await deleteImage(parts, image, removed);
}

function storedReference(name: string): Reference {
  const reference = withDefaultTag(parseReference(name));
  return reference.digest ? withDigest(reference, reference.digest) : reference;
}

function isIdPrefix(id: Digest, text: string): boolean {
  return text.startsWith("sha256:") ? id.startsWith(text) : hexOf(id).startsWith(text);
}

/** At most one tag, and digests of that tag's repository only. */
function isOfOneRepository(references: readonly Reference[]): boolean {
  if (references.length <= 1) return true;
  const tags = references.filter((reference) => reference.tag !== undefined);
  return tags.length <= 1 && new Set(references.map(repositoryOf)).size === 1;
}

function checkReferenceUnused(
  parts: RemovalParts,
  image: ImageRecord,
  reference: Reference,
  force: boolean,
): void {
  if (force || !isOfOneRepository(parts.store.referencesTo(image.id))) return;
  const [user] = parts.usersOf(image.id);
  if (!user) return;
  throw new ConflictError(
    `conflict: unable to remove repository reference ${JSON.stringify(familiarString(reference))} (must force) - container ${shortId(user.id)} is using its referenced image ${shortId(image.id)}`,
    { subject: image.id },
  );
}

/** Digests do not keep a repository alive once its last tag is gone. */
function untagDigestsOfSameName(
  parts: RemovalParts,
  image: ImageRecord,
  gone: Reference,
  removed: RemovedItem[],
): void {
  if (gone.digest !== undefined) return;
  const same = parts.store
    .referencesTo(image.id)
    .filter((reference) => repositoryOf(reference) === repositoryOf(gone));
  if (same.some((reference) => reference.tag !== undefined)) return;
  for (const reference of same) untag(parts, image, reference, removed, { silent: true });
}

function untag(
  parts: RemovalParts,
  image: ImageRecord,
  reference: Reference,
  removed: RemovedItem[],
  { silent = false } = {},
): void {
  parts.store.removeReference(reference);
  removed.push({ Untagged: familiarString(reference) });
  if (!silent) publish(parts, image, "untag", image.id);
}

function conflictOf(
  { store, usersOf }: RemovalParts,
  image: ImageRecord,
  force: boolean,
  { ignoreReferences = false } = {},
): ConflictError | undefined {
  if (store.childrenOf(image.id).length > 0) {
    return conflict(image, "cannot be forced", "image has dependent child images");
  }
  const users = usersOf(image.id);
  const running = users.find((user) => user.running);
  if (running) {
    return conflict(
      image,
      "cannot be forced",
      `image is being used by running container ${shortId(running.id)}`,
    );
  }
  if (force) return undefined;
  if (!ignoreReferences && store.referencesTo(image.id).length > 0) {
    return conflict(image, "must be forced", "image is referenced in multiple repositories");
  }
  const [stopped] = users;
  return (
    stopped &&
    conflict(image, "must be forced", `image is being used by stopped container ${shortId(stopped.id)}`)
  );
}

function conflict(image: ImageRecord, how: string, why: string): ConflictError {
  return new ConflictError(`conflict: unable to delete ${shortId(image.id)} (${how}) - ${why}`, {
    subject: image.id,
  });
}

function publish({ events }: RemovalParts, image: ImageRecord, action: string, name: string): void {
  events.publish({
    type: "image",
    action,
    actor: { id: image.id, attributes: { ...image.config.config?.Labels, name } },
  });
}
