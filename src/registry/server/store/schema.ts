/**
 * The registry's tables. `repo_blobs` is the only licence to read a blob: a digest that is known, or that another
 * repository has, gives nobody anything.
 *
 * Times are milliseconds since the epoch. Names are ordered by their bytes, as the specification orders tags.
 */

import { SystemError } from "../../../core/errors.ts";
import type { Sql, SqlDatabase } from "../../../core/sql.ts";

/** One entry a version; what stands here is never changed, only added to. */
const VERSIONS: readonly ((sql: Sql) => readonly string[])[] = [
  ({ dialect: { text, bytes, integer, serialKey } }) => [
    `CREATE TABLE repositories (
      id ${serialKey}, name ${text} NOT NULL UNIQUE, visibility ${text} NOT NULL, description ${text} NOT NULL DEFAULT '',
      created_at ${integer} NOT NULL)`,
    `CREATE TABLE blobs (
      digest ${text} PRIMARY KEY, size ${integer} NOT NULL, object_key ${text} NOT NULL, state ${text} NOT NULL,
      created_at ${integer} NOT NULL)`,
    `CREATE INDEX blobs_by_object ON blobs (object_key)`,
    `CREATE TABLE repo_blobs (
      repo_id ${integer} NOT NULL, digest ${text} NOT NULL, held_until ${integer} NOT NULL,
      PRIMARY KEY (repo_id, digest))`,
    `CREATE INDEX repo_blobs_by_digest ON repo_blobs (digest)`,
    `CREATE TABLE manifests (
      repo_id ${integer} NOT NULL, digest ${text} NOT NULL, media_type ${text} NOT NULL, artifact_type ${text},
      subject ${text}, annotations ${text}, payload ${bytes} NOT NULL, size ${integer} NOT NULL,
      pushed_at ${integer} NOT NULL, pushed_by ${text}, pulled_at ${integer}, PRIMARY KEY (repo_id, digest))`,
    `CREATE INDEX manifests_by_subject ON manifests (repo_id, subject)`,
    `CREATE TABLE manifest_refs (
      repo_id ${integer} NOT NULL, parent ${text} NOT NULL, child ${text} NOT NULL, kind ${text} NOT NULL,
      PRIMARY KEY (repo_id, parent, child))`,
    `CREATE INDEX manifest_refs_by_child ON manifest_refs (repo_id, child)`,
    `CREATE TABLE tags (
      repo_id ${integer} NOT NULL, name ${text} NOT NULL, digest ${text} NOT NULL, updated_at ${integer} NOT NULL,
      updated_by ${text}, PRIMARY KEY (repo_id, name))`,
    `CREATE INDEX tags_by_digest ON tags (repo_id, digest)`,
    `CREATE TABLE uploads (
      id ${text} PRIMARY KEY, repo_id ${integer} NOT NULL, account ${text} NOT NULL, state ${text} NOT NULL,
      version ${integer} NOT NULL, locked_until ${integer} NOT NULL, expires_at ${integer} NOT NULL)`,
    `CREATE INDEX uploads_by_expiry ON uploads (expires_at)`,
    `CREATE TABLE reviews (
      kind ${text} NOT NULL, repo_id ${integer} NOT NULL, digest ${text} NOT NULL, review_after ${integer} NOT NULL,
      attempts ${integer} NOT NULL, PRIMARY KEY (kind, repo_id, digest))`,
    `CREATE INDEX reviews_by_time ON reviews (review_after)`,
    `CREATE TABLE accounts (
      id ${serialKey}, name ${text} NOT NULL UNIQUE, kind ${text} NOT NULL, password_hash ${text},
      admin ${integer} NOT NULL, created_at ${integer} NOT NULL)`,
    `CREATE TABLE members (group_name ${text} NOT NULL, account_name ${text} NOT NULL,
      PRIMARY KEY (group_name, account_name))`,
    `CREATE TABLE grants (subject ${text} NOT NULL, prefix ${text} NOT NULL, role ${text} NOT NULL,
      PRIMARY KEY (subject, prefix))`,
    `CREATE TABLE access_tokens (
      hash ${text} PRIMARY KEY, id ${text} NOT NULL UNIQUE, account_name ${text} NOT NULL, label ${text} NOT NULL,
      scopes ${text} NOT NULL, expires_at ${integer}, created_at ${integer} NOT NULL, used_at ${integer})`,
    `CREATE TABLE signing_keys (
      kid ${text} PRIMARY KEY, private_key ${text} NOT NULL, public_key ${text} NOT NULL,
      signs_from ${integer} NOT NULL, created_at ${integer} NOT NULL)`,
  ],
];

/** Brings the database to this version's form. Idempotent. @throws SystemError if a newer version wrote it */
export async function migrate(database: SqlDatabase): Promise<void> {
  await database.transaction(async (sql) => {
    const { text, integer } = sql.dialect;
    // Instances that begin at the same time wait for one of them to make the tables.
    if (sql.dialect.name === "postgres") await sql.get("SELECT pg_advisory_xact_lock(5000) AS locked");
    await sql.run(
      `CREATE TABLE IF NOT EXISTS registry_version (name ${text} PRIMARY KEY, version ${integer} NOT NULL)`,
    );
    const row = await sql.get<{ version: number }>(
      `SELECT version FROM registry_version WHERE name = 'schema'${sql.dialect.forUpdate}`,
    );
    const found = row?.version ?? 0;
    if (found > VERSIONS.length) {
      throw new SystemError(
        `the registry's database has version ${found}, this gantry knows up to ${VERSIONS.length}: use the newer gantry`,
      );
    }
    for (const statements of VERSIONS.slice(found)) for (const one of statements(sql)) await sql.run(one);
    await sql.run(
      `INSERT INTO registry_version (name, version) VALUES ('schema', ?)
       ON CONFLICT (name) DO UPDATE SET version = excluded.version`,
      VERSIONS.length,
    );
  });
}
