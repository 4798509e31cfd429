/**
 * Garbage collection, all the time and beside everything else. It never walks the registry: whoever takes a reference away
 * queues a review, and a review looks at one thing. Bytes go in steps that a crash may stop anywhere:
 *
 *     no link → blob row `deleting` (committed) → bytes → row
 *
 * A push that finds a `deleting` blob uploads it anew, under another key.
 */
import { log } from "../../../base/log.ts";
import { messageOf } from "../../../core/errors.ts";
import type { BlobDigest } from "../../../core/registry-bytes.ts";
import type { Sql } from "../../../core/sql.ts";
import type { RegistryDeps } from "../deps.ts";
import { unlinkBlob } from "../store/blobs.ts";
import { finishReview, postponeReview, queueReview, type Review, takeDueReview } from "../store/reviews.ts";
import { expiredUploads, findUpload } from "../store/uploads.ts";
import { removeWithChildren } from "./manifests.ts";
import { dropUpload } from "./uploads.ts";

/** Between looks at an empty queue. */
const IDLE = 1_000;
/** Doubled with each failed try, up to an hour. */
const FIRST_DELAY = 5_000;
const LONGEST_DELAY = 3600_000;
const SWEEP_EVERY = 3600_000;
/** What nobody owns may be an upload of a moment ago. */
const SWEEP_AGE = 24 * 3600_000;

/** What a review found: something to do after the commit, a later time to look again, or nothing. */
type Verdict =
  | { readonly remove: string; readonly digest: BlobDigest }
  | { readonly later: number }
  | undefined;

export class Collector implements AsyncDisposable {
  readonly #deps: RegistryDeps;
  readonly #stopped = new AbortController();
  #running: Promise<void> | undefined;
  #sweptAt = 0;

  constructor(deps: RegistryDeps) {
    this.#deps = deps;
  }

