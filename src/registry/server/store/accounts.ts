/** People and robots, their groups, grants and tokens. Passwords are kept as argon2id, tokens as SHA-256 of the token. */
import type { Sql } from "../../../core/sql.ts";
import type { Grant, Role, Scope, Subject } from "../access/rules.ts";

export interface AccountRow {
  readonly name: string;
  readonly kind: "user" | "robot";
  /** Null for who has tokens only. */
  readonly passwordHash: string | null;
  readonly admin: boolean;
  readonly createdAt: number;
}

interface StoredAccount extends Omit<AccountRow, "admin"> {
  readonly admin: number;
}

const ACCOUNT = `name, kind, password_hash AS "passwordHash", admin, created_at AS "createdAt"`;

export async function findAccount(sql: Sql, name: string): Promise<AccountRow | undefined> {
  const row = await sql.get<StoredAccount>(`SELECT ${ACCOUNT} FROM accounts WHERE name = ?`, name);
  return row && { ...row, admin: row.admin !== 0 };
}

export async function listAccounts(sql: Sql): Promise<AccountRow[]> {
  const rows = await sql.all<StoredAccount>(`SELECT ${ACCOUNT} FROM accounts ORDER BY name`);
  return rows.map((row) => ({ ...row, admin: row.admin !== 0 }));
}

export async function countAccounts(sql: Sql): Promise<number> {
  return (await sql.get<{ count: number }>("SELECT COUNT(*) AS count FROM accounts"))?.count ?? 0;
}

/** Makes the account, or gives it another password, kind or rights. */
export async function putAccount(sql: Sql, account: AccountRow): Promise<void> {
  await sql.run(
    `INSERT INTO accounts (name, kind, password_hash, admin, created_at) VALUES (?, ?, ?, ?, ?)
     ON CONFLICT (name) DO UPDATE SET kind = excluded.kind, password_hash = excluded.password_hash, admin = excluded.admin`,
    account.name,
    account.kind,
    account.passwordHash,
    account.admin ? 1 : 0,
    account.createdAt,
  );
}

/** With its tokens, memberships and grants: a new account of that name begins with nothing. */
export async function removeAccount(sql: Sql, name: string): Promise<boolean> {
  await sql.run("DELETE FROM access_tokens WHERE account_name = ?", name);
  await sql.run("DELETE FROM members WHERE account_name = ?", name);
  await sql.run("DELETE FROM grants WHERE subject = ?", `user:${name}`);
  return (await sql.run("DELETE FROM accounts WHERE name = ?", name)) > 0;
}

export async function groupsOf(sql: Sql, account: string): Promise<string[]> {
  const rows = await sql.all<{ name: string }>(
    `SELECT group_name AS "name" FROM members WHERE account_name = ? ORDER BY group_name`,
    account,
  );
  return rows.map(({ name }) => name);
}

export async function listMembers(sql: Sql): Promise<{ group: string; account: string }[]> {
  return await sql.all(
    `SELECT group_name AS "group", account_name AS "account" FROM members ORDER BY group_name, account_name`,
  );
}

export async function addMember(sql: Sql, group: string, account: string): Promise<void> {
  await sql.run(
    "INSERT INTO members (group_name, account_name) VALUES (?, ?) ON CONFLICT (group_name, account_name) DO NOTHING",
    group,
    account,
  );
}

export async function removeMember(sql: Sql, group: string, account: string): Promise<boolean> {
  return (await sql.run("DELETE FROM members WHERE group_name = ? AND account_name = ?", group, account)) > 0;
}

export async function listGrants(sql: Sql): Promise<Grant[]> {
  return await sql.all<Grant>("SELECT subject, prefix, role FROM grants ORDER BY prefix, subject");
}

export async function putGrant(sql: Sql, { subject, prefix, role }: Grant): Promise<void> {
  await sql.run(
    `INSERT INTO grants (subject, prefix, role) VALUES (?, ?, ?)
     ON CONFLICT (subject, prefix) DO UPDATE SET role = excluded.role`,
    subject,
    prefix,
    role satisfies Role,
  );
}

export async function removeGrant(sql: Sql, subject: Subject, prefix: string): Promise<boolean> {
  return (await sql.run("DELETE FROM grants WHERE subject = ? AND prefix = ?", subject, prefix)) > 0;
}

export interface AccessTokenRow {
  readonly id: string;
  readonly account: string;
  readonly label: string;
  /** Undefined: all that the account may. */
  readonly scopes: readonly Scope[] | undefined;
  readonly expiresAt: number | null;
  readonly createdAt: number;
  readonly usedAt: number | null;
}

interface StoredToken extends Omit<AccessTokenRow, "scopes"> {
  readonly scopes: string;
}

const TOKEN = `id, account_name AS "account", label, scopes, expires_at AS "expiresAt", created_at AS "createdAt", used_at AS "usedAt"`;

export async function findAccessToken(sql: Sql, hash: string): Promise<AccessTokenRow | undefined> {
  const row = await sql.get<StoredToken>(`SELECT ${TOKEN} FROM access_tokens WHERE hash = ?`, hash);
  return row && toToken(row);
}

export async function listAccessTokens(sql: Sql, account: string): Promise<AccessTokenRow[]> {
  const rows = await sql.all<StoredToken>(
    `SELECT ${TOKEN} FROM access_tokens WHERE account_name = ? ORDER BY created_at`,
    account,
  );
  return rows.map(toToken);
}

export async function recordAccessToken(sql: Sql, hash: string, token: AccessTokenRow): Promise<void> {
  await sql.run(
    `INSERT INTO access_tokens (hash, id, account_name, label, scopes, expires_at, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)`,
    hash,
    token.id,
    token.account,
    token.label,
    JSON.stringify(token.scopes ?? null),
    token.expiresAt,
    token.createdAt,
  );
}

export async function removeAccessToken(sql: Sql, account: string, id: string): Promise<boolean> {
  return (await sql.run("DELETE FROM access_tokens WHERE account_name = ? AND id = ?", account, id)) > 0;
}

function toToken(row: StoredToken): AccessTokenRow {
  const scopes = JSON.parse(row.scopes) as readonly Scope[] | null;
  return { ...row, scopes: scopes ?? undefined };
}
