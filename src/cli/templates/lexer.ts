/** Cuts a template into text and actions, and an action into tokens. Pure. */
import { goQuote } from "../values/go-text.ts";
import type { TemplateError } from "./errors.ts";

export interface Token {
  readonly kind: "field" | "variable" | "word" | "string" | "number" | "symbol" | "dot";
  readonly text: string;
  readonly at: number;
  readonly spaced: boolean;
}

/** A stretch of text, or the inside of one `{{action}}`. */
export interface Segment {
  readonly text: string;
  readonly action: boolean;
  readonly at: number;
}

/** Makes the error for a place in the template. */
export type Fail = (message: string, at: number) => TemplateError;

/** Cuts text and actions apart, applying `{{-` and `-}}`. */
export function splitActions(source: string, fail: Fail): Segment[] {
  const segments: Segment[] = [];
  let at = 0;
  let trimNext = false;
  for (;;) {
    const open = source.indexOf("{{", at);
    let text = source.slice(at, open < 0 ? undefined : open);
    if (trimNext) text = text.trimStart();
    if (open < 0) {
      if (text !== "") segments.push({ text, action: false, at });
      return segments;
    }
    let start = open + 2;
    if (/^-\s/.test(source.slice(start, start + 2))) {
      text = text.trimEnd();
      start += 1;
    }
    if (text !== "") segments.push({ text, action: false, at });
    const inner = /^\s*\/\*/.exec(source.slice(start));
    const close = inner ? commentEnd(source, start, fail) : actionEnd(source, start, fail);
    let body = source.slice(start, close);
    trimNext = /\s-$/.test(body);
    if (trimNext) body = body.slice(0, -1);
    if (!inner) segments.push({ text: body, action: true, at: start });
    at = close + 2;
  }
}

function commentEnd(source: string, start: number, fail: Fail): number {
  const end = source.indexOf("*/", start);
  if (end < 0) throw fail("unclosed comment", start);
  const close = source.indexOf("}}", end);
  if (close < 0) throw fail("comment ends before closing delimiter", start);
  return close;
}

function actionEnd(source: string, start: number, fail: Fail): number {
  for (let at = start; at < source.length; at++) {
    const char = source[at];
    if (char === '"') {
      for (at++; at < source.length && source[at] !== '"'; at++) {
        if (source[at] === "\\") at++;
        if (source[at] === "\n") throw fail("unterminated quoted string", start);
      }
      if (at >= source.length) throw fail("unterminated quoted string", start);
    } else if (char === "`") {
      at = source.indexOf("`", at + 1);
      if (at < 0) throw fail("unterminated raw quoted string", start);
    } else if (char === "}" && source[at + 1] === "}") {
      return at;
    }
  }
  throw fail("unclosed action", source.length);
}

/** @param base where `text` begins in the template */
export function tokensOf(text: string, base: number, fail: Fail): Token[] {
  const tokens: Token[] = [];
  const pattern =
    /(\s+)|("(?:\\.|[^"\\])*"|`[^`]*`|'(?:\\.|[^'\\])+')|([+-]?(?:0[xX][0-9a-fA-F]+|\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+))|(\$[\p{L}\p{N}_]*)|(\.[\p{L}_][\p{L}\p{N}_]*)|(\.)|([\p{L}_][\p{L}\p{N}_]*)|(:=|=|[|(),])/uy;
  let spaced = true;
  while (pattern.lastIndex < text.length) {
    const at = pattern.lastIndex;
    const match = pattern.exec(text);
    if (!match) throw fail(`unexpected ${goQuote(text[at] as string)} in command`, base + at);
    if (match[1] !== undefined) {
      spaced = true;
      continue;
    }
    const kind =
      match[2] !== undefined
        ? "string"
        : match[3] !== undefined
          ? "number"
          : match[4] !== undefined
            ? "variable"
            : match[5] !== undefined
              ? "field"
              : match[6] !== undefined
                ? "dot"
                : match[7] !== undefined
                  ? "word"
                  : "symbol";
    tokens.push({ kind, text: match[0], at: base + at, spaced });
    spaced = false;
  }
  return tokens;
}

const simpleEscapes: Readonly<Record<string, string>> = {
  n: "\n",
  t: "\t",
  r: "\r",
  a: "\x07",
  b: "\b",
  f: "\f",
  v: "\v",
  "\\": "\\",
  '"': '"',
  "'": "'",
};

/** The text that stands between Go's quotes. */
export function decodeEscapes(text: string): string {
  return text.replace(
    /\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))/gs,
    (_all, byte, short, long, octal, char) => {
      const hex = byte ?? short ?? long;
      if (hex !== undefined) return String.fromCodePoint(Number.parseInt(hex, 16));
      if (octal !== undefined) return String.fromCodePoint(Number.parseInt(octal, 8));
      return simpleEscapes[char] ?? char;
    },
  );
}
