/**
 * Getting the `Authorization` header that a registry asks for: basic, or a bearer token from the token service that
 * its challenge names. Tokens are kept in memory until they expire, by host, scope and account.
 * @see https://distribution.github.io/distribution/spec/auth/token/
 */
import { createHash } from "node:crypto";
import { SystemError, UnauthorizedError } from "../../core/errors.ts";
import type { Credentials, RegistryOptions } from "../../core/registry.ts";
import type { Challenge } from "./challenge.ts";
import { parseErrors } from "./errors.ts";
import { type RegistryHost, sameOwner } from "./hosts.ts";
import { readBody, send } from "./http.ts";

const TOKEN_LIMIT = 1 << 20;
/** What the specification assumes where the service says nothing, in seconds. */
const DEFAULT_LIFETIME = 60;
/** A token is not used in its last seconds: it has to hold until the request arrives. */
const MARGIN_MS = 5_000;
const CLIENT_ID = "gantry";

export class Authorizations {
  readonly #kept = new Map<string, { header: string; until: number }>();

  /** The header that worked last for the same host, scope and account, if it still holds. */
  find(
    host: RegistryHost,
    scopes: readonly string[],
    credentials: Credentials | undefined,
  ): string | undefined {
    if (credentials?.registryToken) return `Bearer ${credentials.registryToken}`;
    const key = keyOf(host, scopes, credentials);
    const kept = this.#kept.get(key);
    if (kept && kept.until > performance.now()) return kept.header;
    this.#kept.delete(key);
    return undefined;
  }

  /**
   * Answers a challenge. Undefined if there is nothing to answer with.
   * @param scopes `repository:library/busybox:pull`; none for a login
   * @throws UnauthorizedError if the token service refuses the account
   */
  async answer(
    host: RegistryHost,
    challenges: readonly Challenge[],
    scopes: readonly string[],
    options: RegistryOptions,
  ): Promise<string | undefined> {
    const { credentials } = options;
    const bearer = challenges.find((challenge) => challenge.scheme === "bearer");
    if (bearer) {
      const { token, lifetime } = await this.#requestToken(host, bearer, scopes, options);
      return this.#keep(keyOf(host, scopes, credentials), `Bearer ${token}`, lifetime);
    }
    if (challenges.some((challenge) => challenge.scheme === "basic") && credentials?.username) {
      return this.#keep(keyOf(host, scopes, credentials), basic(credentials), DEFAULT_LIFETIME);
    }
    return undefined;
  }

  #keep(key: string, header: string, lifetime: number): string {
    for (const [other, { until }] of this.#kept) if (until <= performance.now()) this.#kept.delete(other);
    this.#kept.set(key, { header, until: performance.now() + lifetime * 1000 - MARGIN_MS });
    return header;
  }

  async #requestToken(
    host: RegistryHost,
    challenge: Challenge,
    scopes: readonly string[],
    { credentials, signal }: RegistryOptions,
  ): Promise<{ token: string; lifetime: number }> {
    const realm = URL.parse(challenge.parameters.realm ?? "");
    if (!realm) throw new SystemError(`registry ${host.address} names no token service`);
    if (realm.protocol !== "https:" && !(realm.protocol === "http:" && host.insecure)) {
      throw new SystemError(`registry ${host.address} names a token service without https: ${realm.origin}`);
    }
    const account = host.mirror ? undefined : credentials;
    if (account && !(await sameOwner(host.address, realm.host))) {
      throw new SystemError(
        `registry ${host.address} asks for its credentials to be sent to ${realm.host}, which is refused`,
      );
    }
    const service = challenge.parameters.service ?? "";
    const response = account?.identityToken
      ? await send(realm, {
          method: "POST",
          headers: { "content-type": "application/x-www-form-urlencoded" },
          body: String(
            new URLSearchParams({
              grant_type: "refresh_token",
              refresh_token: account.identityToken,
              service,
              client_id: CLIENT_ID,
              ...(scopes.length > 0 ? { scope: scopes.join(" ") } : {}),
            }),
          ),
          insecure: host.insecure,
          ...(host.tls ? { tls: host.tls } : {}),
          proxies: host.proxies,
          signal,
        })
      : await send(tokenUrl(realm, { service, scopes, account }), {
          method: "GET",
          headers: account?.username ? { authorization: basic(account) } : {},
          insecure: host.insecure,
          ...(host.tls ? { tls: host.tls } : {}),
          proxies: host.proxies,
          signal,
        });
    return readToken(host, response.status, await readBody(response, TOKEN_LIMIT));
  }
}

function tokenUrl(
  realm: URL,
  {
    service,
    scopes,
    account,
  }: { service: string; scopes: readonly string[]; account: Credentials | undefined },
): URL {
  const url = new URL(realm);
  if (service) url.searchParams.append("service", service);
  for (const scope of scopes) url.searchParams.append("scope", scope);
  if (account?.username) {
    url.searchParams.append("account", account.username);
    if (scopes.length === 0) url.searchParams.append("client_id", CLIENT_ID);
  }
  return url;
}

function readToken(
  host: RegistryHost,
  status: number,
  body: Uint8Array,
): { token: string; lifetime: number } {
  if (status === 401 || status === 403) {
    const [first] = parseErrors(body);
    throw new UnauthorizedError(
      first ? `${first.code}: ${first.message}` : "unauthorized: incorrect username or password",
      {
        subject: host.address,
      },
    );
  }
  if (status !== 200)
    throw new SystemError(`token service of ${host.address} answered with status ${status}`);
  const text = new TextDecoder().decode(body);
  let answer: { token?: unknown; access_token?: unknown; expires_in?: unknown } | null;
  try {
    answer = JSON.parse(text) as typeof answer;
  } catch (error) {
    throw new SystemError(`token service of ${host.address} did not answer with JSON`, { cause: error });
  }
  const token = answer?.token || answer?.access_token;
  if (typeof token !== "string" || !/^[\x21-\x7e]+$/.test(token)) {
    throw new SystemError(`token service of ${host.address} gave no token`);
  }
  const lifetime = answer?.expires_in;
  return { token, lifetime: typeof lifetime === "number" && lifetime > 0 ? lifetime : DEFAULT_LIFETIME };
}

function basic({ username, password }: Credentials): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}

/** The secret itself is not kept in the key. */
function keyOf(host: RegistryHost, scopes: readonly string[], credentials: Credentials | undefined): string {
  const secret = credentials
    ? createHash("sha256")
        .update(JSON.stringify([credentials.username, credentials.password, credentials.identityToken]))
        .digest("hex")
    : "";
  return JSON.stringify([host.address, scopes, secret]);
}
