/**
 * Uploads: begun, added to, finished or given up. Any instance answers any request of one. Bytes are durable before an
 * offset is told, and a blob is verified before it has a name.
 *
 * Ordering of an end: bytes sealed → blob, link and end of the upload in one transaction → answer. A crash in between leaves
 * an object that nobody owns, which the sweep takes away.
 */
import { randomUUID } from "node:crypto";
import { InvalidParameterError, NotFoundError } from "../../../core/errors.ts";
import type { BlobDigest, UploadState } from "../../../core/registry-bytes.ts";
import type { RegistryDeps } from "../deps.ts";
import { RegistryError } from "../errors.ts";
import { linkBlob, recordBlob } from "../store/blobs.ts";
import { ensureRepository, type RepositoryRow } from "../store/repositories.ts";
import { queueReview } from "../store/reviews.ts";
import {
  findUpload,
  keepUpload,
  recordUpload,
  removeUpload,
  saveUpload,
  takeUpload,
  type UploadRow,
} from "../store/uploads.ts";

/** How long one request has an upload before another may have it; made longer while bytes come. */
const LOCK = 60_000;

export interface UploadOwner {
  readonly repository: string;
  /** Empty for anonymous. */
  readonly account: string;
}

export interface ChunkRange {
  readonly start: number;
  /** Inclusive. */
  readonly end: number;
}

/** A new upload in a repository, which is made if need be. */
export async function beginUpload(deps: RegistryDeps, owner: UploadOwner): Promise<UploadRow> {
  const { database, bytes, clock, policy } = deps;
  const id = randomUUID();
  const state = await bytes.begin(id);
  const now = clock();
  return await database.transaction(async (sql) => {
    const repository = await ensureRepository(sql, {
      name: owner.repository,
      visibility: policy.visibility,
      now,
    });
    const upload = { id, repoId: repository.id, account: owner.account, state };
    await recordUpload(sql, { ...upload, expiresAt: now + policy.uploadLife });
    return { ...upload, version: 1 };
  });
}

/** @throws RegistryError BLOB_UPLOAD_UNKNOWN also for somebody else's, and for one of another repository */
export async function getUpload(
  deps: RegistryDeps,
  id: string,
  owner: UploadOwner,
  repository: RepositoryRow | undefined,
): Promise<UploadRow> {
  const upload = await findUpload(deps.database.reader, id);
  if (!upload || !repository || upload.repoId !== repository.id || upload.account !== owner.account)
    throw unknownUpload(id);
  return upload;
}

/**
 * Adds a chunk. What came before a body broke off is kept.
 * @param range where the chunk says that it belongs
 * @throws RegistryError RANGE_INVALID: the upload stays as it is; SIZE_INVALID
 */
export async function appendChunk(
  deps: RegistryDeps,
  upload: UploadRow,
  { range, body }: { range: ChunkRange | undefined; body: AsyncIterable<Uint8Array> },
): Promise<UploadState> {
  if (range && range.start !== upload.state.offset) throw wrongOffset(upload);
  return await withUpload(deps, upload, async (held) => {
    const limit = range ? range.end + 1 : deps.policy.largestBlob;
    const { state, broken } = await appended(deps, held, body, limit);
    await save(deps, held, state);
    if (broken)
      throw new RegistryError("BLOB_UPLOAD_INVALID", "the request's body ended before its time", {
        cause: broken,
      });
    if (range && state.offset !== range.end + 1) {
      throw new RegistryError("SIZE_INVALID", "the chunk is not as long as its Content-Range says");
    }
    return state;
  });
}

/**
 * The end of an upload, perhaps with its last bytes.
 * @throws RegistryError DIGEST_INVALID: the upload is gone then
 */
