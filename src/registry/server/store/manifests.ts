/** Manifests, what they refer to, and their tags. */
import type { BlobDigest } from "../../../core/registry-bytes.ts";
import type { Sql } from "../../../core/sql.ts";
import type { ManifestFacts } from "../manifests.ts";

export interface ManifestRow {
  readonly digest: BlobDigest;
  readonly mediaType: string;
  readonly payload: Uint8Array;
}

export interface ReferrerRow {
  readonly digest: BlobDigest;
  readonly mediaType: string;
  readonly artifactType: string | null;
  readonly annotations: string | null;
  readonly size: number;
}

export async function findManifest(
  sql: Sql,
  repoId: number,
  digest: BlobDigest,
): Promise<ManifestRow | undefined> {
  return await sql.get(
    `SELECT digest, media_type AS "mediaType", payload FROM manifests WHERE repo_id = ? AND digest = ?`,
    repoId,
    digest,
  );
}

/** By tag: one query, since every pull begins with it. */
export async function findTaggedManifest(
  sql: Sql,
  repository: string,
  tag: string,
): Promise<ManifestRow | undefined> {
  return await sql.get(
    `SELECT manifests.digest AS "digest", media_type AS "mediaType", payload FROM repositories
     JOIN tags ON tags.repo_id = repositories.id
     JOIN manifests ON manifests.repo_id = tags.repo_id AND manifests.digest = tags.digest
     WHERE repositories.name = ? AND tags.name = ?`,
    repository,
    tag,
  );
}

export async function hasManifest(sql: Sql, repoId: number, digest: BlobDigest): Promise<boolean> {
  const row = await sql.get(
    `SELECT digest FROM manifests WHERE repo_id = ? AND digest = ?${sql.dialect.forShare}`,
    repoId,
    digest,
  );
  return row !== undefined;
}

export interface NewManifest {
  readonly repoId: number;
  readonly digest: BlobDigest;
  readonly facts: ManifestFacts;
  readonly payload: Uint8Array;
  readonly by: string;
  readonly now: number;
}

/** An update, not nothing, where it exists: it takes the row's lock, which a review waits for. */
export async function recordManifest(
  sql: Sql,
  { repoId, digest, facts, payload, by, now }: NewManifest,
): Promise<void> {
  await sql.run(
    `INSERT INTO manifests (repo_id, digest, media_type, artifact_type, subject, annotations, payload, size, pushed_at, pushed_by)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (repo_id, digest) DO UPDATE SET pushed_at = excluded.pushed_at, media_type = excluded.media_type`,
    repoId,
    digest,
    facts.mediaType,
    facts.artifactType ?? null,
    facts.subject ?? null,
    facts.annotations ? JSON.stringify(facts.annotations) : null,
    payload,
    payload.byteLength,
    now,
    by,
  );
  for (const { digest: child, kind } of facts.children) {
    await sql.run(
      `INSERT INTO manifest_refs (repo_id, parent, child, kind) VALUES (?, ?, ?, ?)
       ON CONFLICT (repo_id, parent, child) DO NOTHING`,
      repoId,
      digest,
      child,
      kind,
    );
  }
}

/** The manifest, its tags and its references. @returns what it referred to, or undefined if there is none */
export async function removeManifest(
  sql: Sql,
  repoId: number,
  digest: BlobDigest,
): Promise<{ child: BlobDigest; kind: string }[] | undefined> {
  if ((await sql.run("DELETE FROM manifests WHERE repo_id = ? AND digest = ?", repoId, digest)) === 0)
    return undefined;
  const children = await sql.all<{ child: BlobDigest; kind: string }>(
    "SELECT child, kind FROM manifest_refs WHERE repo_id = ? AND parent = ?",
    repoId,
    digest,
  );
  await sql.run("DELETE FROM manifest_refs WHERE repo_id = ? AND parent = ?", repoId, digest);
  await sql.run("DELETE FROM tags WHERE repo_id = ? AND digest = ?", repoId, digest);
  return children;
}

/** Manifests that name this one as their subject, in the order of their digests. */
export async function listReferrers(
  sql: Sql,
  {
    repoId,
    subject,
    artifactType,
    after,
    limit,
  }: { repoId: number; subject: BlobDigest; artifactType: string | undefined; after: string; limit: number },
): Promise<ReferrerRow[]> {
  const filter = artifactType === undefined ? "" : " AND artifact_type = ?";
  return await sql.all<ReferrerRow>(
    `SELECT digest, media_type AS "mediaType", artifact_type AS "artifactType", annotations, size FROM manifests
     WHERE repo_id = ? AND subject = ? AND digest > ?${filter} ORDER BY digest LIMIT ?`,
    repoId,
    subject,
    after,
    ...(artifactType === undefined ? [] : [artifactType]),
    limit,
  );
}

export async function findTag(sql: Sql, repoId: number, tag: string): Promise<BlobDigest | undefined> {
  const row = await sql.get<{ digest: BlobDigest }>(
    `SELECT digest FROM tags WHERE repo_id = ? AND name = ?${sql.dialect.forUpdate}`,
    repoId,
    tag,
  );
  return row?.digest;
}

export async function putTag(
  sql: Sql,
  {
    repoId,
    tag,
    digest,
    by,
    now,
  }: { repoId: number; tag: string; digest: BlobDigest; by: string; now: number },
): Promise<void> {
  await sql.run(
    `INSERT INTO tags (repo_id, name, digest, updated_at, updated_by) VALUES (?, ?, ?, ?, ?)
     ON CONFLICT (repo_id, name) DO UPDATE
     SET digest = excluded.digest, updated_at = excluded.updated_at, updated_by = excluded.updated_by`,
    repoId,
    tag,
    digest,
    now,
    by,
  );
}

/** @returns what it pointed to */
export async function removeTag(sql: Sql, repoId: number, tag: string): Promise<BlobDigest | undefined> {
  const digest = await findTag(sql, repoId, tag);
  if (digest !== undefined) await sql.run("DELETE FROM tags WHERE repo_id = ? AND name = ?", repoId, tag);
  return digest;
}

/** In the order of their bytes, after one that need not exist. */
export async function listTags(sql: Sql, repoId: number, after: string, limit: number): Promise<string[]> {
  const rows = await sql.all<{ name: string }>(
    "SELECT name FROM tags WHERE repo_id = ? AND name > ? ORDER BY name LIMIT ?",
    repoId,
    after,
    limit,
  );
  return rows.map(({ name }) => name);
}
