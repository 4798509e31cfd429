/**
 * What administrators do, `/admin/v1/…`: accounts, groups, grants, tokens, repositories, and a look at the collector. JSON in
 * and out. Over the network for accounts that are administrators (tokens also for their own account), and over the
 * registry's socket for root of the machine.
 */
import { randomUUID } from "node:crypto";
import { readWhole } from "../../../http/index.ts";
import { type Grant, isRole, type Scope, type Subject, type Verb } from "../access/rules.ts";
import { hashAccessToken, hashPassword, newAccessToken } from "../access/secrets.ts";
import { RegistryError } from "../errors.ts";
import { isRepositoryName } from "../names.ts";
import type { RegistryParts } from "../parts.ts";
import * as accounts from "../store/accounts.ts";
import {
  deleteRepository,
  findRepository,
  listRepositories,
  setDescription,
  setVisibility,
} from "../store/repositories.ts";
import { countReviews } from "../store/reviews.ts";
import type { RegistryCall } from "./call.ts";

type Json = Readonly<Record<string, unknown>>;
type Action = (call: RegistryCall, parts: RegistryParts, names: readonly string[]) => Promise<void>;

interface Entry {
  readonly method: string;
  readonly path: RegExp;
  readonly run: Action;
  /** Also for the account that the path names, not administrators alone. */
  readonly own?: boolean;
}

const ACCOUNT_NAME = /^[a-z0-9][a-z0-9._@+-]{0,99}$/i;
const LARGEST_BODY = 1 << 20;
const VERBS: readonly Verb[] = ["pull", "push", "delete", "admin"];

const ENTRIES: readonly Entry[] = [
  { method: "GET", path: /^accounts$/, run: listAccounts },
  { method: "PUT", path: /^accounts\/([^/]+)$/, run: putAccount },
  { method: "DELETE", path: /^accounts\/([^/]+)$/, run: removeAccount },
  { method: "GET", path: /^accounts\/([^/]+)\/tokens$/, run: listTokens, own: true },
  { method: "POST", path: /^accounts\/([^/]+)\/tokens$/, run: makeToken, own: true },
  { method: "DELETE", path: /^accounts\/([^/]+)\/tokens\/([^/]+)$/, run: removeToken, own: true },
  { method: "GET", path: /^groups$/, run: listGroups },
  { method: "PUT", path: /^groups\/([^/]+)\/members\/([^/]+)$/, run: addMember },
  { method: "DELETE", path: /^groups\/([^/]+)\/members\/([^/]+)$/, run: removeMember },
  { method: "GET", path: /^grants$/, run: listGrants },
  { method: "PUT", path: /^grants$/, run: putGrant },
  { method: "DELETE", path: /^grants$/, run: removeGrant },
  { method: "GET", path: /^repositories$/, run: listAll },
  { method: "PATCH", path: /^repositories\/(.+)$/, run: changeRepository },
  { method: "DELETE", path: /^repositories\/(.+)$/, run: removeRepository },
  { method: "POST", path: /^keys\/rotate$/, run: rotateKeys },
  { method: "GET", path: /^collector$/, run: collector },
];

export async function answerAdmin(call: RegistryCall, parts: RegistryParts): Promise<void> {
  const path = call.parts.path.slice("/admin/v1/".length);
  const matching = ENTRIES.flatMap((entry) => {
    const match = entry.path.exec(path);
    return match ? [{ entry, names: match.slice(1).map(decode) }] : [];
  });
  const found = matching.find(({ entry }) => entry.method === call.exchange.head.method);
  if (!found) {
    throw new RegistryError("UNSUPPORTED", "there is no such operation", {
      status: matching.length > 0 ? 405 : 404,
    });
  }
  checkCaller(call, found.entry, found.names);
  await found.entry.run(call, parts, found.names);
  parts.authority.forget();
}

/** A token that was narrowed administers nothing. */
function checkCaller(call: RegistryCall, { own }: Entry, [name]: readonly string[]): void {
  const { account, admin, scopes } = call.caller;
  if (scopes === undefined && (admin || (own && account !== undefined && account === name))) return;
  throw call.denial([]);
}

async function listAccounts(call: RegistryCall): Promise<void> {
  const rows = await accounts.listAccounts(call.deps.database.reader);
  await call.json(
    rows.map(({ name, kind, admin, createdAt, passwordHash }) => ({
      name,
      kind,
      admin,
      hasPassword: passwordHash !== null,
      createdAt: new Date(createdAt).toISOString(),
    })),
  );
}

