/**
 * What Go's encoding/json says of text that is not JSON: scripts and test suites look for these words. Called only
 * after parsing has failed, so it need not be quick. Pure.
 * @see Go encoding/json scanner.go
 */

/** That a whole document is followed by something: in moby's words, since Go's decoder reads on. */
export const MORE_CONTENT = "unexpected content after JSON";

/** Thrown by the scanner with Go's words. */
class Unexpected extends Error {}

/** The message of Go's decoder for text that does not begin with one JSON document, or tells that more follows it. */
export function describeJsonError(text: string): string {
  try {
    const scanner = new Scanner(text);
    scanner.value();
    return scanner.atEnd() ? "unexpected EOF" : MORE_CONTENT;
  } catch (error) {
    if (error instanceof Unexpected) return error.message;
    throw error;
  }
}

/** Deeper than any request; Go's own limit is 10000. */
const MOST_NESTING = 1000;

class Scanner {
  readonly #text: string;
  #at = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
  }

  atEnd(): boolean {
    this.#skipSpace();
    return this.#at >= this.#text.length;
  }

  value(): void {
    const first = this.#next();
    if (first === "{") this.#nested(() => this.#object());
    else if (first === "[") this.#nested(() => this.#array());
    else if (first === '"') this.#string();
    else if (first === "-" || isDigit(first)) this.#number(first);
    else if (first === "t") this.#literal("true");
    else if (first === "f") this.#literal("false");
    else if (first === "n") this.#literal("null");
    else throw this.#invalid(first, "looking for beginning of value");
  }

  #nested(scan: () => void): void {
    if (++this.#depth > MOST_NESTING) throw new Unexpected("exceeded max depth");
    scan();
    this.#depth--;
  }

  #object(): void {
    for (let first = true; ; first = false) {
      const quote = this.#next();
      if (first && quote === "}") return;
      if (quote !== '"') throw this.#invalid(quote, "looking for beginning of object key string");
      this.#string();
      const colon = this.#next();
      if (colon !== ":") throw this.#invalid(colon, "after object key");
      this.value();
      const end = this.#next();
      if (end === "}") return;
      if (end !== ",") throw this.#invalid(end, "after object key:value pair");
    }
  }

  #array(): void {
    this.#skipSpace();
    if (this.#text[this.#at] === "]") {
      this.#at++;
      return;
    }
    for (;;) {
      this.value();
      const end = this.#next();
      if (end === "]") return;
      if (end !== ",") throw this.#invalid(end, "after array element");
    }
  }

  #string(): void {
    for (;;) {
      const char = this.#take();
      if (char === '"') return;
      if (char === "\\") this.#escape();
      else if (char < " ") throw this.#invalid(char, "in string literal");
    }
  }

  #escape(): void {
    const char = this.#take();
    if ('bfnrt\\/"'.includes(char)) return;
    if (char !== "u") throw this.#invalid(char, "in string escape code");
    for (let digit = 0; digit < 4; digit++) {
      const hex = this.#take();
      if (!/[0-9a-fA-F]/.test(hex)) throw this.#invalid(hex, "in \\u hexadecimal character escape");
    }
  }

  #number(first: string): void {
    const digit = first === "-" ? this.#take() : first;
    if (!isDigit(digit)) throw this.#invalid(digit, "in numeric literal");
    if (digit !== "0") this.#digits();
    if (this.#text[this.#at] === ".") {
      this.#at++;
      this.#someDigits("after decimal point in numeric literal");
    }
    if (/[eE]/.test(this.#text[this.#at] ?? "")) {
      this.#at++;
      if (/[+-]/.test(this.#text[this.#at] ?? "")) this.#at++;
      this.#someDigits("in exponent of numeric literal");
    }
  }

  #someDigits(where: string): void {
    const digit = this.#take();
    if (!isDigit(digit)) throw this.#invalid(digit, where);
    this.#digits();
  }

  #digits(): void {
    while (isDigit(this.#text[this.#at] ?? "")) this.#at++;
  }

  #literal(word: string): void {
    for (const expected of word.slice(1)) {
      const char = this.#take();
      if (char !== expected) throw this.#invalid(char, `in literal ${word} (expecting '${expected}')`);
    }
  }

  #next(): string {
    this.#skipSpace();
    return this.#take();
  }

  #take(): string {
    const code = this.#text.codePointAt(this.#at);
    if (code === undefined) throw new Unexpected("unexpected EOF");
    const char = String.fromCodePoint(code);
    this.#at += char.length;
    return char;
  }

  #skipSpace(): void {
    while (" \t\r\n".includes(this.#text[this.#at] ?? "x")) this.#at++;
  }

  #invalid(char: string, where: string): Unexpected {
    return new Unexpected(`invalid character ${quoteChar(char)} ${where}`);
  }
}

function isDigit(char: string): boolean {
  return char >= "0" && char <= "9";
}

/** Go scans bytes: of a character beyond ASCII it names the first one. */
function quoteChar(char: string): string {
  if (char === "'") return "'\\''";
  if (char === '"') return "'\"'";
  if (char > "~") return `'${String.fromCharCode(Buffer.from(char)[0] ?? 0)}'`;
  return `'${JSON.stringify(char).slice(1, -1).replace("\\u00", "\\x")}'`;
}
