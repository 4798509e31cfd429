/**
 * Scopes as clients ask for them: `repository:team/app:pull,push`. Pure.
 * @see https://distribution.github.io/distribution/spec/auth/scope/
 */
import { isRepositoryName } from "../names.ts";
import type { TokenAccess } from "./bearer.ts";
import type { Scope, Verb } from "./rules.ts";

/** Of a request: more would be work for nothing. */
const MOST_SCOPES = 64;

/** @param texts as they came; one may hold several, with spaces between. Those that are not understood are left out. */
export function parseScopes(texts: readonly string[]): TokenAccess[] {
  const words = texts.flatMap((text) => text.split(" ")).filter((word) => word !== "");
  return words.slice(0, MOST_SCOPES).flatMap((word) => {
    // A name may hold `host:port`, so the first and the last colon count.
    const first = word.indexOf(":");
    const last = word.lastIndexOf(":");
    if (first < 0 || last === first) return [];
    const type = word.slice(0, first).replace(/\([^)]*\)$/, "");
    const name = word.slice(first + 1, last);
    const actions = word
      .slice(last + 1)
      .split(",")
      .filter((action) => action !== "");
    if (type === "repository" && !isRepositoryName(name)) return [];
    return [{ type, name, actions }];
  });
}

const VERB_OF: Readonly<Record<string, readonly Verb[]>> = {
  pull: ["pull"],
  push: ["push"],
  delete: ["delete"],
  "*": ["pull", "push", "delete", "admin"],
};

/** What a word of a scope stands for. */
export function verbsOf(action: string): readonly Verb[] {
  return VERB_OF[action] ?? [];
}

/** What a token's claims leave of its account's rights: exact names, not prefixes, are in its scopes. */
export function toScopes(access: readonly TokenAccess[]): Scope[] {
  return access
    .filter(({ type }) => type === "repository")
    .map(({ name, actions }) => ({ prefix: name, verbs: actions.flatMap(verbsOf), exact: true }));
}
