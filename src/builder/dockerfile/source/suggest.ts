/** "Did you mean": the nearest of the words that would have been right, if one is near enough. */
import { DockerfileError } from "./errors.ts";
import { messageOf } from "./ranges.ts";

/** Words that differ in more edits are not proposed. */
const FARTHEST = 2;

/** The nearest option, or undefined if none is near or the word is one of them (then it was not the mistake). */
export function suggestion(
  word: string,
  options: Iterable<string>,
  caseSensitive: boolean,
): string | undefined {
  const wanted = caseSensitive ? word : word.toLowerCase();
  let nearest: string | undefined;
  let distance = FARTHEST + 1;
  for (const option of options) {
    const candidate = caseSensitive ? option : option.toLowerCase();
    if (candidate === wanted) return undefined;
    const edits = editDistance(wanted, candidate);
    if (edits < distance) {
      nearest = caseSensitive ? candidate : inCaseOf(candidate, word);
      distance = edits;
    }
  }
  return nearest === "" ? undefined : nearest;
}

/** The error with a proposal behind it, or as it was. */
export function withSuggestion(
  error: unknown,
  word: string,
  options: Iterable<string>,
  caseSensitive: boolean,
): unknown {
  const nearest = suggestion(word, options, caseSensitive);
  if (nearest === undefined) return error;
  return new DockerfileError(`${messageOf(error)} (did you mean ${nearest}?)`, { cause: error });
}

function inCaseOf(candidate: string, word: string): string {
  if (word === word.toLowerCase()) return candidate.toLowerCase();
  return word === word.toUpperCase() ? candidate.toUpperCase() : candidate;
}

/** Levenshtein's distance, row by row. */
function editDistance(a: string, b: string): number {
  const target = [...b];
  let row = Array.from({ length: target.length + 1 }, (_, index) => index);
  for (const [index, letter] of [...a].entries()) {
    const next = [index + 1];
    for (const [column, other] of target.entries()) {
      const replaced = (row[column] ?? 0) + (letter === other ? 0 : 1);
      next.push(Math.min(replaced, (row[column + 1] ?? 0) + 1, (next[column] ?? 0) + 1));
    }
    row = next;
  }
  return row[target.length] ?? 0;
}
