/**
 * Go's text/template, as far as `--format` uses it: fields, methods, variables, pipelines, `if`, `with`, `range`,
 * comparison, and the functions that Docker adds. Templates are parsed once and executed many times; errors carry
 * Go's wording. Pure.
 */
import { goQuote } from "../values/go-text.ts";
import { general } from "../values/units.ts";
import {
  encodeJson,
  formatValue,
  GoDuration,
  GoMap,
  GoNil,
  GoStruct,
  GoValue,
  isTrue,
  sortedEntries,
} from "./go-value.ts";

/** A value whose fields are computed on demand, as methods of Go contexts are. */
export class TemplateObject extends GoValue {
  /** For error texts: `*formatter.ContainerContext`. */
  readonly typeName: string;
  readonly methods: Readonly<Record<string, (...args: string[]) => unknown>>;

  constructor(typeName: string, methods: Readonly<Record<string, (...args: string[]) => unknown>>) {
    super();
    this.typeName = typeName;
    this.methods = methods;
  }

  /** What `{{json .}}` prints: every method without arguments, sorted by name, with HTML escaped. */
  json(): string {
    return encodeJson(this.#plain()).replace(
      /[<>&]/g,
      (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
    );
  }

  print(): string {
    return formatValue(this.#plain());
  }

  isTrue(): boolean {
    return true;
  }

  #plain(): Record<string, unknown> {
    const plain = Object.entries(this.methods).filter(([, method]) => method.length === 0);
    return Object.fromEntries(plain.map(([name, method]) => [name, method()]));
  }
}

export class TemplateError extends Error {
  /** What had been written when execution failed. */
  output = "";
}

export type TemplateFunction = (...args: unknown[]) => unknown;

export interface ExecuteOptions {
  /** Replace functions of the same name. */
  readonly functions?: Readonly<Record<string, TemplateFunction>>;
  /** What a missing key of a map does: error, or print `<no value>`. */
  readonly missingKey?: "error" | "default";
}

type Node =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "print"; readonly pipeline: Pipeline }
  | { readonly kind: "if"; readonly pipeline: Pipeline; readonly body: Node[]; readonly otherwise: Node[] }
  | { readonly kind: "with"; readonly pipeline: Pipeline; readonly body: Node[]; readonly otherwise: Node[] }
  | { readonly kind: "range"; readonly pipeline: Pipeline; readonly body: Node[]; readonly otherwise: Node[] }
  | ({ readonly kind: "template"; readonly name: string; readonly pipeline: Pipeline | undefined } & Place)
  | { readonly kind: "break" }
  | { readonly kind: "continue" };

interface Pipeline {
  readonly variables: readonly string[];
  readonly declares: boolean;
  readonly commands: readonly (readonly Operand[])[];
  /** As Go would write it, for error texts. */
  readonly source: string;
}

interface Place {
  readonly at: number;
  /** As Go would write it, for error texts. */
  readonly source: string;
}

type Operand = Place &
  (
    | { readonly kind: "constant"; readonly value: unknown }
    | { readonly kind: "dot" }
    | { readonly kind: "field"; readonly names: readonly string[] }
    | { readonly kind: "variable"; readonly name: string; readonly names: readonly string[] }
    | { readonly kind: "function"; readonly name: string }
    | { readonly kind: "nested"; readonly pipeline: Pipeline; readonly names: readonly string[] }
  );

interface Token {
  readonly kind: "field" | "variable" | "word" | "string" | "number" | "symbol" | "dot";
  readonly text: string;
  readonly at: number;
  readonly spaced: boolean;
}

class Break extends Error {}
class Continue extends Error {}

export interface TemplateOptions {
  /** Of the template, in error texts. */
  readonly name?: string;
  /** Beside those that every template has. */
  readonly functions?: Readonly<Record<string, TemplateFunction>>;
}

/** A template's text and what became of it: its own nodes and those that it defines by name. */
interface Parsed {
  readonly name: string;
  readonly source: string;
  readonly nodes: readonly Node[];
  readonly defined: ReadonlyMap<string, readonly Node[]>;
}

export class Template {
  readonly #parsed: Parsed;
  readonly #functions: Readonly<Record<string, TemplateFunction>>;

