/**
 * Words of a Dockerfile: quotes, escapes and variables, as a shell reads them.
 *
 * One pass over the letters gives both the word as a whole and its parts after splitting at spaces; spaces that came out
 * of an unquoted variable split too, quoted ones do not.
 */
import { DockerfileError, wrapped } from "../source/errors.ts";
import { messageOf } from "../source/ranges.ts";
import type { Environment } from "./environment.ts";
import { replacePattern, trimEnd, trimStart } from "./patterns.ts";

export interface ShellSyntax {
  /** A backslash, or a backtick where the file says so. */
  readonly escape: string;
  /** Quotes stay in the result. */
  readonly keepQuotes?: boolean;
  /** Escape letters stay in the result. */
  readonly keepEscapes?: boolean;
  /** Quotes mean nothing: the text of a here-document. */
  readonly ignoreQuotes?: boolean;
  /** A variable that is not set stays as it is written. */
  readonly keepUnset?: boolean;
}

export interface Expansion {
  readonly text: string;
  readonly words: string[];
  /** Names that were looked up and found, and those that were not. */
  readonly matched: Set<string>;
  readonly unmatched: Set<string>;
}

/** Expands a word. @throws DockerfileError if quotes or braces do not close, or a substitution makes no sense */
export function expand(word: string, environment: Environment, syntax: ShellSyntax): Expansion {
  const pass = new Pass(word, environment, syntax);
  try {
    const { text, words } = pass.until(undefined, syntax.keepEscapes ?? false);
    return { text, words, matched: pass.matched, unmatched: pass.unmatched };
  } catch (error) {
    throw wrapped(`failed to process ${JSON.stringify(word)}`, error);
  }
}

/** Splits a line into words after expanding its variables. */
export function expandWords(line: string, environment: Environment, syntax: ShellSyntax): string[] {
  return expand(line, environment, syntax).words;
}

const SPECIAL_PARAMETERS = "@*#?-$!0";
const isSpace = (letter: string) => /\s/u.test(letter);
const isDigit = (letter: string) => /\p{Nd}/u.test(letter);

/** Gathers words: unquoted letters split at spaces, quoted text does not. */
class Words {
  readonly #done: string[] = [];
  #current = "";

  addUnquoted(text: string): void {
    for (const letter of text) {
      if (!isSpace(letter)) this.#current += letter;
      else this.#finish();
    }
  }

  addQuoted(text: string): void {
    this.#current += text;
  }

  all(): string[] {
    this.#finish();
    return this.#done;
  }

  #finish(): void {
    if (this.#current !== "") this.#done.push(this.#current);
    this.#current = "";
  }
}

class Pass {
  readonly matched = new Set<string>();
  readonly unmatched = new Set<string>();
  readonly #letters: string[];
  readonly #environment: Environment;
  readonly #syntax: ShellSyntax;
  #keepEscapes = false;
  #at = 0;

  constructor(text: string, environment: Environment, syntax: ShellSyntax) {
    this.#letters = [...text];
    this.#environment = environment;
    this.#syntax = syntax;
  }

  /** Reads up to a letter, which is consumed, or to the end where none is given. */
  until(stop: string | undefined, keepEscapes: boolean): { text: string; words: string[] } {
    const before = this.#keepEscapes;
    this.#keepEscapes = keepEscapes;
    try {
      return this.#readUntil(stop);
    } finally {
      this.#keepEscapes = before;
    }
  }

  #readUntil(stop: string | undefined): { text: string; words: string[] } {
    const words = new Words();
    let text = "";
    for (let letter = this.#peek(); letter !== undefined; letter = this.#peek()) {
      if (letter === stop) {
        this.#at++;
        return { text, words: words.all() };
      }
      if (letter === "$") {
        const value = this.#variable();
        text += value;
        words.addUnquoted(value);
      } else if (letter === "<" || (isQuote(letter) && !this.#syntax.ignoreQuotes)) {
        const quoted = letter === "<" ? this.#heredocMark() : this.#quoted(letter);
        text += quoted;
        words.addQuoted(quoted);
      } else if (letter === this.#syntax.escape) {
        this.#at++;
        const escaped = (this.#keepEscapes ? letter : "") + (this.#next() ?? "");
        text += escaped;
        words.addQuoted(escaped);
      } else {
        this.#at++;
        text += letter;
        words.addUnquoted(letter);
      }
    }
    if (stop !== undefined) {
      throw new DockerfileError(`unexpected end of statement while looking for matching ${stop}`);
    }
    return { text, words: words.all() };
  }

  #quoted(quote: string): string {
    return quote === "'" ? this.#singleQuoted() : this.#doubleQuoted();
  }

