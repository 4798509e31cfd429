import { describe, expect, test } from "bun:test";
import { environmentOf, noEnvironment } from "./environment.ts";
import { expand, expandWords } from "./expand.ts";

const environment = environmentOf(["HOME=/home/me", "EMPTY=", "FILE=a/b/c.tar.gz", "SPACED= one  two "]);
const backslash = { escape: "\\" };
const textOf = (word: string) => expand(word, environment, backslash).text;

describe("variables", () => {
  test.each([
    ["$HOME/bin", "/home/me/bin"],
    ["${HOME}bin", "/home/mebin"],
    ["a$MISSING.b", "a.b"],
    ["$.", "$."],
    ["a$1b", "ab"],
    ["$@x", "x"],
  ])("%s gives %s", (word, value) => expect(textOf(word)).toBe(value));

  test.each([
    ["${MISSING:-x}", "x"],
    ["${EMPTY:-x}", "x"],
    ["${EMPTY-x}", ""],
    ["${HOME:+x}", "x"],
    ["${EMPTY+x}", "x"],
    ["${EMPTY:+x}", ""],
    ["${MISSING:-${EMPTY:-$HOME}}", "/home/me"],
    ["${FILE#*/}", "b/c.tar.gz"],
    ["${FILE##*/}", "c.tar.gz"],
    ["${FILE%.*}", "a/b/c.tar"],
    ["${FILE%%.*}", "a/b/c"],
    ["${FILE/\\//-}", "a-b/c.tar.gz"],
    ["${FILE//\\//-}", "a-b-c.tar.gz"],
    ["${FILE/?.tar/X$}", "a/b/X$.gz"],
    ["${FILE//[/x}", "a/b/c.tar.gz"],
  ])("%s gives %s", (word, value) => expect(textOf(word)).toBe(value));

  test("a variable that must be set says so when it is not", () => {
    expect(() => textOf("${MISSING?}")).toThrow("MISSING: is not allowed to be unset");
    expect(() => textOf("${EMPTY:?}")).toThrow("EMPTY: is not allowed to be empty");
    expect(() => textOf("${EMPTY:?set it}")).toThrow("EMPTY: set it");
    expect(textOf("${EMPTY?}")).toBe("");
  });

  test.each([
    ["${}", "bad substitution"],
    ["${HOME", "unsupported modifier"],
    ["${HOME:-x", "missing '}'"],
    ["${HOME:=x}", "unsupported modifier (:=) in substitution"],
    ["${HOME/x}", "missing '/'"],
    ["'a", "matching single-quote"],
    ['"a', "matching double-quote"],
  ])("%s is refused: %s", (word, message) => expect(() => textOf(word)).toThrow(message));

  test("names that were found and names that were not are told apart", () => {
    const { matched, unmatched } = expand("$HOME $NOPE ${OTHER:-x}", environment, backslash);
    expect([...matched]).toEqual(["HOME"]);
    expect([...unmatched]).toEqual(["NOPE", "OTHER"]);
  });

  test("stay as they are written where unset ones are kept", () => {
    const syntax = { escape: "\\", keepUnset: true };
    expect(expand("$NOPE ${NOPE} ${NOPE:-x} $HOME", environment, syntax).text).toBe(
      "$NOPE ${NOPE} ${NOPE:-x} /home/me",
    );
  });
});

describe("quotes and escapes", () => {
  test.each([
    ["'$HOME'", "$HOME"],
    ['"$HOME"', "/home/me"],
    ["\\$HOME", "$HOME"],
    ['"\\$HOME \\x \\""', '$HOME \\x "'],
    ["'it\\'", "it\\"],
    ["end\\", "end"],
  ])("%s gives %s", (word, value) => expect(textOf(word)).toBe(value));

  test("a backtick escapes where the file says so", () => {
    expect(expand("`$HOME C:\\$EMPTY", environment, { escape: "`" }).text).toBe("$HOME C:\\");
  });

  test("stay in the result where they are wanted", () => {
    const syntax = { escape: "\\", keepQuotes: true, keepEscapes: true };
    expect(expand("'a' \"b\" \\c", noEnvironment, syntax).text).toBe("'a' \"b\" \\c");
  });

  test("mean nothing in the text of a here-document", () => {
    const syntax = { escape: "\\", ignoreQuotes: true };
    expect(expand('it\'s "$HOME"\n', environment, syntax).text).toBe('it\'s "/home/me"\n');
  });
});

describe("words", () => {
  const wordsOf = (line: string) => expandWords(line, environment, backslash);

  test("are parted at spaces that are not quoted", () => {
    expect(wordsOf("a  b 'c d' e\\ f")).toEqual(["a", "b", "c d", "e f"]);
  });

  test("an unquoted value is parted too, a quoted one is not", () => {
    expect(wordsOf("x${SPACED}y")).toEqual(["x", "one", "two", "y"]);
    expect(wordsOf('x"${SPACED}"y')).toEqual(["x one  two y"]);
  });

  test("text before a default keeps its place", () => {
    expect(wordsOf("80${MISSING:-80} 443")).toEqual(["8080", "443"]);
  });
});
