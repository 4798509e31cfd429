import { describe, expect, test } from "bun:test";
import { parseIgnoreFile } from "./ignore-file.ts";
import { type ParentMatch, PatternMatcher } from "./patterns.ts";

const matches = (patterns: string[], path: string) => new PatternMatcher(patterns).matches(path);

describe("patterns", () => {
  test.each<[string, string[], string[]]>([
    ["a", ["a", "a/b", "a/b/c"], ["b/a", "ab"]],
    ["*.txt", ["x.txt"], ["a/x.txt", "x.txtx"]],
    ["*/*.txt", ["a/x.txt"], ["x.txt", "a/b/x.txt"]],
    ["**/*.txt", ["x.txt", "a/b/x.txt"], ["x.md"]],
    ["**/x", ["x", "a/x", "a/x/b"], ["ax"]],
    ["**x", ["x", "ax", "a/x"], ["xa"]],
    ["a/**", ["a/b", "a/b/c"], ["a", "b"]],
    ["a/**/b", ["a/b", "a/x/y/b"], ["a/bx"]],
    ["**", ["a", "a/b"], []],
    ["a?c", ["abc"], ["a/c", "ac"]],
    ["[a-c]x", ["ax"], ["dx"]],
    ["[^a]x", ["bx"], ["ax"]],
    ["a\\*b", ["a*b"], ["axb"]],
    ["a.b+(c)", ["a.b+(c)"], ["axb+(c)"]],
  ])("%s", (pattern, yes, no) => {
    expect(yes.filter((path) => !matches([pattern], path))).toEqual([]);
    expect(no.filter((path) => matches([pattern], path))).toEqual([]);
  });

  test("the last one that matches decides", () => {
    const patterns = ["*", "!keep", "keep/not", "!keep/not/but"];
    expect(matches(patterns, "x")).toBe(true);
    expect(matches(patterns, "keep/a")).toBe(false);
    expect(matches(patterns, "keep/not/a")).toBe(true);
    expect(matches(patterns, "keep/not/but")).toBe(false);
  });

  test("a walk gives what single questions give", () => {
    const matcher = new PatternMatcher(["a/**", "!a/b", "**/*.o", "!a/b/keep.o"]);
    for (const path of ["a/b/x.o", "a/b/keep.o", "a/c/d", "a/b/x", "q/x.o"]) {
      let parent: ParentMatch | undefined;
      let matched = false;
      const parts = path.split("/");
      for (let depth = 1; depth <= parts.length; depth++) {
        ({ matched, own: parent } = matcher.matchesBeneath(parts.slice(0, depth).join("/"), parent));
      }
      expect([path, matched]).toEqual([path, matcher.matches(path)]);
    }
  });

  test.each(["!", "[", "[]", "a\\", "[a-]"])("%s is refused", (pattern) => {
    expect(() => new PatternMatcher([pattern])).toThrow();
  });
});

test("an ignore file is cleaned line by line", () => {
  expect(parseIgnoreFile("\ufeff# no\n /a/ \n\n#x\n ! /b/../c\r\n #literal\n!\n/")).toEqual([
    "a",
    "!c",
    "#literal",
    "!",
    "/",
  ]);
});
