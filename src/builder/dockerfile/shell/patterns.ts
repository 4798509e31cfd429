/**
 * The patterns of `${name#pattern}`, `${name%pattern}` and `${name/pattern/text}`: `*` and `?`, no bracket expressions.
 *
 * @see https://pubs.opengroup.org/onlinepubs/9699919799/utilities/V3_chap02.html#tag_18_13
 */
import { DockerfileError } from "../source/errors.ts";

/** What stands at the start and fits the pattern, taken off. `longest` is `##`. */
export function trimStart(value: string, pattern: string, longest: boolean): string {
  const match = toRegExp(pattern, { longest, anchored: true }).exec(value);
  return match ? value.slice(match[0].length) : value;
}

/** What stands at the end and fits the pattern, taken off. `longest` is `%%`. */
export function trimEnd(value: string, pattern: string, longest: boolean): string {
  // A regular expression finds the leftmost match: turned round, that is the shortest or longest at the end.
  return reversed(trimStart(reversed(value), reversedPattern(pattern), longest));
}

/** The first match, or every one, replaced by `text` taken literally; a match is as long as it can be. */
export function replacePattern(value: string, pattern: string, text: string, all: boolean): string {
  const expression = toRegExp(pattern, { longest: true, anchored: false, all });
  return value.replace(expression, () => text);
}

interface PatternOptions {
  readonly longest: boolean;
  readonly anchored: boolean;
  readonly all?: boolean;
}

function toRegExp(pattern: string, options: PatternOptions): RegExp {
  const star = options.longest ? ".*" : ".*?";
  const letters = [...pattern];
  let source = options.anchored ? "^" : "";
  for (let index = 0; index < letters.length; index++) {
    const letter = letters[index] ?? "";
    if (letter === "*") source += star;
    else if (letter === "?") source += ".";
    else if (letter === "\\") {
      const next = letters[index + 1] ?? "";
      // A brace or slash is escaped to get past the ${}; the escape is no part of the pattern.
      if (next === "}" || next === "/") continue;
      if (next !== "*" && next !== "?" && next !== "\\") {
        throw new DockerfileError(`invalid pattern (${pattern}) in substitution: invalid escape '\\${next}'`);
      }
      source += `\\${next}`;
      index++;
    } else source += letter.replace(/[[\]{}.+()|^$/]/, "\\$&");
  }
  return new RegExp(source, options.all ? "gu" : "u");
}

function reversed(text: string): string {
  return [...text].reverse().join("");
}

/** Turns a pattern round, keeping each escape before what it escapes. */
function reversedPattern(pattern: string): string {
  return (pattern.match(/\\[\s\S]|[\s\S]/gu) ?? []).reverse().join("");
}