  /** Everything up to the next single quote, as it is: nothing can be escaped in there. */
  #singleQuoted(): string {
    const from = this.#at + 1;
    const end = this.#letters.indexOf("'", from);
    if (end < 0) {
      this.#at = this.#letters.length;
      throw new DockerfileError("unexpected end of statement while looking for matching single-quote");
    }
    this.#at = end + 1;
    const text = this.#letters.slice(from, end).join("");
    return this.#syntax.keepQuotes ? `'${text}'` : text;
  }

  /** Variables are expanded; the escape letter works before a double quote, a dollar sign and itself. */
  #doubleQuoted(): string {
    this.#at++;
    let text = this.#syntax.keepQuotes ? '"' : "";
    for (let letter = this.#peek(); letter !== undefined; letter = this.#peek()) {
      if (letter === '"') {
        this.#at++;
        return this.#syntax.keepQuotes ? `${text}"` : text;
      }
      if (letter === "$") {
        text += this.#variable();
        continue;
      }
      this.#at++;
      if (letter !== this.#syntax.escape) {
        text += letter;
        continue;
      }
      if (this.#keepEscapes) text += letter;
      const next = this.#peek();
      if (next === undefined) continue;
      const isEscaped = next === '"' || next === "$" || next === this.#syntax.escape;
      if (isEscaped) this.#at++;
      if (isEscaped) text += next;
      else if (!this.#keepEscapes) text += letter;
    }
    throw new DockerfileError("unexpected end of statement while looking for matching double-quote");
  }

  /** `<<` keeps the spaces after it with it, so that `<< EOF` stays one word. */
  #heredocMark(): string {
    this.#at++;
    if (this.#peek() !== "<") return "<";
    let mark = "<<";
    this.#at++;
    for (let letter = this.#peek(); letter !== undefined && "\t\r ".includes(letter); letter = this.#peek()) {
      mark += letter;
      this.#at++;
    }
    return mark;
  }

  #variable(): string {
    this.#at++;
    if (this.#peek() !== "{") {
      const name = this.#name();
      if (name === "") return "$";
      const value = this.#lookUp(name);
      return value ?? (this.#syntax.keepUnset ? `$${name}` : "");
    }
    this.#at++;
    const first = this.#peek();
    if (first === undefined) throw new DockerfileError("syntax error: missing '}'");
    if (first === "{" || first === "}" || first === ":") {
      throw new DockerfileError("syntax error: bad substitution");
    }
    return this.#substitution(this.#name());
  }

  /** What stands between the name and the closing brace. */
  #substitution(name: string): string {
    const mark = this.#next();
    if (mark === "}") return this.#lookUp(name) ?? (this.#syntax.keepUnset ? `\${${name}}` : "");
    if (mark === "/") return this.#replacement(name);
    const emptyIsUnset = mark === ":";
    const operator = emptyIsUnset ? this.#next() : mark;
    const written = emptyIsUnset ? `:${operator ?? ""}` : (operator ?? "");
    const isTrim = operator === "#" || operator === "%";
    const isKnown = operator !== undefined && "+-?#%".includes(operator);
    if ((emptyIsUnset && isTrim) || (!isKnown && !emptyIsUnset)) throw unsupportedModifier(written);
    const word = this.#operand("}", isTrim, "syntax error: missing '}'");
    const value = this.#lookUp(name);
    if (value === undefined && this.#syntax.keepUnset) return `\${${name}${written}${word}}`;
    const isAbsent = value === undefined || (emptyIsUnset && value === "");
    if (operator === "-") return isAbsent ? word : value;
    if (operator === "+") return isAbsent ? "" : word;
    if (operator === "?") {
      if (!isAbsent) return value;
      const why = word || `is not allowed to be ${value === undefined ? "unset" : "empty"}`;
      throw new DockerfileError(`${name}: ${why}`);
    }
    if (!isTrim) throw unsupportedModifier(written);
    const longest = word.startsWith(operator);
    const pattern = longest ? word.slice(1) : word;
    return (operator === "#" ? trimStart : trimEnd)(value ?? "", pattern, longest);
  }

  #replacement(name: string): string {
    const all = this.#peek() === "/";
    if (all) this.#at++;
    const pattern = this.#operand("/", true, "syntax error: missing '/' in $" + "{}");
    const text = this.#operand("}", true, "syntax error: missing '}'");
    const value = this.#lookUp(name);
    if (value === undefined && this.#syntax.keepUnset) return `\${${name}/${pattern}/${text}}`;
    return replacePattern(value ?? "", pattern, text, all);
  }

  #operand(stop: string, keepEscapes: boolean, atEnd: string): string {
    try {
      return this.until(stop, keepEscapes).text;
    } catch (error) {
      throw this.#peek() === undefined ? new DockerfileError(atEnd) : new DockerfileError(messageOf(error));
    }
  }

  /** Letters, digits and underscores; digits alone, if it starts with one; or one special parameter of the shell. */
  #name(): string {
    const first = this.#peek();
    if (first === undefined) return "";
    if (isDigit(first)) return this.#while(isDigit);
    if (SPECIAL_PARAMETERS.includes(first)) {
      this.#at++;
      return first;
    }
    return this.#while((letter) => /[\p{L}\p{Nd}_]/u.test(letter));
  }

  #while(fits: (letter: string) => boolean): string {
    const from = this.#at;
    for (let letter = this.#peek(); letter !== undefined && fits(letter); letter = this.#peek()) this.#at++;
    return this.#letters.slice(from, this.#at).join("");
  }

  #lookUp(name: string): string | undefined {
    const value = this.#environment.get(name);
    (value === undefined ? this.unmatched : this.matched).add(name);
    return value;
  }

  #peek(): string | undefined {
    return this.#letters[this.#at];
  }

  #next(): string | undefined {
    return this.#letters[this.#at++];
  }
}

function isQuote(letter: string): boolean {
  return letter === "'" || letter === '"';
}

function unsupportedModifier(written: string): DockerfileError {
  return new DockerfileError(`unsupported modifier (${written}) in substitution`);
}
