/**
 * Uploads under way. All there is to know of one stands in the database, so that any instance continues it. One request at
 * a time has an upload: it takes it with a lock that lapses, and the version tells whether it still has it.
 */
import type { UploadState } from "../../../core/registry-bytes.ts";
import type { Sql } from "../../../core/sql.ts";

export interface UploadRow {
  readonly id: string;
  readonly repoId: number;
  /** Whose it is: nobody else may continue it. */
  readonly account: string;
  readonly state: UploadState;
  readonly version: number;
}

interface StoredUpload {
  readonly id: string;
  readonly repoId: number;
  readonly account: string;
  readonly state: string;
  readonly version: number;
  readonly lockedUntil: number;
}

const COLUMNS = `id, repo_id AS "repoId", account, state, version, locked_until AS "lockedUntil"`;

export async function recordUpload(
  sql: Sql,
  { id, repoId, account, state, expiresAt }: Omit<UploadRow, "version"> & { expiresAt: number },
): Promise<void> {
  await sql.run(
    "INSERT INTO uploads (id, repo_id, account, state, version, locked_until, expires_at) VALUES (?, ?, ?, ?, 1, 0, ?)",
    id,
    repoId,
    account,
    JSON.stringify(state),
    expiresAt,
  );
}

export async function findUpload(sql: Sql, id: string): Promise<UploadRow | undefined> {
  const row = await sql.get<StoredUpload>(`SELECT ${COLUMNS} FROM uploads WHERE id = ?`, id);
  return row && { ...row, state: JSON.parse(row.state) as UploadState };
}

/** Locks the upload for one request. @returns undefined if somebody else has it */
export async function takeUpload(
  sql: Sql,
  upload: UploadRow,
  { now, lockedUntil }: { now: number; lockedUntil: number },
): Promise<UploadRow | undefined> {
  const taken = await sql.run(
    "UPDATE uploads SET version = version + 1, locked_until = ? WHERE id = ? AND version = ? AND locked_until <= ?",
    lockedUntil,
    upload.id,
    upload.version,
    now,
  );
  return taken > 0 ? { ...upload, version: upload.version + 1 } : undefined;
}

/** Longer, while bytes still come. @returns false if the upload is somebody else's by now */
export async function keepUpload(sql: Sql, upload: UploadRow, lockedUntil: number): Promise<boolean> {
  return (
    (await sql.run(
      "UPDATE uploads SET locked_until = ? WHERE id = ? AND version = ?",
      lockedUntil,
      upload.id,
      upload.version,
    )) > 0
  );
}

/** Writes down how far it got and lets go of it. @returns false if the upload is somebody else's by now */
export async function saveUpload(
  sql: Sql,
  upload: UploadRow,
  state: UploadState,
  expiresAt: number,
): Promise<boolean> {
  return (
    (await sql.run(
      "UPDATE uploads SET state = ?, version = version + 1, locked_until = 0, expires_at = ? WHERE id = ? AND version = ?",
      JSON.stringify(state),
      expiresAt,
      upload.id,
      upload.version,
    )) > 0
  );
}

export async function removeUpload(sql: Sql, id: string): Promise<void> {
  await sql.run("DELETE FROM uploads WHERE id = ?", id);
}

export async function expiredUploads(sql: Sql, now: number, limit: number): Promise<UploadRow[]> {
  const rows = await sql.all<StoredUpload>(
    `SELECT ${COLUMNS} FROM uploads WHERE expires_at < ? AND locked_until < ? LIMIT ?`,
    now,
    now,
    limit,
  );
  return rows.map((row) => ({ ...row, state: JSON.parse(row.state) as UploadState }));
}
