/**
 * The token server, `/auth/token`. A token holds what was asked for as far as it is granted; asking for more is no error.
 * @see https://distribution.github.io/distribution/spec/auth/token/ and …/oauth/
 */
import { readWhole } from "../../../http/index.ts";
import { type BearerTokens, TOKEN_SECONDS, type TokenAccess } from "../access/bearer.ts";
import type { Caller } from "../access/rules.ts";
import { ANONYMOUS } from "../access/rules.ts";
import { parseScopes, verbsOf } from "../access/token-scopes.ts";
import { findRepository } from "../store/repositories.ts";
import { type RegistryCall, serviceOf } from "./call.ts";

const LARGEST_FORM = 64 << 10;

export async function getToken(call: RegistryCall, tokens: BearerTokens): Promise<void> {
  await reply(call, tokens, call.caller, call.query.getAll("scope"));
}

/** OAuth2's form: a password in exchange for a token. */
export async function postToken(call: RegistryCall, tokens: BearerTokens): Promise<void> {
  const { exchange } = call;
  const body = await readWhole(exchange.body, exchange.bodyLength, {
    maxBytes: LARGEST_FORM,
    timeout: 30_000,
  });
  const form = new URLSearchParams(body.toString("utf8"));
  if (form.get("grant_type") !== "password") {
    return await call.json(
      { error: "unsupported_grant_type", error_description: "only grant_type=password" },
      { status: 400 },
    );
  }
  const caller = await call.parts.authority.withPassword(
    form.get("username") ?? "",
    form.get("password") ?? "",
  );
  await reply(call, tokens, caller, form.getAll("scope"));
}

async function reply(
  call: RegistryCall,
  tokens: BearerTokens,
  caller: Caller,
  scopes: readonly string[],
): Promise<void> {
  const access = await granted(call, caller, parseScopes(scopes));
  const { account } = caller;
  const { token, issuedAt } = await tokens.issue({ account, access }, serviceOf(call.parts.origin));
  const scope = access.map(({ type, name, actions }) => `${type}:${name}:${actions.join(",")}`).join(" ");
  await call.json(
    { token, access_token: token, expires_in: TOKEN_SECONDS, issued_at: issuedAt.toISOString(), scope },
    { headers: { "Cache-Control": "no-store" } },
  );
}

/** Asked ∩ granted. */
async function granted(
  call: RegistryCall,
  caller: Caller,
  asked: readonly TokenAccess[],
): Promise<TokenAccess[]> {
  const { authority, deps } = call.parts;
  const access: TokenAccess[] = [];
  for (const { type, name, actions } of asked) {
    if (type !== "repository") {
      if (caller !== ANONYMOUS) access.push({ type, name, actions });
      continue;
    }
    const repository = (await findRepository(deps.database.reader, name)) ?? { name, visibility: undefined };
    const allowed: string[] = [];
    for (const action of actions) {
      const verbs = verbsOf(action);
      const verdicts = await Promise.all(verbs.map((verb) => authority.may(caller, verb, repository)));
      if (verbs.length > 0 && verdicts.every(Boolean)) allowed.push(action);
    }
    access.push({ type, name, actions: allowed });
  }
  return access;
}