/** `password`, or `passwordHash` of an htpasswd file (bcrypt); a robot needs neither. */
async function putAccount(
  call: RegistryCall,
  _: RegistryParts,
  [name = ""]: readonly string[],
): Promise<void> {
  if (!ACCOUNT_NAME.test(name)) throw bad(`not an account's name: ${name}`);
  const body = await readJson(call);
  const kind = body.kind ?? "user";
  if (kind !== "user" && kind !== "robot") throw bad("kind is neither user nor robot");
  const before = await accounts.findAccount(call.deps.database.reader, name);
  const given =
    body.passwordHash !== undefined ? importedHash(body.passwordHash) : await newHash(body.password);
  const passwordHash = given ?? before?.passwordHash ?? null;
  const admin = body.admin === undefined ? (before?.admin ?? false) : body.admin === true;
  const createdAt = before?.createdAt ?? call.deps.clock();
  await call.deps.database.transaction((sql) =>
    accounts.putAccount(sql, { name, kind, passwordHash, admin, createdAt }),
  );
  await call.json({ name, kind, admin }, { status: before ? 200 : 201 });
}

async function newHash(password: unknown): Promise<string | undefined> {
  if (password === undefined) return undefined;
  if (typeof password !== "string" || password.length < 8) throw bad("a password has at least 8 characters");
  return await hashPassword(password);
}

function importedHash(hash: unknown): string {
  if (typeof hash !== "string" || !/^\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}$/.test(hash)) {
    throw bad("passwordHash is not bcrypt's: make the file with htpasswd -B");
  }
  return hash;
}

async function removeAccount(
  call: RegistryCall,
  _: RegistryParts,
  [name = ""]: readonly string[],
): Promise<void> {
  await foundOr404(
    call.deps.database.transaction((sql) => accounts.removeAccount(sql, name)),
    `account ${name}`,
  );
  await call.empty(204);
}

async function listTokens(
  call: RegistryCall,
  _: RegistryParts,
  [name = ""]: readonly string[],
): Promise<void> {
  await call.json(await accounts.listAccessTokens(call.deps.database.reader, name));
}

/** The token itself is in this answer, and nowhere else ever again. */
async function makeToken(
  call: RegistryCall,
  _: RegistryParts,
  [name = ""]: readonly string[],
): Promise<void> {
  const body = await readJson(call);
  const { database, clock } = call.deps;
  await foundOr404(accounts.findAccount(database.reader, name).then(Boolean), `account ${name}`);
  const now = clock();
  const days = body.expiresInDays;
  if (days !== undefined && (typeof days !== "number" || !(days > 0) || days > 3660))
    throw bad("expiresInDays is no number of days");
  const row: accounts.AccessTokenRow = {
    id: randomUUID(),
    account: name,
    label: typeof body.label === "string" ? body.label.slice(0, 200) : "",
    scopes: body.scopes === undefined ? undefined : toScopes(body.scopes),
    expiresAt: typeof days === "number" ? now + days * 86_400_000 : null,
    createdAt: now,
    usedAt: null,
  };
  const token = newAccessToken();
  await database.transaction((sql) => accounts.recordAccessToken(sql, hashAccessToken(token), row));
  await call.json({ ...row, token }, { status: 201, headers: { "Cache-Control": "no-store" } });
}

function toScopes(value: unknown): Scope[] {
  if (!Array.isArray(value)) throw bad("scopes is not a list");
  return value.map((entry: unknown) => {
    const { prefix, verbs } = (entry ?? {}) as Json;
    if (typeof prefix !== "string" || (prefix !== "" && !isRepositoryName(prefix)))
      throw bad("a scope needs a prefix");
    if (!Array.isArray(verbs) || !verbs.every((verb) => VERBS.includes(verb)))
      throw bad(`verbs are of ${VERBS.join(", ")}`);
    return { prefix, verbs };
  });
}

async function removeToken(
  call: RegistryCall,
  _: RegistryParts,
  [name = "", id = ""]: readonly string[],
): Promise<void> {
  await foundOr404(
    call.deps.database.transaction((sql) => accounts.removeAccessToken(sql, name, id)),
    `token ${id}`,
  );
  await call.empty(204);
}

async function listGroups(call: RegistryCall): Promise<void> {
  const groups: Record<string, string[]> = {};
  for (const { group, account } of await accounts.listMembers(call.deps.database.reader)) {
    groups[group] = [...(groups[group] ?? []), account];
  }
  await call.json(groups);
}

async function addMember(
  call: RegistryCall,
  _: RegistryParts,
  [group = "", name = ""]: readonly string[],
): Promise<void> {
  if (!ACCOUNT_NAME.test(group)) throw bad(`not a group's name: ${group}`);
  await foundOr404(accounts.findAccount(call.deps.database.reader, name).then(Boolean), `account ${name}`);
  await call.deps.database.transaction((sql) => accounts.addMember(sql, group, name));
  await call.empty(204);
}

