/** S31: every verb × every kind of caller × public, private, foreign and missing repositories, as one table. */
import { describe, expect, test } from "bun:test";
import { ANONYMOUS, type Caller, type Grant, mayDo, type Subjects, type Verb } from "./rules.ts";

const grants: readonly Grant[] = [
  { subject: "user:rita", prefix: "team", role: "reader" },
  { subject: "user:walt", prefix: "team", role: "writer" },
  { subject: "user:mia", prefix: "team/app", role: "maintainer" },
  { subject: "group:owners", prefix: "team", role: "owner" },
  { subject: "authenticated", prefix: "shared", role: "reader" },
];

const account = (name: string, more: Partial<Caller> = {}): Caller => ({
  ...ANONYMOUS,
  account: name,
  ...more,
});
const callers = {
  anonymous: ANONYMOUS,
  stranger: account("sam"),
  reader: account("rita"),
  writer: account("walt"),
  maintainer: account("mia"),
  owner: account("olga", { groups: ["owners"] }),
  admin: account("root", { admin: true }),
  "admin with a token for pulling": account("root", {
    admin: true,
    scopes: [{ prefix: "team", verbs: ["pull"] }],
  }),
  "writer with a token for one name": account("walt", {
    scopes: [{ prefix: "team/app", verbs: ["pull", "push"], exact: true }],
  }),
} satisfies Record<string, Caller>;

const repositories = {
  private: { name: "team/app", visibility: "private" },
  public: { name: "team/open", visibility: "public" },
  foreign: { name: "teams/app", visibility: "private" },
  missing: { name: "team/new", visibility: undefined },
  shared: { name: "shared/base", visibility: "private" },
} satisfies Record<string, Subjects>;

const VERBS: readonly Verb[] = ["pull", "push", "delete", "admin"];

/** For each repository the verbs that are allowed, by their first letters. */
const expected: Record<keyof typeof callers, Record<keyof typeof repositories, string>> = {
  anonymous: { private: "", public: "p", foreign: "", missing: "", shared: "" },
  stranger: { private: "", public: "p", foreign: "", missing: "", shared: "p" },
  reader: { private: "p", public: "p", foreign: "", missing: "p", shared: "p" },
  writer: { private: "pu", public: "pu", foreign: "", missing: "pu", shared: "p" },
  maintainer: { private: "pud", public: "p", foreign: "", missing: "", shared: "p" },
  owner: { private: "puda", public: "puda", foreign: "", missing: "puda", shared: "p" },
  admin: { private: "puda", public: "puda", foreign: "puda", missing: "puda", shared: "puda" },
  "admin with a token for pulling": { private: "p", public: "p", foreign: "", missing: "p", shared: "" },
  "writer with a token for one name": { private: "pu", public: "", foreign: "", missing: "", shared: "" },
};
const letters: Record<Verb, string> = { pull: "p", push: "u", delete: "d", admin: "a" };

describe("S31: what callers may do", () => {
  for (const [who, byRepository] of Object.entries(expected)) {
    for (const [which, allowed] of Object.entries(byRepository)) {
      test(`${who}, ${which} repository: ${allowed || "nothing"}`, () => {
        const caller = callers[who as keyof typeof callers];
        const repository = repositories[which as keyof typeof repositories];
        const found = VERBS.filter((verb) => mayDo(caller, verb, repository, grants));
        expect(found.map((verb) => letters[verb]).join("")).toBe(allowed);
      });
    }
  }
});
