/** How the arguments of each instruction are cut. What they mean is decided later, in `instructions/`. */
import { DockerfileError } from "../source/errors.ts";

export interface Arguments {
  readonly args: string[];
  readonly json: boolean;
}

type ArgumentParser = (rest: string, escapeLetter: string) => Arguments;

/** Spaces that part words within a line. */
export const BLANKS = /[\t\v\f\r ]+/;

const PARSERS: Readonly<Record<string, ArgumentParser>> = {
  add: jsonOrWords,
  arg: (rest, escapeLetter) => listOf(quotedWords(rest, escapeLetter)),
  cmd: jsonOrText,
  copy: jsonOrWords,
  entrypoint: jsonOrText,
  env: (rest, escapeLetter) => listOf(keyValues("ENV", rest, escapeLetter)),
  expose: words,
  from: words,
  healthcheck,
  label: (rest, escapeLetter) => listOf(keyValues("LABEL", rest, escapeLetter)),
  maintainer: text,
  run: jsonOrText,
  shell: jsonOrText,
  stopsignal: text,
  user: text,
  volume: jsonOrWords,
  workdir: text,
};

/** Cuts what follows an instruction's word and flags; an unknown instruction has no arguments. */
export function parseArguments(command: string, rest: string, escapeLetter: string): Arguments {
  return PARSERS[command.toLowerCase()]?.(rest, escapeLetter) ?? listOf([]);
}

function listOf(args: string[], json = false): Arguments {
  return { args, json };
}

function text(rest: string): Arguments {
  return listOf(rest === "" ? [] : [rest]);
}

function words(rest: string): Arguments {
  return listOf(rest === "" ? [] : rest.split(BLANKS));
}

function jsonOrText(rest: string): Arguments {
  return jsonArray(rest) ?? text(rest);
}

function jsonOrWords(rest: string): Arguments {
  return jsonArray(rest) ?? words(rest);
}

/** HEALTHCHECK's first word is its kind, the rest is a command. */
function healthcheck(rest: string): Arguments {
  const [, kind, command = ""] = /^(\S+)\s*([\s\S]*)$/.exec(rest) ?? [];
  if (kind === undefined) return listOf([]);
  const parsed = jsonOrText(command);
  return listOf([kind, ...parsed.args], parsed.json);
}

/** A JSON array of strings; undefined if the text is no JSON array. @throws DockerfileError if it holds anything else */
function jsonArray(rest: string): Arguments | undefined {
  if (!rest.trimStart().startsWith("[")) return undefined;
  let values: unknown;
  try {
    values = JSON.parse(rest);
  } catch {
    return undefined; // `[ -f x ] && …` is a shell's line.
  }
  if (!Array.isArray(values)) return undefined;
  if (!values.every((value) => typeof value === "string")) {
    throw new DockerfileError("when using JSON array syntax, arrays must be comprised of strings only");
  }
  return listOf(values, true);
}

/** `a=b c="d e"` in the new form, `a b c` (one name, the rest its value) in the old. */
function keyValues(command: string, rest: string, escapeLetter: string): string[] {
  const found = quotedWords(rest, escapeLetter);
  const [first] = found;
  if (first === undefined) return [];
  if (!first.includes("=")) {
    const [, name, value] = /^(.*?)[\t\v\f\r ]+([\s\S]*)$/.exec(rest) ?? [];
    if (name === undefined || value === undefined)
      throw new DockerfileError(`${command} must have two arguments`);
    return [name, value, ""];
  }
  return found.flatMap((word) => {
    const at = word.indexOf("=");
    if (at < 0) {
      throw new DockerfileError(
        `Syntax error - can't find = in ${JSON.stringify(word)}. Must be of the form: name=value`,
      );
    }
    return [word.slice(0, at), word.slice(at + 1), "="];
  });
}

/** Words parted by spaces outside quotes. Quotes and escapes stay: they are resolved on expansion. */
function quotedWords(rest: string, escapeLetter: string): string[] {
  const found: string[] = [];
  const letters = [...rest];
  let word = "";
  let quote = "";
  for (let index = 0; index < letters.length; index++) {
    const letter = letters[index] ?? "";
    if (quote === "" && /\s/u.test(letter)) {
      if (word !== "") found.push(word);
      word = "";
      continue;
    }
    if (letter === escapeLetter && quote !== "'") {
      const next = letters[++index];
      if (next !== undefined) word += letter + next; // At the end of the line it escapes nothing, and goes away.
      continue;
    }
    if (quote === "" && (letter === "'" || letter === '"')) quote = letter;
    else if (letter === quote) quote = "";
    word += letter;
  }
  if (word !== "") found.push(word);
  return found;
}