  /** @throws TemplateError `template: :1: …` */
  constructor(source: string, { name = "", functions = {} }: TemplateOptions = {}) {
    this.#functions = functions;
    this.#parsed = new Parser(name, source, functions).parse();
  }

  /** @throws TemplateError */
  execute(data: unknown, options: ExecuteOptions = {}): string {
    const functions = { ...this.#functions, ...options.functions };
    return new Execution(this.#parsed, { ...options, functions }).run(data);
  }
}

// ---- parsing

class Parser {
  readonly #name: string;
  readonly #source: string;
  readonly #functions: Readonly<Record<string, TemplateFunction>>;
  readonly #defined = new Map<string, Node[]>();
  #segments: { text: string; action: boolean; at: number }[] = [];
  #position = 0;
  #variables: string[] = ["$"];

  constructor(name: string, source: string, functions: Readonly<Record<string, TemplateFunction>>) {
    this.#name = name;
    this.#source = source;
    this.#functions = functions;
  }

  parse(): Parsed {
    this.#segments = this.#split();
    const { nodes, end } = this.#block([]);
    if (end !== undefined) throw this.#error(`unexpected {{${end}}}`, this.#source.length);
    return { name: this.#name, source: this.#source, nodes, defined: this.#defined };
  }

  #error(message: string, at: number): TemplateError {
    const line = this.#source.slice(0, at).split("\n").length;
    return new TemplateError(`template: ${this.#name}:${line}: ${message}`);
  }

  /** Cuts text and actions apart, applying `{{-` and `-}}`. */
  #split(): { text: string; action: boolean; at: number }[] {
    const segments: { text: string; action: boolean; at: number }[] = [];
    let at = 0;
    let trimNext = false;
    for (;;) {
      const open = this.#source.indexOf("{{", at);
      let text = this.#source.slice(at, open < 0 ? undefined : open);
      if (trimNext) text = text.trimStart();
      if (open < 0) {
        if (text !== "") segments.push({ text, action: false, at });
        return segments;
      }
      let start = open + 2;
      if (/^-\s/.test(this.#source.slice(start, start + 2))) {
        text = text.trimEnd();
        start += 1;
      }
      if (text !== "") segments.push({ text, action: false, at });
      const inner = /^\s*\/\*/.exec(this.#source.slice(start));
      const close = inner ? this.#commentEnd(start) : this.#actionEnd(start);
      let body = this.#source.slice(start, close);
      trimNext = /\s-$/.test(body);
      if (trimNext) body = body.slice(0, -1);
      if (!inner) segments.push({ text: body, action: true, at: start });
      at = close + 2;
    }
  }

  #commentEnd(start: number): number {
    const end = this.#source.indexOf("*/", start);
    if (end < 0) throw this.#error("unclosed comment", start);
    const close = this.#source.indexOf("}}", end);
    if (close < 0) throw this.#error("comment ends before closing delimiter", start);
    return close;
  }

  #actionEnd(start: number): number {
    for (let at = start; at < this.#source.length; at++) {
      const char = this.#source[at];
      if (char === '"') {
        for (at++; at < this.#source.length && this.#source[at] !== '"'; at++) {
          if (this.#source[at] === "\\") at++;
          if (this.#source[at] === "\n") throw this.#error("unterminated quoted string", start);
        }
        if (at >= this.#source.length) throw this.#error("unterminated quoted string", start);
      } else if (char === "`") {
        at = this.#source.indexOf("`", at + 1);
        if (at < 0) throw this.#error("unterminated raw quoted string", start);
      } else if (char === "}" && this.#source[at + 1] === "}") {
        return at;
      }
    }
    throw this.#error("unclosed action", this.#source.length);
  }

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
      const segment = this.#segments[this.#position++] as { text: string; action: boolean; at: number };
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
    const tokens = this.#tokens(text, at);
    const cursor = { at: 0 };
    const pipeline = this.#pipeline(tokens, cursor, at, range);
    const left = tokens[cursor.at];
    if (left) throw this.#error(`unexpected ${goQuote(left.text)} in command`, left.at);
    return pipeline;
  }

  #tokens(text: string, base: number): Token[] {
    const tokens: Token[] = [];
    const pattern =
      /(\s+)|("(?:\\.|[^"\\])*"|`[^`]*`|'(?:\\.|[^'\\])+')|([+-]?(?:0[xX][0-9a-fA-F]+|\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+))|(\$[\p{L}\p{N}_]*)|(\.[\p{L}_][\p{L}\p{N}_]*)|(\.)|([\p{L}_][\p{L}\p{N}_]*)|(:=|=|[|(),])/uy;
    let spaced = true;
    while (pattern.lastIndex < text.length) {
      const at = pattern.lastIndex;
      const match = pattern.exec(text);
      if (!match) throw this.#error(`unexpected ${goQuote(text[at] as string)} in command`, base + at);
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
        if (!knownFunctions.has(token.text) && !Object.hasOwn(this.#functions, token.text)) {
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

function commandSource(operands: readonly Operand[]): string {
  return operands.map(({ source }) => source).join(" ");
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

function decodeEscapes(text: string): string {
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

// ---- executing

/** How deep templates may call one another, as Go limits it. */
const MAX_DEPTH = 1_000;

class Execution {
  readonly #parsed: Parsed;
  readonly #functions: Readonly<Record<string, TemplateFunction>> | undefined;
  readonly #missingKey: "error" | "default";
  #variables: { name: string; value: unknown }[] = [];
  /** The template being executed, for error texts. */
  #name: string;
  #depth = 0;
  #output = "";

  constructor(parsed: Parsed, { functions, missingKey = "default" }: ExecuteOptions) {
    this.#parsed = parsed;
    this.#name = parsed.name;
    this.#functions = functions;
    this.#missingKey = missingKey;
  }

  run(data: unknown): string {
    this.#variables = [{ name: "$", value: data }];
    try {
      this.#walk(this.#parsed.nodes, data);
    } catch (error) {
      if (error instanceof TemplateError) error.output = this.#output;
      throw error;
    }
    return this.#output;
  }

  #invoke({ name, pipeline, at, source }: Extract<Node, { kind: "template" }>, dot: unknown): void {
    const nodes = this.#parsed.defined.get(name);
    if (!nodes) throw this.#error(at, source, `template ${goQuote(name)} not defined`);
    if (this.#depth === MAX_DEPTH) {
      throw this.#error(at, source, `exceeded maximum template depth (${MAX_DEPTH})`);
    }
    const data = pipeline ? this.#pipeline(pipeline, dot) : undefined;
    const [variables, caller] = [this.#variables, this.#name];
    this.#variables = [{ name: "$", value: data }];
    this.#name = name;
    this.#depth++;
    this.#walk(nodes, data);
    this.#depth--;
    this.#name = caller;
    this.#variables = variables;
  }

  #walk(nodes: readonly Node[], dot: unknown): void {
    for (const node of nodes) {
      switch (node.kind) {
        case "text":
          this.#output += node.text;
          break;
        case "print": {
          const value = this.#pipeline(node.pipeline, dot);
          if (node.pipeline.variables.length === 0) this.#output += printValue(value);
          break;
        }
        case "if":
          this.#scoped(() => {
            const holds = isTrue(this.#pipeline(node.pipeline, dot));
            this.#walk(holds ? node.body : node.otherwise, dot);
          });
          break;
        case "with":
          this.#scoped(() => {
            const value = this.#pipeline(node.pipeline, dot);
            if (isTrue(value)) this.#walk(node.body, value);
            else this.#walk(node.otherwise, dot);
          });
          break;
        case "range":
          this.#scoped(() => this.#range(node, dot));
          break;
        case "template":
          this.#invoke(node, dot);
          break;
        case "break":
          throw new Break();
        case "continue":
          throw new Continue();
      }
    }
  }

  #scoped(work: () => void): void {
    const depth = this.#variables.length;
    try {
      work();
    } finally {
      this.#variables.length = depth;
    }
  }

  #range(node: Extract<Node, { kind: "range" }>, dot: unknown): void {
    const value = this.#commands(node.pipeline, dot);
    const entries = entriesOf(value);
    if (entries === undefined) {
      throw this.#error(
        node.pipeline.commands[0]?.[0]?.at ?? 0,
        node.pipeline.source,
        `range can't iterate over ${printValue(value)}`,
      );
    }
    if (entries.length === 0) {
      this.#walk(node.otherwise, dot);
      return;
    }
    const [first, second] = node.pipeline.variables;
    for (const [key, item] of entries) {
      const depth = this.#variables.length;
      if (second !== undefined && first !== undefined) {
        this.#variables.push({ name: first, value: key }, { name: second, value: item });
      } else if (first !== undefined) {
        this.#variables.push({ name: first, value: item });
      }
      try {
        this.#walk(node.body, item);
      } catch (error) {
        if (error instanceof Break) return;
        if (!(error instanceof Continue)) throw error;
      } finally {
        this.#variables.length = depth;
      }
    }
  }

  #pipeline(pipeline: Pipeline, dot: unknown): unknown {
    const value = this.#commands(pipeline, dot);
    const name = pipeline.variables[0];
    if (name !== undefined) {
      if (pipeline.declares) this.#variables.push({ name, value });
      else this.#assign(name, value);
    }
    return value;
  }

