/**
 * Who may do what with which repository. Pure: one function decides for every verb, every caller and every repository, and
 * everything that shows or changes a repository asks it.
 *
 * Rights add up; there is no "deny". A grant holds for a prefix of names, by whole parts. A token can only narrow what its
 * account may do.
 */
import { isWithin } from "../names.ts";
import type { Visibility } from "../store/repositories.ts";

export type Verb = "pull" | "push" | "delete" | "admin";

/** Each holds what the ones before it hold. */
export const ROLES = ["reader", "writer", "maintainer", "owner"] as const;
export type Role = (typeof ROLES)[number];

const VERBS: Readonly<Record<Role, readonly Verb[]>> = {
  reader: ["pull"],
  writer: ["pull", "push"],
  maintainer: ["pull", "push", "delete"],
  owner: ["pull", "push", "delete", "admin"],
};

/** `user:NAME` (people and robots), `group:NAME`, or one of the two that hold for many. */
export type Subject = `user:${string}` | `group:${string}` | "authenticated" | "anonymous";

export interface Grant {
  readonly subject: Subject;
  /** Empty for all repositories. */
  readonly prefix: string;
  readonly role: Role;
}

/** What a token is good for at most: verbs for names within a prefix, or for that one name. */
export interface Scope {
  readonly prefix: string;
  readonly verbs: readonly Verb[];
  readonly exact?: boolean;
}

export interface Caller {
  /** Undefined for whoever said nothing. */
  readonly account: string | undefined;
  readonly groups: readonly string[];
  /** May do everything, as far as the scopes go. */
  readonly admin: boolean;
  /** Undefined: all that the account may. */
  readonly scopes: readonly Scope[] | undefined;
}

export const ANONYMOUS: Caller = { account: undefined, groups: [], admin: false, scopes: undefined };

export interface Subjects {
  readonly name: string;
  /** Undefined if there is no such repository: then the default for new ones holds. */
  readonly visibility: Visibility | undefined;
}

export function mayDo(caller: Caller, verb: Verb, repository: Subjects, grants: readonly Grant[]): boolean {
  if (!withinScopes(caller, verb, repository.name)) return false;
  if (caller.admin) return true;
  if (verb === "pull" && repository.visibility === "public") return true;
  const subjects = subjectsOf(caller);
  return grants.some(
    (grant) =>
      subjects.has(grant.subject) &&
      isWithin(grant.prefix, repository.name) &&
      VERBS[grant.role].includes(verb),
  );
}

/** The words under which grants reach this caller. */
export function subjectsOf(caller: Caller): ReadonlySet<Subject> {
  const everybody: Subject[] = ["anonymous"];
  if (caller.account === undefined) return new Set(everybody);
  const groups = caller.groups.map((group): Subject => `group:${group}`);
  return new Set<Subject>([...everybody, "authenticated", `user:${caller.account}`, ...groups]);
}

function withinScopes({ scopes }: Caller, verb: Verb, name: string): boolean {
  return (
    scopes === undefined ||
    scopes.some(
      ({ prefix, verbs, exact }) =>
        verbs.includes(verb) && (exact ? prefix === name : isWithin(prefix, name)),
    )
  );
}

export function isRole(text: string): text is Role {
  return (ROLES as readonly string[]).includes(text);
}
