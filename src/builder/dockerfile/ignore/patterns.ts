/**
 * Patterns of ignore files and of `--exclude`: Go's path patterns with `**`, where the last one that matches decides and
 * `!` takes back. A library of .gitignore's rules would not do: there a pattern without a slash matches at any depth,
 * here it matches at the top alone.
 *
 * @see https://github.com/moby/patternmatcher
 */
import { InvalidParameterError } from "../../../core/errors.ts";
import { cleanPath } from "../paths.ts";

export interface Pattern {
  /** Without the `!`. */
  readonly text: string;
  readonly negates: boolean;
  matches(path: string): boolean;
}

/** What a directory's path gave, for the paths beneath it. */
export type ParentMatch = readonly boolean[];

export class PatternMatcher {
  readonly patterns: readonly Pattern[];
  /** Some pattern takes back what another excluded: a directory that matches may hold files that do not. */
  readonly hasNegations: boolean;

  /** @throws InvalidParameterError for a pattern that is none */
  constructor(patterns: Iterable<string>) {
    this.patterns = [...patterns]
      .map((text) => text.trim())
      .filter((text) => text !== "")
      .map(compile);
    this.hasNegations = this.patterns.some((pattern) => pattern.negates);
  }

  /** Whether a path, or a directory that it lies in, is matched. Slash-separated, relative. */
  matches(path: string): boolean {
    const parents = parentsOf(path);
    let matched = false;
    for (const pattern of this.patterns) {
      if (pattern.negates !== matched) continue;
      if (pattern.matches(path) || parents.some((parent) => pattern.matches(parent))) {
        matched = !pattern.negates;
      }
    }
    return matched;
  }

  /** As `matches`, for a walk: what the parent gave is not looked at again. */
  matchesBeneath(path: string, parent: ParentMatch | undefined): { matched: boolean; own: ParentMatch } {
    const own: boolean[] = [];
    let matched = false;
    for (const [index, pattern] of this.patterns.entries()) {
      let match = parent?.[index] ?? false;
      if (!match && pattern.negates === matched) {
        match =
          pattern.matches(path) ||
          (parent === undefined && parentsOf(path).some((dir) => pattern.matches(dir)));
      }
      own.push(match);
      if (match) matched = !pattern.negates;
    }
    return { matched, own };
  }
}

function parentsOf(path: string): string[] {
  const parts = path.split("/");
  return parts.slice(1).map((_, index) => parts.slice(0, index + 1).join("/"));
}

function compile(text: string): Pattern {
  const clean = cleanPath(text);
  if (clean === "!") throw new InvalidParameterError('illegal exclusion pattern: "!"');
  const negates = clean.startsWith("!");
  const pattern = negates ? clean.slice(1) : clean;
  if (!isWellFormed(pattern)) throw new InvalidParameterError("syntax error in pattern");
  return { text: pattern, negates, matches: matcherOf(pattern) };
}

function matcherOf(pattern: string): (path: string) => boolean {
  const isLiteral = (text: string) => !/[*?\\[\]]/.test(text);
  if (isLiteral(pattern)) return (path) => path === pattern;
  const suffix = pattern.startsWith("**") ? pattern.slice(2) : "";
  if (suffix !== "" && isLiteral(suffix)) {
    // `**/x` matches x at any depth; `**x` whatever ends in it.
    return (path) => path.endsWith(suffix) || (suffix.startsWith("/") && path === suffix.slice(1));
  }
  const expression = toRegExp(pattern);
  return (path) => expression.test(path);
}

/** What path.Match would refuse: a class without an end or without anything in it, an escape at the end. */
function isWellFormed(pattern: string): boolean {
  return /^(?:\\[\s\S]|\[\^?(?:(?:\\[\s\S]|[^\\\]-])(?:-(?:\\[\s\S]|[^\\\]-]))?)+\]|[^\\[])*$/u.test(pattern);
}

function toRegExp(pattern: string): RegExp {
  const letters = [...pattern];
  let source = "";
  for (let index = 0; index < letters.length; index++) {
    const letter = letters[index] ?? "";
    if (letter === "*" && letters[index + 1] === "*") {
      index++;
      if (letters[index + 1] === "/") index++;
      // At the end it takes all that follows, elsewhere any number of directories, none included.
      source += index === letters.length - 1 ? ".*" : "(.*/)?";
    } else if (letter === "*") source += "[^/]*";
    else if (letter === "?") source += "[^/]";
    else if (letter === "\\") source += escaped(letters[++index] ?? "\\");
    else if (letter === "[") {
      const end = classEnd(letters, index);
      source += classOf(letters.slice(index + 1, end));
      index = end;
    } else source += escaped(letter);
  }
  return new RegExp(`^${source}$`, "su");
}

function classEnd(letters: readonly string[], start: number): number {
  let index = start + 1;
  while (index < letters.length && letters[index] !== "]") index += letters[index] === "\\" ? 2 : 1;
  return index;
}

function classOf(letters: readonly string[]): string {
  const text = letters
    .join("")
    .replace(/\\([\s\S])|([[&|~])/gu, (_, quoted?: string, special?: string) =>
      quoted === undefined ? `\\${special}` : escaped(quoted),
    );
  return `[${text}]`;
}

function escaped(letter: string): string {
  return /[\\^$.*+?()[\]{}|/-]/.test(letter) ? `\\${letter}` : letter;
}
