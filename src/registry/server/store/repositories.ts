/** Repositories: names and who may see them. */
import type { Sql } from "../../../core/sql.ts";

export type Visibility = "public" | "private";

export interface RepositoryRow {
  readonly id: number;
  readonly name: string;
  readonly visibility: Visibility;
  readonly description: string;
}

const COLUMNS = "id, name, visibility, description";

export async function findRepository(sql: Sql, name: string): Promise<RepositoryRow | undefined> {
  return await sql.get<RepositoryRow>(`SELECT ${COLUMNS} FROM repositories WHERE name = ?`, name);
}

/** The first push makes a repository. */
export async function ensureRepository(
  sql: Sql,
  { name, visibility, now }: { name: string; visibility: Visibility; now: number },
): Promise<RepositoryRow> {
  const found = await findRepository(sql, name);
  if (found) return found;
  await sql.run(
    "INSERT INTO repositories (name, visibility, created_at) VALUES (?, ?, ?) ON CONFLICT (name) DO NOTHING",
    name,
    visibility,
    now,
  );
  const made = await findRepository(sql, name);
  if (!made) throw new Error(`repository ${name} is gone in the transaction that made it`);
  return made;
}

/** In order of their names, after one of them. */
export async function listRepositories(sql: Sql, after: string, limit: number): Promise<RepositoryRow[]> {
  return await sql.all<RepositoryRow>(
    `SELECT ${COLUMNS} FROM repositories WHERE name > ? ORDER BY name LIMIT ?`,
    after,
    limit,
  );
}

export async function setVisibility(sql: Sql, id: number, visibility: Visibility): Promise<void> {
  await sql.run("UPDATE repositories SET visibility = ? WHERE id = ?", visibility, id);
}

export async function setDescription(sql: Sql, id: number, description: string): Promise<void> {
  await sql.run("UPDATE repositories SET description = ? WHERE id = ?", description, id);
}

/** With all it holds; its blobs are reviewed, since others may have them too. */
export async function deleteRepository(sql: Sql, id: number, reviewAfter: number): Promise<void> {
  await sql.run(
    `INSERT INTO reviews (kind, repo_id, digest, review_after, attempts)
     SELECT 'blob', 0, digest, ?, 0 FROM repo_blobs WHERE repo_id = ? ON CONFLICT (kind, repo_id, digest) DO NOTHING`,
    reviewAfter,
    id,
  );
  for (const table of ["tags", "manifest_refs", "manifests", "repo_blobs", "reviews"]) {
    await sql.run(`DELETE FROM ${table} WHERE repo_id = ?`, id);
  }
  await sql.run("UPDATE uploads SET expires_at = 0 WHERE repo_id = ?", id);
  await sql.run("DELETE FROM repositories WHERE id = ?", id);
}