export async function finishUpload(
  deps: RegistryDeps,
  upload: UploadRow,
  {
    digest,
    range,
    body,
  }: { digest: BlobDigest; range: ChunkRange | undefined; body: AsyncIterable<Uint8Array> },
): Promise<{ size: number }> {
  if (range && range.start !== upload.state.offset) throw wrongOffset(upload);
  return await withUpload(deps, upload, async (held) => {
    const { state, broken } = await appended(deps, held, body, deps.policy.largestBlob);
    if (broken) {
      await save(deps, held, state);
      throw new RegistryError("BLOB_UPLOAD_INVALID", "the request's body ended before its time", {
        cause: broken,
      });
    }
    const sealed = await deps.bytes.seal(held.id, state, digest).catch(async (error: unknown) => {
      if (!(error instanceof InvalidParameterError)) throw error;
      await dropUpload(deps, { ...held, state });
      throw new RegistryError("DIGEST_INVALID", "provided digest did not match uploaded content", {
        detail: { digest },
      });
    });
    const now = deps.clock();
    const spare = await deps.database.transaction(async (sql) => {
      const unused = await recordBlob(sql, { digest, sealed, now });
      await linkBlob(sql, held.repoId, digest, now + deps.policy.uploadGrace);
      await queueReview(sql, { kind: "link", repoId: held.repoId, digest }, now + deps.policy.uploadGrace);
      await removeUpload(sql, held.id);
      return unused;
    });
    if (spare !== undefined) await deps.bytes.delete(spare);
    return { size: sealed.size };
  });
}

/** Gives an upload up: its bytes are gone. */
export async function dropUpload(deps: RegistryDeps, upload: UploadRow): Promise<void> {
  await deps.database.transaction((sql) => removeUpload(sql, upload.id));
  await deps.bytes.discard(upload.id, upload.state);
}

/** Has the upload for itself while the work runs. @throws RegistryError RANGE_INVALID if another request has it */
async function withUpload<T>(
  deps: RegistryDeps,
  upload: UploadRow,
  work: (held: UploadRow) => Promise<T>,
): Promise<T> {
  const now = deps.clock();
  const held = await deps.database.transaction((sql) =>
    takeUpload(sql, upload, { now, lockedUntil: now + LOCK }),
  );
  if (!held) throw new RegistryError("RANGE_INVALID", "another request is writing to this upload");
  const timer = setInterval(() => {
    const until = deps.clock() + LOCK;
    // If this fails, the save at the end tells it.
    void deps.database.transaction((sql) => keepUpload(sql, held, until)).catch(() => {});
  }, LOCK / 3);
  let saved = false;
  try {
    const result = await work(held);
    saved = true;
    return result;
  } finally {
    clearInterval(timer);
    // A request that failed before it saved anything lets go: what it wrote was never told, and the next one writes over it.
    if (!saved)
      await deps.database.transaction((sql) =>
        saveUpload(sql, held, upload.state, deps.clock() + deps.policy.uploadLife),
      );
  }
}

async function appended(
  deps: RegistryDeps,
  upload: UploadRow,
  body: AsyncIterable<Uint8Array>,
  limit: number,
): Promise<{ state: UploadState; broken?: Error }> {
  try {
    return await deps.bytes.append(upload.id, upload.state, body, limit);
  } catch (error) {
    if (error instanceof InvalidParameterError)
      throw new RegistryError("SIZE_INVALID", error.message, { cause: error, status: 413 });
    if (error instanceof NotFoundError) throw unknownUpload(upload.id);
    throw error;
  }
}

async function save(deps: RegistryDeps, held: UploadRow, state: UploadState): Promise<void> {
  const expiresAt = deps.clock() + deps.policy.uploadLife;
  const saved = await deps.database.transaction((sql) => saveUpload(sql, held, state, expiresAt));
  if (!saved)
    throw new RegistryError("RANGE_INVALID", "another request has written to this upload meanwhile");
}

function unknownUpload(id: string): RegistryError {
  return new RegistryError("BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry", { detail: { id } });
}

function wrongOffset(upload: UploadRow): RegistryError {
  const headers = { Range: uploadRange(upload.state) };
  return new RegistryError("RANGE_INVALID", "the chunk does not begin where the upload ends", { headers });
}

/** As clients read it; an empty upload says `0-0`, since some want an end that is no less than the start. */
export function uploadRange({ offset }: UploadState): string {
  return `0-${Math.max(0, offset - 1)}`;
}
