/** Reads a template's text into nodes, with Go's rules and Go's words for what is wrong. Pure. */
import { goQuote } from "../values/go-text.ts";
import { TemplateError } from "./errors.ts";
import { isFunction, type TemplateFunction } from "./functions.ts";
import { decodeEscapes, type Segment, splitActions, type Token, tokensOf } from "./lexer.ts";
import { commandSource, type Node, type Operand, type Parsed, type Pipeline } from "./nodes.ts";

export class Parser {
  readonly #name: string;
  readonly #source: string;
  readonly #functions: Readonly<Record<string, TemplateFunction>>;
  readonly #defined = new Map<string, Node[]>();
  #segments: Segment[] = [];
  #position = 0;
  #variables: string[] = ["$"];

  constructor(name: string, source: string, functions: Readonly<Record<string, TemplateFunction>>) {
    this.#name = name;
    this.#source = source;
    this.#functions = functions;
  }

  parse(): Parsed {
    this.#segments = splitActions(this.#source, this.#error);
    const { nodes, end } = this.#block([]);
    if (end !== undefined) throw this.#error(`unexpected {{${end}}}`, this.#source.length);
    return { name: this.#name, source: this.#source, nodes, defined: this.#defined };
  }

  readonly #error = (message: string, at: number): TemplateError => {
    const line = this.#source.slice(0, at).split("\n").length;
    return new TemplateError(`template: ${this.#name}:${line}: ${message}`);
  };

