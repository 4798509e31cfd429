/**
 * Who is calling, and what may they do now. Credentials become a caller; grants are those of at most five seconds ago, also
 * for a token that was issued before: taking a right away works at once.
 */
import { createHash } from "node:crypto";
import type { SqlDatabase } from "../../../core/sql.ts";
import { RegistryError } from "../errors.ts";
import {
  countAccounts,
  findAccessToken,
  findAccount,
  groupsOf,
  listGrants,
  putAccount,
} from "../store/accounts.ts";
import type { BearerTokens } from "./bearer.ts";
import { ANONYMOUS, type Caller, type Grant, mayDo, type Subjects, type Verb } from "./rules.ts";
import { hashAccessToken, hashPassword, isAccessToken, verifyNothing, verifyPassword } from "./secrets.ts";
import { toScopes } from "./token-scopes.ts";

const FRESH = 5_000;
/** A password that was right a moment ago is not hashed again: argon2 is slow on purpose. */
const REMEMBERED = 30_000;
const MOST_REMEMBERED = 1_000;

export interface AuthorityOptions {
  readonly database: SqlDatabase;
  readonly tokens: BearerTokens;
  readonly clock: () => number;
  /** As long as there is no account, everybody may do everything. Where this is false, nobody may do anything then. */
  readonly openWithoutAccounts: boolean;
}

export class Authority {
  readonly #options: AuthorityOptions;
  readonly #remembered = new Map<string, { account: string; passwordHash: string; until: number }>();
  #grants: { at: number; grants: readonly Grant[]; accounts: number } | undefined;

  constructor(options: AuthorityOptions) {
    this.#options = options;
  }

  /** Nobody has to say who they are. */
  async isOpen(): Promise<boolean> {
    return this.#options.openWithoutAccounts && (await this.#facts()).accounts === 0;
  }

  /**
   * @param header of the request; undefined for none
   * @param audience of tokens: this registry's name for clients
   * @throws RegistryError UNAUTHORIZED if there are credentials and they are not right
   */
  async identify(header: string | undefined, audience: string): Promise<Caller> {
    // A registry without accounts takes no notice of what old logins make clients send.
    if (header === undefined || header === "" || (await this.isOpen())) return ANONYMOUS;
    const [, scheme = "", value = ""] = /^(\w+) +(\S+)$/.exec(header.trim()) ?? [];
    if (scheme.toLowerCase() === "bearer") return await this.#bearer(value, audience);
    if (scheme.toLowerCase() === "basic") {
      const [account = "", ...rest] = Buffer.from(value, "base64").toString("utf8").split(":");
      return await this.withPassword(account, rest.join(":"));
    }
    throw unauthorized();
  }

  /** By password or personal token. @throws RegistryError UNAUTHORIZED */
  async withPassword(name: string, password: string): Promise<Caller> {
    if (isAccessToken(password)) return await this.#accessToken(name, password);
    const { database, clock } = this.#options;
    const account = await findAccount(database.reader, name);
    if (!account?.passwordHash) {
      await verifyNothing(password);
      throw unauthorized();
    }
    const key = createHash("sha256").update(`${name}\0${password}`).digest("hex");
    const known = this.#remembered.get(key);
    if (known?.passwordHash !== account.passwordHash || known.until < clock()) {
      const verdict = await verifyPassword(password, account.passwordHash);
      if (verdict === "wrong") throw unauthorized();
      const passwordHash = verdict === "weak" ? await hashPassword(password) : account.passwordHash;
      if (verdict === "weak")
        await database.transaction((sql) => putAccount(sql, { ...account, passwordHash }));
      this.#remember(key, name, passwordHash);
    }
    return await this.#caller(name, account.admin);
  }

  async may(caller: Caller, verb: Verb, repository: Subjects): Promise<boolean> {
    if (caller.scopes === undefined && (await this.isOpen())) return true;
    return mayDo(caller, verb, repository, (await this.#facts()).grants);
  }

  /** Grants and accounts were changed here: the next question sees it. */
  forget(): void {
    this.#grants = undefined;
  }

  async #bearer(token: string, audience: string): Promise<Caller> {
    const { account, access } = await this.#options.tokens.verify(token, audience);
    const scopes = toScopes(access);
    if (account === undefined) return { ...ANONYMOUS, scopes };
    const found = await findAccount(this.#options.database.reader, account);
    if (!found) throw unauthorized();
    return { ...(await this.#caller(account, found.admin)), scopes };
  }

  async #accessToken(name: string, token: string): Promise<Caller> {
    const { database, clock } = this.#options;
    const found = await findAccessToken(database.reader, hashAccessToken(token));
    const lapsed = found?.expiresAt !== null && (found?.expiresAt ?? 0) <= clock();
    if (!found || lapsed || found.account !== name) throw unauthorized();
    const account = await findAccount(database.reader, found.account);
    if (!account) throw unauthorized();
    return { ...(await this.#caller(name, account.admin)), scopes: found.scopes };
  }

  async #caller(account: string, admin: boolean): Promise<Caller> {
    const groups = await groupsOf(this.#options.database.reader, account);
    return { account, groups, admin, scopes: undefined };
  }

  async #facts(): Promise<{ grants: readonly Grant[]; accounts: number }> {
    const { database, clock } = this.#options;
    if (this.#grants && clock() - this.#grants.at < FRESH) return this.#grants;
    const [grants, accounts] = [await listGrants(database.reader), await countAccounts(database.reader)];
    this.#grants = { at: clock(), grants, accounts };
    return this.#grants;
  }

  #remember(key: string, account: string, passwordHash: string): void {
    const [oldest] = this.#remembered.keys();
    if (this.#remembered.size >= MOST_REMEMBERED && oldest !== undefined) this.#remembered.delete(oldest);
    this.#remembered.set(key, { account, passwordHash, until: this.#options.clock() + REMEMBERED });
  }
}

function unauthorized(): RegistryError {
  return new RegistryError("UNAUTHORIZED", "incorrect username or password");
}