  #commands(pipeline: Pipeline, dot: unknown): unknown {
    let value: unknown;
    let piped = false;
    for (const command of pipeline.commands) {
      // As Go unpacks interfaces: a nil one leaves no value at all.
      value = this.#command(command, dot, piped ? [value] : []) ?? undefined;
      piped = true;
    }
    return value;
  }

  #assign(name: string, value: unknown): void {
    const variable = this.#variables.findLast((candidate) => candidate.name === name);
    if (variable) variable.value = value;
  }

  #command(operands: readonly Operand[], dot: unknown, piped: readonly unknown[]): unknown {
    const [first, ...rest] = operands as [Operand, ...Operand[]];
    if (first.kind === "function") {
      if (first.name === "call") throw this.#notCallable(operands, dot);
      if (first.name === "and" || first.name === "or") return this.#junction(first.name, rest, dot, piped);
      const args = [...rest.map((operand) => this.#evaluate(operand, dot, [])), ...piped];
      return this.#call(first.name, args, { at: first.at, source: commandSource(operands) });
    }
    const args = [...rest.map((operand) => this.#evaluate(operand, dot, [])), ...piped];
    return this.#evaluate(first, dot, args);
  }

  #junction(name: "and" | "or", rest: readonly Operand[], dot: unknown, piped: readonly unknown[]): unknown {
    let value: unknown;
    for (const operand of rest) {
      value = this.#evaluate(operand, dot, []);
      if (isTrue(value) === (name === "or")) return value;
    }
    return piped.length > 0 ? piped[0] : value;
  }

  /** No value that a template sees is a function. */
  #notCallable(operands: readonly Operand[], dot: unknown): TemplateError {
    const [{ at }, target] = operands as [Operand, Operand | undefined];
    const value = target && this.#evaluate(target, dot, []);
    const reason =
      value === undefined || value === null
        ? "call of nil"
        : `non-function ${target?.source} of type ${typeOf(value)}`;
    return this.#error(at, commandSource(operands), `error calling call: ${reason}`);
  }

  #call(name: string, args: readonly unknown[], { at, source }: Place): unknown {
    const implementation = this.#functions?.[name] ?? builtins[name];
    if (!implementation) {
      throw new TemplateError(`template: ${this.#name}:1: function ${goQuote(name)} not defined`);
    }
    try {
      return implementation(...args);
    } catch (error) {
      if (error instanceof TemplateError) throw error;
      const reason = error instanceof Error ? error.message : String(error);
      throw this.#error(at, source, `error calling ${name}: ${reason}`);
    }
  }

  #evaluate(operand: Operand, dot: unknown, args: readonly unknown[]): unknown {
    switch (operand.kind) {
      case "constant":
        return operand.value;
      case "dot":
        return dot;
      case "field":
        return this.#fields(dot, operand, args);
      case "variable": {
        const found = this.#variables.findLast((candidate) => candidate.name === operand.name);
        return this.#fields(found?.value, operand, args);
      }
      case "function":
        return this.#call(operand.name, args, operand);
      case "nested":
        return this.#fields(this.#pipeline(operand.pipeline, dot), operand, args);
    }
  }

  #fields(
    start: unknown,
    operand: { readonly names: readonly string[]; readonly at: number; readonly source: string },
    args: readonly unknown[],
  ): unknown {
    let value = start;
    let owner: unknown;
    operand.names.forEach((name, index) => {
      const last = index === operand.names.length - 1;
      // What Go decoded without a type is an interface until it is looked at.
      const type = isUntyped(owner) ? "interface {}" : typeOf(value);
      const found = this.#field(value, name, { ...operand, type }, last ? args : []);
      owner = value;
      value = found;
    });
    return value;
  }

  #field(
    target: unknown,
    name: string,
    operand: Place & { readonly type: string },
    args: readonly unknown[],
  ): unknown {
    if (target instanceof TemplateObject) {
      const method = target.methods[name];
      if (!method) {
        throw this.#error(
          operand.at,
          operand.source,
          `can't evaluate field ${name} in type ${target.typeName}`,
        );
      }
      if (args.length !== method.length) {
        throw this.#error(
          operand.at,
          operand.source,
          `wrong number of args for ${name}: want ${method.length} got ${args.length}`,
        );
      }
      return method(...args.map(String));
    }
    const fail = (reason: string): TemplateError => this.#error(operand.at, operand.source, reason);
    if (args.length > 0) throw fail(`${name} has arguments but cannot be invoked as function`);
    if (target === undefined) {
      if (this.#missingKey === "error") throw fail(`nil data; no entry for key ${goQuote(name)}`);
      return undefined;
    }
    if (target === null) throw fail(`nil pointer evaluating interface {}.${name}`);
    if (target instanceof GoStruct && target.has(name)) return target.get(name);
    if (target instanceof GoNil && target.kind === "pointer") {
      throw fail(`nil pointer evaluating ${target.typeName}.${name}`);
    }
    const members = membersOf(target);
    if (!members) throw fail(`can't evaluate field ${name} in type ${operand.type}`);
    if (members.has(name)) return members.get(name);
    if (this.#missingKey === "error") throw fail(`map has no entry for key ${goQuote(name)}`);
    return undefined;
  }

  #error(at: number, source: string, reason: string): TemplateError {
    const before = this.#parsed.source.slice(0, at);
    const line = before.split("\n").length;
    const column = at - (before.lastIndexOf("\n") + 1);
    const place = `${this.#parsed.name}:${line}:${column}`;
    return new TemplateError(
      `template: ${place}: executing ${goQuote(this.#name)} at <${source}>: ${reason}`,
    );
  }
}

