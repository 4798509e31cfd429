import { describe, expect, test } from "bun:test";
import { cleanPath, hasWildcards, matchesGlob, PatternError, PatternMatcher } from "./patterns.ts";

describe("ignore patterns", () => {
  // The table of moby/patternmatcher's own tests, as far as the cases differ in kind.
  test.each([
    ["**", "file", true],
    ["**", "file/", true],
    ["**/", "dir/file", true],
    ["**/file", "file", true],
    ["**/file", "dir/dir/file", true],
    ["**/file", "dir/filex", false],
    ["dir/**", "dir/file", true],
    ["dir/**", "dirx/file", false],
    ["**/**/*.txt", "a/b/c.txt", true],
    ["a**/*.txt", "a/file.txt", true],
    ["a**/*.txt", "a/dir/file.txt", true],
    ["a/*.txt", "a/dir/file.txt", false],
    ["a[b-d]e", "ace", true],
    ["a[b-d]e", "aae", false],
    ["a[^b-d]e", "aze", true],
    ["a\\*b", "a*b", true],
    ["a\\*b", "axb", false],
    [".*", ".foo", true],
    [".*", "foo", false],
    ["abc.def", "abcdef", false],
    ["**lm.go", "elm.go", true],
    ["file", "file/inside/deep", true],
    ["./file/", "file", true],
    ["{}+($)", "{}+($)", true],
  ])("%p against %p: %p", (pattern, path, matched) => {
    expect(new PatternMatcher([pattern]).match(path).matched).toBe(matched);
  });

  test("the last one that matches decides", () => {
    const matcher = new PatternMatcher(["*", "!keep", "keep/not"]);
    expect(matcher.hasExceptions).toBe(true);
    const matches = ["other", "keep", "keep/this", "keep/not"].map((path) => matcher.match(path).matched);
    expect(matches).toEqual([true, false, false, true]);
  });

  test("what a directory's match said holds for what lies in it", () => {
    const matcher = new PatternMatcher(["dir", "!dir/kept"]);
    const directory = matcher.match("dir");
    expect(directory.matched).toBe(true);
    expect(matcher.match("dir/gone", directory.results).matched).toBe(true);
    expect(matcher.match("dir/kept", directory.results).matched).toBe(false);
  });

  test("that mean nothing are refused", () => {
    expect(() => new PatternMatcher(["!"])).toThrow(PatternError);
    expect(() => new PatternMatcher(["a["])).toThrow(PatternError);
    expect(new PatternMatcher(["", "  "]).match("a").matched).toBe(false);
  });
});

test.each([
  ["*.go", "main.go", true],
  ["*.go", "dir/main.go", false],
  ["*/main.go", "dir/main.go", true],
  ["[a-c]?", "bz", true],
  ["[^a]", "/", false],
  ["a\\[b", "a[b", true],
  ["a.b", "axb", false],
])("a single path: %p against %p: %p", (pattern, path, matched) => {
  expect(matchesGlob(pattern, path)).toBe(matched);
});

test("wildcards count unless they are escaped", () => {
  expect(["a*", "a?", "[a]", "a\\*", "a"].map(hasWildcards)).toEqual([true, true, true, false, false]);
});

test("paths are cleaned as Go does", () => {
  expect(["a//b/../c/.", "/../a", "../a", "", "a/.."].map(cleanPath)).toEqual([
    "a/c",
    "/a",
    "../a",
    ".",
    ".",
  ]);
});
