/**
 * The queue of what may be garbage. Whoever takes a reference away writes a review down in the same transaction; a review
 * looks whether anything still refers to its subject, after the time that was given.
 */
import type { BlobDigest } from "../../../core/registry-bytes.ts";
import type { Sql } from "../../../core/sql.ts";

export type ReviewKind = "manifest" | "link" | "blob";

export interface Review {
  readonly kind: ReviewKind;
  /** 0 for a blob: it is nobody's. */
  readonly repoId: number;
  readonly digest: BlobDigest;
  readonly attempts: number;
}

/** A review that waits already becomes due at the earlier of both times. */
export async function queueReview(
  sql: Sql,
  { kind, repoId, digest }: Omit<Review, "attempts">,
  reviewAfter: number,
): Promise<void> {
  await sql.run(
    `INSERT INTO reviews (kind, repo_id, digest, review_after, attempts) VALUES (?, ?, ?, ?, 0)
     ON CONFLICT (kind, repo_id, digest) DO UPDATE SET review_after =
       CASE WHEN reviews.review_after < excluded.review_after THEN reviews.review_after ELSE excluded.review_after END`,
    kind,
    repoId,
    digest,
    reviewAfter,
  );
}

/** One that is due and that nobody else works on. */
export async function takeDueReview(sql: Sql, now: number): Promise<Review | undefined> {
  return await sql.get<Review>(
    `SELECT kind, repo_id AS "repoId", digest, attempts FROM reviews WHERE review_after <= ?
     ORDER BY review_after LIMIT 1${sql.dialect.forUpdateSkipLocked}`,
    now,
  );
}

export async function finishReview(sql: Sql, { kind, repoId, digest }: Review): Promise<void> {
  await sql.run("DELETE FROM reviews WHERE kind = ? AND repo_id = ? AND digest = ?", kind, repoId, digest);
}

export async function postponeReview(
  sql: Sql,
  { kind, repoId, digest }: Review,
  reviewAfter: number,
): Promise<void> {
  await sql.run(
    "UPDATE reviews SET review_after = ?, attempts = attempts + 1 WHERE kind = ? AND repo_id = ? AND digest = ?",
    reviewAfter,
    kind,
    repoId,
    digest,
  );
}

export async function countReviews(sql: Sql, now: number): Promise<{ waiting: number; due: number }> {
  const row = await sql.get<{ waiting: number; due: number }>(
    `SELECT COUNT(*) AS waiting, COALESCE(SUM(CASE WHEN review_after <= ? THEN 1 ELSE 0 END), 0) AS due FROM reviews`,
    now,
  );
  return { waiting: row?.waiting ?? 0, due: row?.due ?? 0 };
}