  /** Reads nodes up to an `end` or `else` (returned as `end`), or the end of the template. */
  #block(within: readonly string[]): {
    nodes: Node[];
    end: string | undefined;
    tail: string;
    tailAt: number;
  } {
    const nodes: Node[] = [];
    const scope = this.#variables.length;
    while (this.#position < this.#segments.length) {
      const segment = this.#segments[this.#position++] as Segment;
      if (!segment.action) {
        nodes.push({ kind: "text", text: segment.text });
        continue;
      }
      const keyword = /^\s*(if|with|range|end|else|break|continue|define|template|block)\b/.exec(
        segment.text,
      );
      const word = keyword?.[1];
      const rest = segment.text.slice(keyword?.[0].length ?? 0);
      const restAt = segment.at + (keyword?.[0].length ?? 0);
      switch (word) {
        case "if":
        case "with":
        case "range":
          nodes.push(this.#control(word, rest, restAt, within));
          break;
        case "end":
        case "else":
          if (within.length === 0) throw this.#error(`unexpected {{${word}}}`, segment.at);
          this.#variables.length = scope;
          return { nodes, end: word, tail: rest, tailAt: restAt };
        case "break":
        case "continue":
          if (!within.includes("range")) throw this.#error(`{{${word}}} outside {{range}}`, segment.at);
          nodes.push({ kind: word });
          break;
        case "define":
          if (within.length > 0) throw this.#error("unexpected <define> in command", segment.at);
          this.#define(word, rest, restAt, within);
          break;
        case "template":
          nodes.push(this.#invocation(word, rest, restAt));
          break;
        case "block": {
          const invocation = this.#invocation(word, rest, restAt);
          if (!invocation.pipeline) throw this.#error("missing value for block clause", restAt);
          nodes.push(invocation);
          this.#define(word, rest, restAt, within);
          break;
        }
        default:
          nodes.push({ kind: "print", pipeline: this.#pipelineOf(segment.text, segment.at) });
      }
    }
    if (within.length > 0) throw this.#error("unexpected EOF", this.#source.length);
    return { nodes, end: undefined, tail: "", tailAt: this.#source.length };
  }

  #control(
    kind: "if" | "with" | "range",
    text: string,
    at: number,
    within: readonly string[],
  ): Extract<Node, { kind: "if" | "with" | "range" }> {
    const scope = this.#variables.length;
    const pipeline = this.#pipelineOf(text, at, kind === "range");
    if (pipeline.commands.length === 0) throw this.#error(`missing value for ${kind}`, at);
    const then = this.#block([...within, kind]);
    let otherwise: Node[] = [];
    if (then.end === "else") {
      const chained = /^\s*(if|with)\b/.exec(then.tail);
      if (chained) {
        const skip = chained[0].length;
        const inner = chained[1] as "if" | "with";
        otherwise = [this.#control(inner, then.tail.slice(skip), then.tailAt + skip, within)];
        this.#variables.length = scope;
        return { kind, pipeline, body: then.nodes, otherwise };
      }
      const last = this.#block([...within, kind]);
      if (last.end === "else") throw this.#error("expected end; found {{else}}", last.tailAt);
      otherwise = last.nodes;
    }
    this.#variables.length = scope;
    return { kind, pipeline, body: then.nodes, otherwise };
  }

  /** Reads the body of `define` or `block`, which sees no variables but `$`. */
  #define(word: "define" | "block", text: string, at: number, within: readonly string[]): void {
    const { name, rest, restAt } = this.#templateName(word, text, at);
    if (word === "define" && rest.trim() !== "") {
      throw this.#error(`unexpected ${goQuote(rest.trim())} in define clause`, restAt);
    }
    const variables = this.#variables;
    this.#variables = ["$"];
    const body = this.#block([...within.filter((kind) => kind !== "range"), word]);
    if (body.end === "else") throw this.#error(`unexpected {{else}} in ${word} clause`, body.tailAt);
    this.#variables = variables;
    this.#defined.set(name, body.nodes);
  }

  #invocation(word: "template" | "block", text: string, at: number): Extract<Node, { kind: "template" }> {
    const { name, rest, restAt } = this.#templateName(word, text, at);
    const pipeline = rest.trim() === "" ? undefined : this.#pipelineOf(rest, restAt);
    const source = `{{template ${[goQuote(name), pipeline?.source].join(" ").trim()}}}`;
    return { kind: "template", name, pipeline, at: at + (/\S/.exec(text)?.index ?? 0), source };
  }

  #templateName(word: string, text: string, at: number): { name: string; rest: string; restAt: number } {
    const match = /^\s*("(?:\\.|[^"\\])*"|`[^`]*`)/.exec(text);
    if (!match) {
      const found = /^\s*(\S+)/.exec(text)?.[1];
      throw this.#error(`unexpected ${goQuote(found ?? "}}")} in ${word} clause`, at);
    }
    const quoted = match[1] as string;
    const name = quoted[0] === "`" ? quoted.slice(1, -1) : decodeEscapes(quoted.slice(1, -1));
    return { name, rest: text.slice(match[0].length), restAt: at + match[0].length };
  }

  #pipelineOf(text: string, at: number, range = false): Pipeline {
    const tokens = tokensOf(text, at, this.#error);
    const cursor = { at: 0 };
    const pipeline = this.#pipeline(tokens, cursor, at, range);
    const left = tokens[cursor.at];
    if (left) throw this.#error(`unexpected ${goQuote(left.text)} in command`, left.at);
    return pipeline;
  }
  #pipeline(tokens: readonly Token[], cursor: { at: number }, at: number, range: boolean): Pipeline {
    const declared = this.#declarations(tokens, cursor, range);
    const commands: Operand[][] = [];
    for (;;) {
      const operands: Operand[] = [];
      for (;;) {
        const token = tokens[cursor.at];
        if (!token || token.text === "|" || token.text === ")") break;
        operands.push(this.#operand(tokens, cursor));
      }
      if (operands.length === 0) {
        if (commands.length === 0 && !tokens[cursor.at]) throw this.#error("missing value for command", at);
        throw this.#error("missing value for command", at);
      }
      commands.push(operands);
      if (tokens[cursor.at]?.text !== "|") break;
      cursor.at++;
    }
    const { variables, declares } = declared;
    const declaration = variables.length > 0 ? `${variables.join(", ")} ${declares ? ":=" : "="} ` : "";
    const source = declaration + commands.map(commandSource).join(" | ");
    return { variables, declares, commands, source };
  }

  #declarations(
    tokens: readonly Token[],
    cursor: { at: number },
    range: boolean,
  ): { variables: string[]; declares: boolean } {
    const first = tokens[cursor.at];
    if (first?.kind !== "variable") return { variables: [], declares: false };
    const second = tokens[cursor.at + 1];
    if (second?.text === ":=" || second?.text === "=") {
      cursor.at += 2;
      if (second.text === ":=") this.#variables.push(first.text);
      return { variables: [first.text], declares: second.text === ":=" };
    }
    const third = tokens[cursor.at + 2];
    if (range && second?.text === "," && third?.kind === "variable" && tokens[cursor.at + 3]?.text === ":=") {
      cursor.at += 4;
      this.#variables.push(first.text, third.text);
      return { variables: [first.text, third.text], declares: true };
    }
    return { variables: [], declares: false };
  }

  #operand(tokens: readonly Token[], cursor: { at: number }): Operand {
    const token = tokens[cursor.at++] as Token;
    switch (token.kind) {
      case "string":
        return { kind: "constant", value: this.#string(token), at: token.at, source: token.text };
      case "number":
        return { kind: "constant", value: Number(token.text), at: token.at, source: token.text };
      case "dot":
        return { kind: "dot", at: token.at, source: "." };
      case "field": {
        const at = this.#chainStart(tokens, cursor) ?? token.at;
        const names = [token.text.slice(1), ...this.#chain(tokens, cursor)];
        return { kind: "field", names, at, source: `.${names.join(".")}` };
      }
      case "variable": {
        if (!this.#variables.includes(token.text)) {
          throw this.#error(`undefined variable ${goQuote(token.text)}`, token.at);
        }
        const at = this.#chainStart(tokens, cursor) ?? token.at;
        const names = this.#chain(tokens, cursor);
        const source = [token.text, ...names].join(".");
        return { kind: "variable", name: token.text, names, at, source };
      }
      case "word":
        if (token.text === "true" || token.text === "false") {
          return { kind: "constant", value: token.text === "true", at: token.at, source: token.text };
        }
        if (token.text === "nil") return { kind: "constant", value: null, at: token.at, source: "nil" };
        if (!isFunction(token.text) && !Object.hasOwn(this.#functions, token.text)) {
          throw this.#error(`function ${goQuote(token.text)} not defined`, token.at);
        }
        return { kind: "function", name: token.text, at: token.at, source: token.text };
      default: {
        if (token.text !== "(") throw this.#error(`unexpected ${goQuote(token.text)} in operand`, token.at);
        const pipeline = this.#pipeline(tokens, cursor, token.at, false);
        if (tokens[cursor.at]?.text !== ")") throw this.#error("unclosed left paren", token.at);
        cursor.at++;
        const names = this.#chain(tokens, cursor);
        const source = [`(${pipeline.source})`, ...names].join(".");
        return { kind: "nested", pipeline, names, at: token.at, source };
      }
    }
  }

  /** Go places a chain of fields at its second one. */
  #chainStart(tokens: readonly Token[], cursor: { at: number }): number | undefined {
    const next = tokens[cursor.at];
    return next?.kind === "field" && !next.spaced ? next.at : undefined;
  }

  #chain(tokens: readonly Token[], cursor: { at: number }): string[] {
    const names: string[] = [];
    for (let next = tokens[cursor.at]; next?.kind === "field" && !next.spaced; next = tokens[cursor.at]) {
      names.push(next.text.slice(1));
      cursor.at++;
    }
    return names;
  }

  #string(token: Token): string | number {
    if (token.text[0] === "`") return token.text.slice(1, -1);
    const value = decodeEscapes(token.text.slice(1, -1));
    return token.text[0] === "'" ? (value.codePointAt(0) ?? 0) : value;
  }
}