  /** Finishes what a crash left half done, then goes on until disposed. */
  async start(): Promise<void> {
    const left = await this.#deps.database.reader.all<{ digest: BlobDigest; objectKey: string }>(
      `SELECT digest, object_key AS "objectKey" FROM blobs WHERE state = 'deleting'`,
    );
    for (const { digest, objectKey } of left) await this.#removeBytes(digest, objectKey);
    this.#running = this.#run();
  }

  async #run(): Promise<void> {
    while (!this.#stopped.signal.aborted) {
      try {
        if (await this.reviewOne()) continue;
        await this.#expireUploads();
        await this.#sweep();
      } catch (error) {
        log("error", "registry: collecting garbage failed; it goes on later", { error: messageOf(error) });
      }
      await pause(IDLE, this.#stopped.signal);
    }
  }

  /** Works on what is due first. @returns whether there was something */
  async reviewOne(): Promise<boolean> {
    const { database, clock } = this.#deps;
    let taken: Review | undefined;
    try {
      const verdict = await database.transaction(async (sql): Promise<Verdict | "idle"> => {
        taken = await takeDueReview(sql, clock());
        if (!taken) return "idle";
        const found = await this.#judge(sql, taken);
        if (found && "later" in found) await postponeReview(sql, taken, found.later);
        else await finishReview(sql, taken);
        return found;
      });
      if (verdict === "idle") return false;
      if (verdict && "remove" in verdict) await this.#removeBytes(verdict.digest, verdict.remove);
    } catch (error) {
      if (!taken) throw error;
      const review = taken;
      const delay = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** review.attempts);
      await database.transaction((sql) => postponeReview(sql, review, clock() + delay));
      log("warn", "registry: a review failed and is put off", {
        digest: review.digest,
        error: messageOf(error),
      });
    }
    return true;
  }

  async #judge(sql: Sql, review: Review): Promise<Verdict> {
    if (review.kind === "manifest") return await this.#judgeManifest(sql, review);
    if (review.kind === "link") return await this.#judgeLink(sql, review);
    return await this.#judgeBlob(sql, review);
  }

  /** Goes if no tag, no index and no living subject holds it. */
  async #judgeManifest(sql: Sql, { repoId, digest }: Review): Promise<Verdict> {
    const row = await sql.get<{ subject: string | null }>(
      `SELECT subject FROM manifests WHERE repo_id = ? AND digest = ?${sql.dialect.forUpdate}`,
      repoId,
      digest,
    );
    if (!row) return undefined;
    const held = await sql.get(
      `SELECT 1 AS held WHERE EXISTS (SELECT 1 FROM tags WHERE repo_id = ? AND digest = ?)
       OR EXISTS (SELECT 1 FROM manifest_refs WHERE repo_id = ? AND child = ?)
       OR EXISTS (SELECT 1 FROM manifests WHERE repo_id = ? AND digest = ?)`,
      repoId,
      digest,
      repoId,
      digest,
      repoId,
      row.subject ?? "",
    );
    if (!held) await removeWithChildren(sql, repoId, digest, this.#deps.clock());
    return undefined;
  }

  /** Goes if no manifest names the blob and nobody was told of it lately. */
  async #judgeLink(sql: Sql, { repoId, digest }: Review): Promise<Verdict> {
    const link = await sql.get<{ heldUntil: number }>(
      `SELECT held_until AS "heldUntil" FROM repo_blobs WHERE repo_id = ? AND digest = ?${sql.dialect.forUpdate}`,
      repoId,
      digest,
    );
    if (!link) return undefined;
    const named = await sql.get(
      "SELECT child FROM manifest_refs WHERE repo_id = ? AND child = ? LIMIT 1",
      repoId,
      digest,
    );
    if (named) return undefined;
    if (link.heldUntil > this.#deps.clock()) return { later: link.heldUntil };
    await unlinkBlob(sql, repoId, digest);
    await queueReview(sql, { kind: "blob", repoId: 0, digest }, this.#deps.clock());
    return undefined;
  }

  async #judgeBlob(sql: Sql, { digest }: Review): Promise<Verdict> {
    const blob = await sql.get<{ objectKey: string }>(
      `SELECT object_key AS "objectKey" FROM blobs WHERE digest = ?${sql.dialect.forUpdate}`,
      digest,
    );
    if (!blob) return undefined;
    const linked = await sql.get("SELECT digest FROM repo_blobs WHERE digest = ? LIMIT 1", digest);
    if (linked) return undefined;
    await sql.run("UPDATE blobs SET state = 'deleting' WHERE digest = ?", digest);
    return { remove: blob.objectKey, digest };
  }

  /**
   * The row tells a crash that there is something left to do, so it goes last; and only if nobody sealed the digest again
   * meanwhile, whose bytes have a key of their own.
   */
  async #removeBytes(digest: BlobDigest, objectKey: string): Promise<void> {
    await this.#deps.bytes.delete(objectKey);
    await this.#deps.database.transaction((sql) =>
      sql.run(
        "DELETE FROM blobs WHERE digest = ? AND object_key = ? AND state = 'deleting'",
        digest,
        objectKey,
      ),
    );
  }

  async #expireUploads(): Promise<void> {
    for (const upload of await expiredUploads(this.#deps.database.reader, this.#deps.clock(), 100)) {
      await dropUpload(this.#deps, upload);
    }
  }

  /** What a crash left between bytes and record. */
  async #sweep(): Promise<void> {
    const { database, bytes, clock } = this.#deps;
    if (clock() - this.#sweptAt < SWEEP_EVERY) return;
    this.#sweptAt = clock();
    await bytes.sweep(clock() - SWEEP_AGE, async (name) =>
      name.kind === "upload"
        ? (await findUpload(database.reader, name.uploadId)) !== undefined
        : (await database.reader.get("SELECT digest FROM blobs WHERE object_key = ?", name.objectKey)) !==
          undefined,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped.abort();
    await this.#running;
  }
}

async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, milliseconds);
  signal.addEventListener("abort", () => resolve(), { once: true });
  await promise;
  clearTimeout(timer);
}
