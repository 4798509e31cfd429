/** An instruction's line in three: its word, its flags, and the rest. */
import { BLANKS } from "./arguments.ts";

export interface CommandLine {
  readonly command: string;
  readonly flags: string[];
  readonly rest: string;
}

export function splitCommandLine(line: string, escapeLetter: string): CommandLine {
  const trimmed = line.trim();
  const blank = BLANKS.exec(trimmed);
  if (!blank) return { command: trimmed, flags: [], rest: "" };
  const command = trimmed.slice(0, blank.index);
  const { flags, rest } = takeFlags(trimmed.slice(blank.index + blank[0].length), escapeLetter);
  return { command, flags, rest: rest.trim() };
}

/** Words that start with `--`, up to the first that does not, or a bare `--`. Quotes and escapes are resolved. */
function takeFlags(line: string, escapeLetter: string): { flags: string[]; rest: string } {
  const flags: string[] = [];
  let at = 0;
  for (;;) {
    while (at < line.length && /\s/u.test(line[at] ?? "")) at++;
    if (!line.startsWith("--", at)) return { flags, rest: line.slice(at) };
    const { word, end } = takeWord(line, at, escapeLetter);
    if (word === "--") return { flags, rest: line.slice(end) };
    if (word !== "") flags.push(word);
    at = end;
  }
}

function takeWord(line: string, from: number, escapeLetter: string): { word: string; end: number } {
  let word = "";
  let quote = "";
  let at = from;
  for (; at < line.length; at++) {
    const letter = line[at] ?? "";
    if (quote === "" && /\s/u.test(letter)) break;
    if (letter === quote) quote = "";
    else if (quote === "" && (letter === "'" || letter === '"')) quote = letter;
    else if (letter === escapeLetter) word += line[++at] ?? "";
    else word += letter;
  }
  return { word, end: at };
}