async function removeMember(
  call: RegistryCall,
  _: RegistryParts,
  [group = "", name = ""]: readonly string[],
): Promise<void> {
  await foundOr404(
    call.deps.database.transaction((sql) => accounts.removeMember(sql, group, name)),
    `${name} in ${group}`,
  );
  await call.empty(204);
}

async function listGrants(call: RegistryCall): Promise<void> {
  await call.json(await accounts.listGrants(call.deps.database.reader));
}

async function putGrant(call: RegistryCall): Promise<void> {
  const body = await readJson(call);
  const { role } = body;
  if (typeof role !== "string" || !isRole(role))
    throw bad("role is none of reader, writer, maintainer, owner");
  const grant: Grant = { ...grantPlace(body), role };
  await call.deps.database.transaction((sql) => accounts.putGrant(sql, grant));
  await call.json(grant);
}

async function removeGrant(call: RegistryCall): Promise<void> {
  const { subject, prefix } = grantPlace(Object.fromEntries(call.query));
  await foundOr404(
    call.deps.database.transaction((sql) => accounts.removeGrant(sql, subject, prefix)),
    "grant",
  );
  await call.empty(204);
}

function grantPlace({ subject, prefix = "" }: Json): { subject: Subject; prefix: string } {
  const known =
    typeof subject === "string" && /^(anonymous|authenticated|(user|group):.{1,100})$/.test(subject);
  if (!known) throw bad("subject is none of user:NAME, group:NAME, authenticated, anonymous");
  if (typeof prefix !== "string" || (prefix !== "" && !isRepositoryName(prefix)))
    throw bad("prefix is no repository's name");
  return { subject: subject as Subject, prefix };
}

async function listAll(call: RegistryCall): Promise<void> {
  await call.json(await listRepositories(call.deps.database.reader, call.query.get("last") ?? "", 1_000));
}

async function changeRepository(
  call: RegistryCall,
  _: RegistryParts,
  [name = ""]: readonly string[],
): Promise<void> {
  const body = await readJson(call);
  const { database } = call.deps;
  const repository = await findRepository(database.reader, name);
  if (!repository) throw new RegistryError("NAME_UNKNOWN", "repository name not known to registry");
  const { visibility, description } = body;
  if (visibility !== undefined && visibility !== "public" && visibility !== "private")
    throw bad("visibility is neither public nor private");
  if (description !== undefined && typeof description !== "string") throw bad("description is not a text");
  await database.transaction(async (sql) => {
    if (visibility !== undefined) await setVisibility(sql, repository.id, visibility);
    if (description !== undefined) await setDescription(sql, repository.id, description);
  });
  await call.json(await findRepository(database.reader, name));
}

async function removeRepository(
  call: RegistryCall,
  _: RegistryParts,
  [name = ""]: readonly string[],
): Promise<void> {
  const { database, clock, policy } = call.deps;
  const repository = await findRepository(database.reader, name);
  if (!repository) throw new RegistryError("NAME_UNKNOWN", "repository name not known to registry");
  await database.transaction((sql) => deleteRepository(sql, repository.id, clock() + policy.deleteGrace));
  call.deps.events.publish({
    action: "delete",
    target: "repository",
    repository: name,
    account: call.caller.account,
  });
  await call.empty(204);
}

async function rotateKeys(call: RegistryCall, { tokens }: RegistryParts): Promise<void> {
  await call.json({ kid: await tokens.rotate() });
}

async function collector(call: RegistryCall): Promise<void> {
  await call.json(await countReviews(call.deps.database.reader, call.deps.clock()));
}

async function readJson({ exchange }: RegistryCall): Promise<Json> {
  const bytes = await readWhole(exchange.body, exchange.bodyLength, {
    maxBytes: LARGEST_BODY,
    timeout: 30_000,
  });
  let value: unknown;
  try {
    value = bytes.length === 0 ? {} : JSON.parse(bytes.toString("utf8"));
  } catch (error) {
    throw bad(`the body is not JSON: ${error instanceof Error ? error.message : ""}`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw bad("the body is not a JSON object");
  return value as Json;
}

async function foundOr404(found: Promise<boolean>, what: string): Promise<void> {
  if (!(await found)) throw new RegistryError("UNSUPPORTED", `${what}: not found`, { status: 404 });
}

function bad(message: string): RegistryError {
  return new RegistryError("UNSUPPORTED", message, { status: 400 });
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw bad("the path cannot be read");
  }
}