/** JSON that was read without a type. */
function isUntyped(value: unknown): boolean {
  return typeof value === "object" && value !== null && !(value instanceof GoValue);
}

/** The keys of a map. */
function membersOf(value: unknown): ReadonlyMap<string, unknown> | undefined {
  if (value instanceof GoMap) return value.entries;
  if (value instanceof GoNil && value.kind === "map") return new Map();
  if (value === null || typeof value !== "object" || Array.isArray(value) || value instanceof GoValue) {
    return undefined;
  }
  return new Map(Object.entries(value));
}

function entriesOf(value: unknown): [unknown, unknown][] | undefined {
  if (value === null || value === undefined) return [];
  if (value instanceof GoNil && value.kind === "slice") return [];
  if (Array.isArray(value)) return value.map((item, index) => [index, item]);
  if (typeof value === "number")
    return Array.from({ length: Math.max(0, value) }, (_none, index) => [index, index]);
  const members = membersOf(value);
  return members && sortedEntries(members);
}

function typeOf(value: unknown): string {
  if (value instanceof GoValue) return value.typeName;
  if (Array.isArray(value)) return "[]interface {}";
  if (typeof value === "boolean") return "bool";
  return typeof value === "number" || typeof value === "bigint" ? "int" : typeof value;
}

/** What a template shows of a value. */
function printValue(value: unknown): string {
  return value === undefined || value === null ? "<no value>" : formatValue(value);
}

