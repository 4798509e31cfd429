/**
 * Blobs and who holds them. A blob has bytes (one row a digest) and links (one row a repository that has it). A link is
 * held for a while after it was made or asked about, so that a push finds what its first requests found.
 */
import type { BlobDigest, SealedBlob } from "../../../core/registry-bytes.ts";
import type { Sql } from "../../../core/sql.ts";

export interface BlobRow {
  readonly digest: BlobDigest;
  readonly size: number;
  readonly objectKey: string;
}

/** The blob, if this repository has it. One that is being deleted is not there. */
export async function findLinkedBlob(
  sql: Sql,
  repoId: number,
  digest: BlobDigest,
): Promise<(BlobRow & { heldUntil: number }) | undefined> {
  return await sql.get(
    `SELECT blobs.digest AS "digest", size AS "size", object_key AS "objectKey", held_until AS "heldUntil"
     FROM repo_blobs JOIN blobs ON blobs.digest = repo_blobs.digest
     WHERE repo_id = ? AND repo_blobs.digest = ? AND state = 'live'`,
    repoId,
    digest,
  );
}

/** Repositories that have a blob: where it may be mounted from. */
export async function repositoriesWith(sql: Sql, digest: BlobDigest, limit: number): Promise<string[]> {
  const rows = await sql.all<{ name: string }>(
    `SELECT name FROM repo_blobs JOIN repositories ON repositories.id = repo_id WHERE digest = ? ORDER BY name LIMIT ?`,
    digest,
    limit,
  );
  return rows.map(({ name }) => name);
}

/**
 * Records sealed bytes. Where the digest is there already, the bytes of before stay the blob's.
 * @returns the object that is of no use now, if it is another than the blob's
 */
export async function recordBlob(
  sql: Sql,
  { digest, sealed, now }: { digest: BlobDigest; sealed: SealedBlob; now: number },
): Promise<string | undefined> {
  const found = await sql.get<{ objectKey: string; state: string }>(
    `SELECT object_key AS "objectKey", state FROM blobs WHERE digest = ?${sql.dialect.forUpdate}`,
    digest,
  );
  if (found?.state === "live") return found.objectKey === sealed.objectKey ? undefined : sealed.objectKey;
  await sql.run(
    `INSERT INTO blobs (digest, size, object_key, state, created_at) VALUES (?, ?, ?, 'live', ?)
     ON CONFLICT (digest) DO UPDATE SET object_key = excluded.object_key, state = 'live', size = excluded.size`,
    digest,
    sealed.size,
    sealed.objectKey,
    now,
  );
  return undefined;
}

/** False if there is no such blob, or it is being deleted. */
export async function linkBlob(
  sql: Sql,
  repoId: number,
  digest: BlobDigest,
  heldUntil: number,
): Promise<boolean> {
  const live = await sql.get(
    `SELECT digest FROM blobs WHERE digest = ? AND state = 'live'${sql.dialect.forShare}`,
    digest,
  );
  if (!live) return false;
  await sql.run(
    `INSERT INTO repo_blobs (repo_id, digest, held_until) VALUES (?, ?, ?)
     ON CONFLICT (repo_id, digest) DO UPDATE SET held_until = excluded.held_until`,
    repoId,
    digest,
    heldUntil,
  );
  return true;
}

/** Somebody was told that it is there. */
export async function holdLink(
  sql: Sql,
  repoId: number,
  digest: BlobDigest,
  heldUntil: number,
): Promise<void> {
  await sql.run(
    "UPDATE repo_blobs SET held_until = ? WHERE repo_id = ? AND digest = ?",
    heldUntil,
    repoId,
    digest,
  );
}

export async function unlinkBlob(sql: Sql, repoId: number, digest: BlobDigest): Promise<boolean> {
  return (await sql.run("DELETE FROM repo_blobs WHERE repo_id = ? AND digest = ?", repoId, digest)) > 0;
}

/** Of these digests, those that the repository has; their rows stay as they are until the transaction ends. */
export async function lockLinkedBlobs(
  sql: Sql,
  repoId: number,
  digests: readonly BlobDigest[],
): Promise<Map<BlobDigest, number>> {
  const found = new Map<BlobDigest, number>();
  // In the order of their digests, so that two pushes never wait for each other.
  for (const digest of [...digests].sort()) {
    const row = await sql.get<{ size: number }>(
      `SELECT blobs.size FROM blobs JOIN repo_blobs ON repo_blobs.digest = blobs.digest
       WHERE repo_id = ? AND blobs.digest = ? AND state = 'live'${sql.dialect.forShare}`,
      repoId,
      digest,
    );
    if (row) found.set(digest, row.size);
  }
  return found;
}
