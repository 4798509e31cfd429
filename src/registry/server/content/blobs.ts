/** Blobs of a repository: found, mounted from another, taken away. */
import type { BlobDigest } from "../../../core/registry-bytes.ts";
import type { RegistryDeps } from "../deps.ts";
import { RegistryError } from "../errors.ts";
import {
  type BlobRow,
  findLinkedBlob,
  holdLink,
  linkBlob,
  repositoriesWith,
  unlinkBlob,
} from "../store/blobs.ts";
import { ensureRepository, findRepository, type RepositoryRow } from "../store/repositories.ts";
import { queueReview } from "../store/reviews.ts";

/** Asked about again within so much of the time, a link is not written again. */
const HELD_ENOUGH = 0.95;
/** Of repositories that a mount without `from` looks at. */
const MOST_SOURCES = 100;

/** The blob, if this repository has it. @throws RegistryError BLOB_UNKNOWN */
export async function getBlob(
  deps: RegistryDeps,
  repository: RepositoryRow | undefined,
  digest: BlobDigest,
): Promise<BlobRow & { readonly heldUntil: number }> {
  const found = repository && (await findLinkedBlob(deps.database.reader, repository.id, digest));
  if (!found) throw unknownBlob(digest);
  return found;
}

/** A push was told that the blob is there: it counts on finding it for a while. */
export async function holdBlob(
  { database, clock, policy }: RegistryDeps,
  repository: RepositoryRow,
  { digest, heldUntil }: { digest: BlobDigest; heldUntil: number },
): Promise<void> {
  const now = clock();
  if (heldUntil >= now + policy.uploadGrace * HELD_ENOUGH) return;
  await database.transaction((sql) => holdLink(sql, repository.id, digest, now + policy.uploadGrace));
}

/**
 * Gives a repository what another has, if the caller may pull there.
 * @param from undefined: any that the caller may pull from
 * @returns where it came from, or undefined if that cannot be: the client uploads then
 */
export async function mountBlob(
  deps: RegistryDeps,
  target: string,
  {
    digest,
    from,
    mayPull,
  }: {
    digest: BlobDigest;
    from: string | undefined;
    mayPull: (repository: RepositoryRow) => Promise<boolean>;
  },
): Promise<string | undefined> {
  const { database, clock, policy } = deps;
  const names = from === undefined ? await repositoriesWith(database.reader, digest, MOST_SOURCES) : [from];
  for (const name of names) {
    const source = await findRepository(database.reader, name);
    if (!source || !(await mayPull(source))) continue;
    const now = clock();
    const mounted = await database.transaction(async (sql) => {
      if (!(await findLinkedBlob(sql, source.id, digest))) return false;
      const { id } = await ensureRepository(sql, { name: target, visibility: policy.visibility, now });
      if (!(await linkBlob(sql, id, digest, now + policy.uploadGrace))) return false;
      await queueReview(sql, { kind: "link", repoId: id, digest }, now + policy.uploadGrace);
      return true;
    });
    if (mounted) return name;
  }
  return undefined;
}

/** The repository has it no more; the bytes go when nobody else has them. @throws RegistryError BLOB_UNKNOWN */
export async function deleteBlob(
  deps: RegistryDeps,
  repository: RepositoryRow | undefined,
  digest: BlobDigest,
): Promise<void> {
  const { database, clock, policy } = deps;
  const removed =
    repository &&
    (await database.transaction(async (sql) => {
      if (!(await unlinkBlob(sql, repository.id, digest))) return false;
      await queueReview(sql, { kind: "blob", repoId: 0, digest }, clock() + policy.deleteGrace);
      return true;
    }));
  if (!removed) throw unknownBlob(digest);
}

export function unknownBlob(digest: BlobDigest): RegistryError {
  return new RegistryError("BLOB_UNKNOWN", "blob unknown to registry", { detail: { digest } });
}