/** fmt.Sprint: spaces only between operands of which neither is text. */
function sprint(args: readonly unknown[]): string {
  return args
    .map((arg, at) => {
      const spaced = at > 0 && typeof arg !== "string" && typeof args[at - 1] !== "string";
      return `${spaced ? " " : ""}${formatValue(arg)}`;
    })
    .join("");
}

/** The verbs of fmt.Sprintf that templates use. */
function sprintf(pattern: string, args: readonly unknown[]): string {
  let next = 0;
  const text = pattern.replace(
    /%([-+# 0]*)(\d+|\*)?(?:\.(\d+))?([vsdqtxXfgeTcb%])/g,
    (_all, flags: string, widthText: string | undefined, precision: string | undefined, verb: string) => {
      if (verb === "%") return "%";
      const width = widthText === "*" ? Number(args[next++]) : Number(widthText ?? 0);
      if (next >= args.length) return `%!${verb}(MISSING)`;
      const shown = formatVerb(verb, args[next++], flags, precision);
      if (flags.includes("-")) return shown.padEnd(width);
      return flags.includes("0") && /^[-+]?[\d.]/.test(shown)
        ? shown.padStart(width, "0")
        : shown.padStart(width);
    },
  );
  if (next < args.length) {
    return `${text}%!(EXTRA ${args
      .slice(next)
      .map((arg) => `${typeOf(arg)}=${formatValue(arg)}`)
      .join(", ")})`;
  }
  return text;
}

function formatVerb(verb: string, value: unknown, flags: string, precision: string | undefined): string {
  switch (verb) {
    case "d":
      return kindOf(comparable(value)) === "number"
        ? String(comparable(value))
        : `%!d(${typeOf(value)}=${formatValue(value)})`;
    case "q":
      return goQuote(formatValue(value));
    case "x":
    case "X": {
      const hex =
        typeof value === "number" ? value.toString(16) : Buffer.from(formatValue(value)).toString("hex");
      return verb === "X" ? hex.toUpperCase() : hex;
    }
    case "b":
      return Number(value).toString(2);
    case "c":
      return String.fromCodePoint(Number(value));
    case "f":
      return Number(value).toFixed(Number(precision ?? 6));
    case "e":
      return Number(value).toExponential(Number(precision ?? 6));
    case "g":
      return general(Number(value), Number(precision ?? 17));
    case "T":
      return typeOf(value);
    default: {
      const text = formatValue(value);
      const sign = flags.includes("+") && typeof value === "number" && value >= 0 ? "+" : "";
      return sign + (precision === undefined ? text : text.slice(0, Number(precision)));
    }
  }
}

function indexInto(value: unknown, keys: readonly unknown[]): unknown {
  let current = value;
  for (const key of keys) {
    if (current === null || current === undefined) throw new Error("index of untyped nil");
    if (current instanceof GoNil && current.kind === "pointer") throw new Error("index of nil pointer");
    const items = itemsOf(current);
    if (items) {
      current = items[checkIndex(key, items.length, items.length - 1)];
      continue;
    }
    const members = membersOf(current);
    if (!members) throw new Error(`can't index item of type ${typeOf(current)}`);
    if (typeof key !== "string") {
      throw new Error(`value has type ${typeOf(key)}; should be string`);
    }
    const zero = current instanceof GoMap || current instanceof GoNil ? current.zero : () => null;
    current = members.has(key) ? members.get(key) : zero();
  }
  return current;
}

/** What can be indexed by number: a slice, or the bytes of text. */
function itemsOf(value: unknown): ArrayLike<unknown> | undefined {
  if (Array.isArray(value)) return value;
  if (value instanceof GoNil && value.kind === "slice") return [];
  return typeof value === "string" ? Buffer.from(value) : undefined;
}

/** @throws Error in Go's words, which differ right behind the end */
function checkIndex(index: unknown, length: number, last: number): number {
  if (typeof index !== "number") throw new Error(`cannot index slice/array with type ${typeOf(index)}`);
  if (index < 0 || index > length) throw new Error(`index out of range: ${index}`);
  if (index > last) throw new Error("reflect: slice index out of range");
  return index;
}

/** Of a slice or of the bytes of text. */
function slice(value: unknown, bounds: readonly unknown[]): unknown {
  if (value === null || value === undefined) throw new Error("slice of untyped nil");
  const items = itemsOf(value);
  if (!items) throw new Error(`can't slice item of type ${typeOf(value)}`);
  if (bounds.length > 3) throw new Error(`too many slice indexes: ${bounds.length}`);
  if (bounds.length === 3 && typeof value === "string") throw new Error("cannot 3-index slice a string");
  const [from, to] = [0, items.length].map((initial, at) =>
    bounds[at] === undefined ? initial : checkIndex(bounds[at], items.length, items.length),
  ) as [number, number];
  if (from > to) throw new Error(`invalid slice index: ${from} > ${to}`);
  return typeof value === "string"
    ? Buffer.from(value).subarray(from, to).toString()
    : Array.prototype.slice.call(items, from, to);
}

/** The first bytes. */
function truncate(text: string, length: number): string {
  const bytes = Buffer.from(text);
  return bytes.length < length ? text : bytes.subarray(0, length).toString();
}

function lengthOf(value: unknown): number {
  if (value === null || value === undefined) throw new Error("len of nil pointer");
  const size = itemsOf(value)?.length ?? membersOf(value)?.size;
  if (size === undefined) throw new Error(`len of type ${typeOf(value)}`);
  return size;
}

/** What comparisons see: nil pointers are nil, durations and large integers are numbers. */
function comparable(value: unknown): unknown {
  if (value === undefined || (value instanceof GoNil && value.kind === "pointer")) return null;
  return value instanceof GoDuration ? value.nanoseconds : value;
}

function equal(a: unknown, b: unknown): boolean {
  const [left, right] = [comparable(a), comparable(b)];
  if (left === null || right === null) return left === right;
  if (kindOf(left) !== kindOf(right)) throw new Error("incompatible types for comparison");
  // biome-ignore lint/suspicious/noDoubleEquals: a bigint equals the same number
  return left == right;
}

function compare(a: unknown, b: unknown): number {
  const [left, right] = [comparable(a), comparable(b)];
  if (kindOf(left) !== kindOf(right)) throw new Error("incompatible types for comparison");
  if (kindOf(left) !== "string" && kindOf(left) !== "number") throw new Error("invalid type for comparison");
  const [x, y] = [left as string, right as string];
  return x < y ? -1 : x > y ? 1 : 0;
}

function kindOf(value: unknown): string {
  return typeof value === "bigint" ? "number" : typeof value;
}

const builtins: Readonly<Record<string, TemplateFunction>> = {
  json: (value) => encodeJson(value),
  split: (text, separator) => String(text).split(String(separator)),
  join: (items, separator) => (Array.isArray(items) ? items.map(formatValue) : []).join(String(separator)),
  title: (text) =>
    String(text).replace(/(^|[^\p{L}\p{N}_'])(\p{L})/gu, (_all, gap, letter) => gap + letter.toUpperCase()),
  lower: (text) => String(text).toLowerCase(),
  upper: (text) => String(text).toUpperCase(),
  pad: (text, before, after) =>
    text === "" ? "" : " ".repeat(Number(before)) + String(text) + " ".repeat(Number(after)),
  truncate: (text, length) => truncate(String(text), Number(length)),
  not: (value) => !isTrue(value),
  len: lengthOf,
  index: (value, ...keys) => indexInto(value, keys),
  slice: (value, ...bounds) => slice(value, bounds),
  print: (...args) => sprint(args),
  println: (...args) => `${args.map(formatValue).join(" ")}\n`,
  printf: (pattern, ...args) => sprintf(String(pattern), args),
  html: (...args) =>
    sprint(args).replace(/[&<>"']/g, (char) =>
      `&#${char.codePointAt(0)};`.replace("&#38;", "&amp;").replace("&#60;", "&lt;").replace("&#62;", "&gt;"),
    ),
  urlquery: (...args) => encodeURIComponent(sprint(args)).replaceAll("%20", "+"),
  js: (...args) => encodeJson(sprint(args)).slice(1, -1),
  eq: (first, ...others) => {
    if (others.length === 0) throw new Error("missing argument for comparison");
    return others.some((other) => equal(first, other));
  },
  ne: (a, b) => !equal(a, b),
  lt: (a, b) => compare(a, b) < 0,
  le: (a, b) => compare(a, b) <= 0,
  gt: (a, b) => compare(a, b) > 0,
  ge: (a, b) => compare(a, b) >= 0,
};

const knownFunctions: ReadonlySet<string> = new Set([...Object.keys(builtins), "and", "or", "call"]);
