/**
 * Bearer tokens of the registry's own token server: ES256, a few minutes long, keys in the database so that every instance
 * takes what another gave. A key signs only once it is old enough for every instance to know it.
 *
 * Keys are found by `kid` in our table alone: what a token brings along (`jwk`, `jku`, `x5c`) is not looked at, and the
 * algorithm is bound to the key (CVE-2025-24976).
 */
import { randomUUID } from "node:crypto";
import {
  type CryptoKey,
  calculateJwkThumbprint,
  exportJWK,
  generateKeyPair,
  importJWK,
  type JWK,
  jwtVerify,
  SignJWT,
} from "jose";
import type { SqlDatabase } from "../../../core/sql.ts";
import { RegistryError } from "../errors.ts";

const ALGORITHM = "ES256";
export const TOKEN_SECONDS = 300;
const LEEWAY_SECONDS = 60;
const KEY_SETTLES = 60_000;

/** `repository:team/app` with verbs as clients word them: pull, push, delete, *. */
export interface TokenAccess {
  readonly type: string;
  readonly name: string;
  readonly actions: readonly string[];
}

export interface TokenClaims {
  /** Undefined for an anonymous token. */
  readonly account: string | undefined;
  readonly access: readonly TokenAccess[];
}

interface SigningKey {
  readonly kid: string;
  readonly signsFrom: number;
  readonly privateKey: CryptoKey;
  readonly publicJwk: JWK;
  readonly publicKey: CryptoKey;
}

export class BearerTokens {
  readonly #database: SqlDatabase;
  readonly #issuer: string;
  readonly #clock: () => number;
  #keys: readonly SigningKey[] = [];

  constructor(options: { database: SqlDatabase; issuer: string; clock: () => number }) {
    this.#database = options.database;
    this.#issuer = options.issuer;
    this.#clock = options.clock;
  }

  /** Makes the first key if there is none. */
  async open(): Promise<void> {
    await this.#load();
    if (this.#keys.length === 0) await this.rotate({ settles: 0 });
  }

  /** A new key, which signs once other instances have had time to see it; the old ones go on being accepted. */
  async rotate({ settles = KEY_SETTLES }: { settles?: number } = {}): Promise<string> {
    const { privateKey, publicKey } = await generateKeyPair(ALGORITHM, { extractable: true });
    const jwk = await exportJWK(publicKey);
    const kid = await calculateJwkThumbprint(jwk);
    const secret = JSON.stringify(await exportJWK(privateKey));
    const now = this.#clock();
    await this.#database.transaction(async (sql) => {
      await sql.run(
        "INSERT INTO signing_keys (kid, private_key, public_key, signs_from, created_at) VALUES (?, ?, ?, ?, ?)",
        kid,
        secret,
        JSON.stringify(jwk),
        now + settles,
        now,
      );
      // What an old key signed last has lapsed a while after the new one took over.
      const lapsed = now - (TOKEN_SECONDS + LEEWAY_SECONDS) * 1000 - KEY_SETTLES;
      await sql.run(
        "DELETE FROM signing_keys WHERE signs_from < (SELECT MAX(signs_from) FROM signing_keys WHERE signs_from < ?)",
        lapsed,
      );
    });
    await this.#load();
    return kid;
  }

  async issue(
    { account, access }: TokenClaims,
    audience: string,
  ): Promise<{ token: string; issuedAt: Date }> {
    const now = this.#clock();
    const key = this.#keys.findLast(({ signsFrom }) => signsFrom <= now) ?? this.#keys[0];
    if (!key) throw new Error("the token server has no key: it was not opened");
    const seconds = Math.floor(now / 1000);
    const token = await new SignJWT({ access: [...access] })
      .setProtectedHeader({ alg: ALGORITHM, typ: "JWT", kid: key.kid })
      .setIssuer(this.#issuer)
      .setSubject(account ?? "")
      .setAudience(audience)
      .setIssuedAt(seconds)
      .setNotBefore(seconds - LEEWAY_SECONDS)
      .setExpirationTime(seconds + TOKEN_SECONDS)
      .setJti(randomUUID())
      .sign(key.privateKey);
    return { token, issuedAt: new Date(seconds * 1000) };
  }

  /** @throws RegistryError UNAUTHORIZED */
  async verify(token: string, audience: string): Promise<TokenClaims> {
    try {
      const { payload } = await jwtVerify(token, ({ kid, alg }) => this.#publicKey(kid, alg), {
        algorithms: [ALGORITHM],
        issuer: this.#issuer,
        audience,
        clockTolerance: LEEWAY_SECONDS,
        currentDate: new Date(this.#clock()),
        requiredClaims: ["sub", "exp", "iat"],
      });
      return { account: payload.sub || undefined, access: accessOf(payload.access) };
    } catch (error) {
      throw new RegistryError("UNAUTHORIZED", "the token is not valid", { cause: error });
    }
  }

  /** For others who check our tokens. */
  publicKeys(): { keys: JWK[] } {
    return {
      keys: this.#keys.map(({ kid, publicJwk }) => ({ ...publicJwk, kid, alg: ALGORITHM, use: "sig" })),
    };
  }

  async #publicKey(kid: string | undefined, algorithm: string | undefined): Promise<CryptoKey> {
    if (algorithm !== ALGORITHM) throw new Error("another algorithm than ours");
    let found = this.#keys.find((key) => key.kid === kid);
    if (!found && kid !== undefined && /^[A-Za-z0-9_-]{43}$/.test(kid)) {
      await this.#load();
      found = this.#keys.find((key) => key.kid === kid);
    }
    if (!found) throw new Error("no such key");
    return found.publicKey;
  }

  async #load(): Promise<void> {
    const rows = await this.#database.reader.all<{
      kid: string;
      privateKey: string;
      publicKey: string;
      signsFrom: number;
    }>(
      `SELECT kid, private_key AS "privateKey", public_key AS "publicKey", signs_from AS "signsFrom"
       FROM signing_keys ORDER BY signs_from`,
    );
    this.#keys = await Promise.all(
      rows.map(async ({ kid, privateKey, publicKey, signsFrom }) => ({
        kid,
        signsFrom,
        privateKey: await importKey(privateKey),
        publicJwk: JSON.parse(publicKey) as JWK,
        publicKey: await importKey(publicKey),
      })),
    );
  }
}

async function importKey(jwk: string): Promise<CryptoKey> {
  return (await importJWK(JSON.parse(jwk) as JWK, ALGORITHM)) as CryptoKey;
}

function accessOf(value: unknown): TokenAccess[] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((entry: unknown) => {
    if (typeof entry !== "object" || entry === null) return [];
    const { type, name, actions } = entry as Record<string, unknown>;
    if (typeof type !== "string" || typeof name !== "string" || !Array.isArray(actions)) return [];
    return [{ type, name, actions: actions.filter((action) => typeof action === "string") }];
  });
}
