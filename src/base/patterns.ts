/**
 * Patterns of paths as Docker has them: those of `.dockerignore` (`PatternMatcher`), and of single names and paths
 * (`matchesGlob`). Paths are relative and slash-separated.
 * @see github.com/moby/patternmatcher, Go path.Match
 */

import { compileTranslated, type GoRegExp } from "./go-regexp.ts";

/** Which patterns matched a directory: given to its entries, so that each level is matched once. */
export type MatchResults = readonly boolean[];

/** A pattern that means nothing. */
export class PatternError extends Error {
  override readonly name = "PatternError";
}

interface Pattern {
  readonly negated: boolean;
  readonly matches: (path: string) => boolean;
}

export class PatternMatcher {
  readonly #patterns: readonly Pattern[];
  /** A path in a matching directory may be taken out again. */
  readonly hasExceptions: boolean;

  /** @throws PatternError */
  constructor(patterns: readonly string[]) {
    this.#patterns = patterns.flatMap((text) => parsePattern(text) ?? []);
    this.hasExceptions = this.#patterns.some(({ negated }) => negated);
  }

  /**
   * Whether a path is matched: by the last pattern that says something about it or a directory above it.
   * @param parent results of the directory that the path lies in; absent: every directory above is looked at
   */
  match(
    path: string,
    parent: MatchResults = [],
  ): { readonly matched: boolean; readonly results: MatchResults } {
    let matched = false;
    const results = this.#patterns.map((pattern, index) => {
      let match = parent[index] ?? false;
      if (!match) {
        if (pattern.negated !== matched) return false;
        match = pattern.matches(path) || (parent.length === 0 && matchesAbove(pattern, path));
      }
      if (match) matched = !pattern.negated;
      return match;
    });
    return { matched, results };
  }
}

function matchesAbove(pattern: Pattern, path: string): boolean {
  for (let at = path.indexOf("/"); at > 0; at = path.indexOf("/", at + 1)) {
    if (pattern.matches(path.slice(0, at))) return true;
  }
  return false;
}

function parsePattern(text: string): Pattern | undefined {
  let pattern = text.trim();
  if (pattern === "") return undefined;
  pattern = cleanPath(pattern);
  const negated = pattern.startsWith("!");
  if (negated) {
    if (pattern.length === 1) throw new PatternError('illegal exclusion pattern: "!"');
    pattern = cleanPath(pattern.slice(1).trim());
  }
  return { negated, matches: compile(pattern) };
}

/** Go's filepath.Clean. */
export function cleanPath(path: string): string {
  const absolute = path.startsWith("/");
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== "..") parts.push(part);
    else if (parts.length > 0 && parts.at(-1) !== "..") parts.pop();
    else if (!absolute) parts.push("..");
  }
  const joined = parts.join("/");
  return absolute ? `/${joined}` : joined || ".";
}

const SPECIAL = /[.+()|{}$^]/;

function compile(pattern: string): (path: string) => boolean {
  let source = "";
  let kind: "exact" | "prefix" | "suffix" | "expression" = "exact";
  for (let at = 0; at < pattern.length; at++) {
    const char = pattern.charAt(at);
    if (char === "*" && pattern[at + 1] === "*") {
      const first = at === 0;
      at += pattern[at + 2] === "/" ? 2 : 1;
      if (at + 1 < pattern.length) {
        source += "(?:.*/)?";
        kind = "expression";
      } else if (kind === "exact") {
        kind = "prefix";
      } else {
        source += ".*";
        kind = "expression";
      }
      if (first) kind = "suffix";
    } else if (char === "*" || char === "?") {
      source += char === "*" ? "[^/]*" : "[^/]";
      kind = "expression";
    } else if (char === "\\") {
      const next = pattern[++at];
      source += next === undefined ? "\\\\" : `\\${next}`;
      if (next !== undefined) kind = "expression";
    } else if (char === "[" || char === "]") {
      source += char;
      kind = "expression";
    } else source += SPECIAL.test(char) && !source.endsWith("[") ? `\\${char}` : char;
  }
  switch (kind) {
    case "exact":
      return (path) => path === pattern;
    case "prefix":
      return (path) => path.startsWith(pattern.slice(0, -2));
    case "suffix": {
      const suffix = pattern.slice(2);
      return (path) => path.endsWith(suffix) || (suffix.startsWith("/") && path === suffix.slice(1));
    }
    default: {
      const expression = toExpression(`^${source}$`, pattern);
      return (path) => expression.test(path);
    }
  }
}

function toExpression(source: string, pattern: string): GoRegExp {
  try {
    return compileTranslated(source);
  } catch (error) {
    throw new PatternError(`syntax error in pattern: ${pattern}`, { cause: error });
  }
}

/** True for a path with a wildcard that is not escaped. */
export function hasWildcards(path: string): boolean {
  for (let at = 0; at < path.length; at++) {
    const char = path[at];
    if (char === "\\") at++;
    else if (char === "*" || char === "?" || char === "[") return true;
  }
  return false;
}

/** Go's path.Match: `*` and `?` stop at slashes. @throws PatternError */
export function matchesGlob(pattern: string, path: string): boolean {
  return globExpression(pattern).test(path);
}

const globs = new Map<string, GoRegExp>();

function globExpression(pattern: string): GoRegExp {
  const known = globs.get(pattern);
  if (known) return known;
  let source = "";
  for (let at = 0; at < pattern.length; at++) {
    const char = pattern.charAt(at);
    if (char === "*") source += "[^/]*";
    else if (char === "?") source += "[^/]";
    else if (char === "[") {
      const end = classEnd(pattern, at);
      source += toClass(pattern.slice(at + 1, end), pattern);
      at = end;
    } else if (char === "\\") {
      const next = pattern[++at];
      if (next === undefined) throw new PatternError(`syntax error in pattern: ${pattern}`);
      source += escapeChar(next);
    } else source += escapeChar(char);
  }
  const expression = toExpression(`^${source}$`, pattern);
  if (globs.size > 1000) globs.clear();
  globs.set(pattern, expression);
  return expression;
}

function classEnd(pattern: string, start: number): number {
  for (let at = start + 1; at < pattern.length; at++) {
    if (pattern[at] === "\\") at++;
    else if (pattern[at] === "]" && at > start + 1) return at;
  }
  throw new PatternError(`syntax error in pattern: ${pattern}`);
}

function toClass(body: string, pattern: string): string {
  const negated = body.startsWith("^");
  const members = negated ? body.slice(1) : body;
  if (members === "") throw new PatternError(`syntax error in pattern: ${pattern}`);
  const text = members.replace(/\\(.)|([[\]^])/g, (_, escaped, plain) => `\\${escaped ?? plain}`);
  return negated ? `(?!/)[^${text}]` : `[${text}]`;
}

function escapeChar(char: string): string {
  return /[\\^$.*+?()[\]{}|/]/.test(char) ? `\\${char}` : char;
}

/** Go's path.Base. */
export function baseName(path: string): string {
  if (path === "") return ".";
  return path.replace(/\/+$/, "").split("/").at(-1) || "/";
}
