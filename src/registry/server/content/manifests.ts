/** Manifests and tags: pushed, found, taken away. What a manifest names is in its repository, or it is refused. */
import { createHash } from "node:crypto";
import type { BlobDigest } from "../../../core/registry-bytes.ts";
import type { Sql } from "../../../core/sql.ts";
import type { RegistryDeps } from "../deps.ts";
import { RegistryError } from "../errors.ts";
import { type ManifestFacts, readManifest } from "../manifests.ts";
import type { ManifestReference } from "../names.ts";
import { lockLinkedBlobs } from "../store/blobs.ts";
import {
  findManifest,
  findTaggedManifest,
  hasManifest,
  type ManifestRow,
  putTag,
  recordManifest,
  removeManifest,
  removeTag,
} from "../store/manifests.ts";
import { ensureRepository, type RepositoryRow } from "../store/repositories.ts";
import { queueReview } from "../store/reviews.ts";

/** @see distribution `registry/handlers/manifests.go` maxManifestBodySize */
export const LARGEST_MANIFEST = 4 << 20;
/** What one answer names of what is missing. */
const MOST_NAMED = 100;

/** @throws RegistryError MANIFEST_UNKNOWN */
export async function getManifest(
  deps: RegistryDeps,
  repository: RepositoryRow | undefined,
  reference: ManifestReference,
): Promise<ManifestRow> {
  const { reader } = deps.database;
  const found =
    repository &&
    (reference.kind === "tag"
      ? await findTaggedManifest(reader, repository.name, reference.tag)
      : await findManifest(reader, repository.id, reference.digest));
  if (!found) throw unknownManifest(reference);
  return found;
}

export interface PushedManifest {
  readonly digest: BlobDigest;
  readonly facts: ManifestFacts;
}

/**
 * @param push.tags more tags than the reference's own
 * @throws RegistryError MANIFEST_INVALID, DIGEST_INVALID, MANIFEST_BLOB_UNKNOWN
 */
export async function putManifest(
  deps: RegistryDeps,
  push: {
    readonly repository: string;
    readonly reference: ManifestReference;
    readonly tags: readonly string[];
    readonly contentType: string;
    readonly payload: Uint8Array;
    readonly account: string;
  },
): Promise<PushedManifest> {
  const { reference, payload } = push;
  const facts = readManifest(payload, push.contentType);
  const digest = digestLike(reference, payload);
  const tags = reference.kind === "tag" ? [reference.tag, ...push.tags] : push.tags;
  const now = deps.clock();
  await deps.database.transaction(async (sql) => {
    const { id: repoId } = await ensureRepository(sql, {
      name: push.repository,
      visibility: deps.policy.visibility,
      now,
    });
    await checkChildren(sql, repoId, facts);
    await recordManifest(sql, { repoId, digest, facts, payload, by: push.account, now });
    for (const tag of tags) await putTag(sql, { repoId, tag, digest, by: push.account, now });
  });
  return { digest, facts };
}

/** A tag alone, or a manifest with all its tags. @throws RegistryError MANIFEST_UNKNOWN */
export async function deleteManifest(
  deps: RegistryDeps,
  repository: RepositoryRow | undefined,
  reference: ManifestReference,
): Promise<BlobDigest> {
  const reviewAfter = deps.clock() + deps.policy.deleteGrace;
  const removed =
    repository &&
    (await deps.database.transaction(async (sql) =>
      reference.kind === "tag"
        ? await untag(sql, repository.id, reference.tag, reviewAfter)
        : await removeWithChildren(sql, repository.id, reference.digest, reviewAfter),
    ));
  if (removed === undefined) throw unknownManifest(reference);
  return removed;
}

async function untag(
  sql: Sql,
  repoId: number,
  tag: string,
  reviewAfter: number,
): Promise<BlobDigest | undefined> {
  const digest = await removeTag(sql, repoId, tag);
  if (digest !== undefined) await queueReview(sql, { kind: "manifest", repoId, digest }, reviewAfter);
  return digest;
}

/** What the manifest referred to is reviewed: its blobs' links, the manifests below it, and those that describe it. */
export async function removeWithChildren(
  sql: Sql,
  repoId: number,
  digest: BlobDigest,
  reviewAfter: number,
): Promise<BlobDigest | undefined> {
  const children = await removeManifest(sql, repoId, digest);
  if (!children) return undefined;
  for (const { child, kind } of children) {
    await queueReview(
      sql,
      { kind: kind === "manifest" ? "manifest" : "link", repoId, digest: child },
      reviewAfter,
    );
  }
  const referrers = await sql.all<{ digest: BlobDigest }>(
    "SELECT digest FROM manifests WHERE repo_id = ? AND subject = ?",
    repoId,
    digest,
  );
  for (const referrer of referrers)
    await queueReview(sql, { kind: "manifest", repoId, digest: referrer.digest }, reviewAfter);
  return digest;
}

/** @throws RegistryError MANIFEST_BLOB_UNKNOWN naming what is missing */
async function checkChildren(sql: Sql, repoId: number, facts: ManifestFacts): Promise<void> {
  const blobs = facts.children.filter(({ kind }) => kind !== "manifest");
  const linked = await lockLinkedBlobs(
    sql,
    repoId,
    blobs.map(({ digest }) => digest),
  );
  const missing: BlobDigest[] = [];
  for (const { digest, size } of blobs) {
    const found = linked.get(digest);
    if (found === undefined) missing.push(digest);
    else if (found !== size) {
      throw new RegistryError(
        "MANIFEST_INVALID",
        `manifest invalid: ${digest} has ${found} bytes, not ${size}`,
      );
    }
  }
  for (const { digest, kind } of facts.children) {
    if (kind === "manifest" && !(await hasManifest(sql, repoId, digest))) missing.push(digest);
  }
  if (missing.length === 0) return;
  throw new RegistryError("MANIFEST_BLOB_UNKNOWN", "blob unknown to registry", {
    detail: missing.slice(0, MOST_NAMED).map((digest) => ({ digest })),
  });
}

/** By the algorithm that the client names it with. @throws RegistryError DIGEST_INVALID */
function digestLike(reference: ManifestReference, payload: Uint8Array): BlobDigest {
  const wanted = reference.kind === "digest" ? reference.digest : undefined;
  const algorithm = wanted?.split(":")[0] ?? "sha256";
  const digest = `${algorithm}:${createHash(algorithm).update(payload).digest("hex")}`;
  if (wanted !== undefined && wanted !== digest) {
    throw new RegistryError("DIGEST_INVALID", "provided digest did not match uploaded content", {
      detail: { digest: wanted },
    });
  }
  return digest;
}

function unknownManifest(reference: ManifestReference): RegistryError {
  const name = reference.kind === "tag" ? { tag: reference.tag } : { digest: reference.digest };
  return new RegistryError("MANIFEST_UNKNOWN", "manifest unknown", { detail: name });
}
