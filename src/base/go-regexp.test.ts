import { describe, expect, test } from "bun:test";
import { compileGoRegExp, compileTranslated } from "./go-regexp.ts";

describe("a pattern in Go's syntax", () => {
  const cases: [pattern: string, text: string, matches: boolean][] = [
    ["web", "my-web-1", true],
    ["^web$", "my-web-1", false],
    ["^/?web$", "web", true],
    ["w.b", "w\nb", false],
    ["w.b", "w\rb", true],
    ["w\\.b", "wxb", false],
    ["^*", "any", true],
    ["we*b$", "weeeb", true],
    ["(?i)WEB", "web", true],
    ["(?P<name>w)eb", "web", true],
    ["^[[:alpha:]]+\\z", "web", true],
    ["a|b", "xbx", true],
    ["^(web|db)-[0-9]+$", "db-17", true],
    ["\\Qa.b\\E", "axb", false],
    ["\\pL+", "é", true],
  ];
  for (const [pattern, text, matches] of cases) {
    test(`${pattern} ${matches ? "matches" : "does not match"} ${JSON.stringify(text)}`, () => {
      expect(compileGoRegExp(pattern).test(text)).toBe(matches);
    });
  }

  const refused: [pattern: string, message: string][] = [
    ["a(", "error parsing regexp: missing closing ): `a(`"],
    ["*a", "error parsing regexp: missing argument to repetition operator: `*`"],
    ["(?=a)", "error parsing regexp: invalid or unsupported Perl syntax: `(?=`"],
    ["(a)\\1", "error parsing regexp: invalid escape sequence: `\\1`"],
    ["a{1000}{1000}", "error parsing regexp: invalid nested repetition operator: `{1000}{1000}`"],
  ];
  for (const [pattern, message] of refused) {
    test(`${pattern} is refused in Go's words`, () => {
      expect(() => compileGoRegExp(pattern)).toThrow(message);
    });
  }

  test("costs time that grows with the text, whatever it is", () => {
    const text = "a".repeat(20_000);
    for (const pattern of ["(a+)+b", "(a|aa)+$b", "(.*a){12}b", "a*a*a*a*a*a*b", "(x+x+)+y"]) {
      expect(compileGoRegExp(pattern).test(text)).toBe(false);
    }
    expect(compileTranslated(`^${"[^/]*a".repeat(12)}b$`).test(text)).toBe(false);
    expect(compileTranslated("^[^/]*a[^/]*$").test(text)).toBe(true);
  });
});
