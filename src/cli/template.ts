/**
 * Go's text/template, as far as `--format` uses it: fields, methods, variables, pipelines, `if`, `with`, `range`,
 * comparison, and the functions that Docker adds. Templates are parsed once and executed many times; errors carry
 * Go's wording. Pure.
 */
import { goQuote } from "./go-text.ts";
import { general } from "./units.ts";

/** A value whose fields are computed on demand, as methods of Go contexts are. */
export class TemplateObject {
  /** For error texts: `*formatter.ContainerContext`. */
  readonly typeName: string;
  readonly methods: Readonly<Record<string, (...args: string[]) => unknown>>;

  constructor(typeName: string, methods: Readonly<Record<string, (...args: string[]) => unknown>>) {
    this.typeName = typeName;
    this.methods = methods;
  }

  /** What `{{json .}}` prints: every method without arguments, sorted by name. */
  toJSON(): Record<string, unknown> {
    const names = Object.keys(this.methods).sort();
    const plain = names.filter((name) => (this.methods[name] as () => unknown).length === 0);
    return Object.fromEntries(plain.map((name) => [name, this.methods[name]?.()]));
  }
}

export class TemplateError extends Error {}

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
  | { readonly kind: "break" }
  | { readonly kind: "continue" };

interface Pipeline {
  readonly variables: readonly string[];
  readonly declares: boolean;
  readonly commands: readonly (readonly Operand[])[];
}

type Operand =
  | { readonly kind: "constant"; readonly value: unknown }
  | { readonly kind: "dot" }
  | {
      readonly kind: "field";
      readonly names: readonly string[];
      readonly at: number;
      readonly source: string;
    }
  | {
      readonly kind: "variable";
      readonly name: string;
      readonly names: readonly string[];
      readonly at: number;
      readonly source: string;
    }
  | { readonly kind: "function"; readonly name: string; readonly at: number }
  | {
      readonly kind: "nested";
      readonly pipeline: Pipeline;
      readonly names: readonly string[];
      readonly at: number;
      readonly source: string;
    };

interface Token {
  readonly kind: "field" | "variable" | "word" | "string" | "number" | "symbol" | "dot";
  readonly text: string;
  readonly at: number;
  readonly spaced: boolean;
}

class Break extends Error {}
class Continue extends Error {}

export class Template {
  readonly #source: string;
  readonly #nodes: readonly Node[];

  /** @throws TemplateError `template: :1: …` */
  constructor(source: string) {
    this.#source = source;
    this.#nodes = new Parser(source).parse();
  }

  /** @throws TemplateError */
  execute(data: unknown, options: ExecuteOptions = {}): string {
    return new Execution(this.#source, options).run(this.#nodes, data);
  }
}

// ---- parsing

class Parser {
  readonly #source: string;
  #segments: { text: string; action: boolean; at: number }[] = [];
  #position = 0;
  #variables: string[] = ["$"];

  constructor(source: string) {
    this.#source = source;
  }

  parse(): Node[] {
    this.#segments = this.#split();
    const { nodes, end } = this.#block([]);
    if (end !== undefined) throw this.#error(`unexpected {{${end}}}`, this.#source.length);
    return nodes;
  }

  #error(message: string, at: number): TemplateError {
    const line = this.#source.slice(0, at).split("\n").length;
    return new TemplateError(`template: :${line}: ${message}`);
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
        case "template":
        case "block":
          throw this.#error(`{{${word}}} is not supported`, segment.at);
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
    return { variables: declared.variables, declares: declared.declares, commands };
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
        return { kind: "constant", value: this.#string(token) };
      case "number":
        return { kind: "constant", value: Number(token.text) };
      case "dot":
        return { kind: "dot" };
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
          return { kind: "constant", value: token.text === "true" };
        }
        if (token.text === "nil") return { kind: "constant", value: null };
        if (!knownFunctions.has(token.text)) {
          throw this.#error(`function ${goQuote(token.text)} not defined`, token.at);
        }
        return { kind: "function", name: token.text, at: token.at };
      default: {
        if (token.text !== "(") throw this.#error(`unexpected ${goQuote(token.text)} in operand`, token.at);
        const pipeline = this.#pipeline(tokens, cursor, token.at, false);
        if (tokens[cursor.at]?.text !== ")") throw this.#error("unclosed left paren", token.at);
        cursor.at++;
        const names = this.#chain(tokens, cursor);
        return { kind: "nested", pipeline, names, at: token.at, source: `(…).${names.join(".")}` };
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

class Execution {
  readonly #source: string;
  readonly #functions: Readonly<Record<string, TemplateFunction>> | undefined;
  readonly #missingKey: "error" | "default";
  #variables: { name: string; value: unknown }[] = [];
  #output = "";

  constructor(source: string, { functions, missingKey = "default" }: ExecuteOptions) {
    this.#source = source;
    this.#functions = functions;
    this.#missingKey = missingKey;
  }

  run(nodes: readonly Node[], data: unknown): string {
    this.#variables = [{ name: "$", value: data }];
    this.#walk(nodes, data);
    return this.#output;
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
      const { at, source } = sourceOf(node.pipeline);
      throw this.#error(at, source, `range can't iterate over ${printValue(value)}`);
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
      value = this.#command(command, dot, piped ? [value] : []);
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
      if (first.name === "and" || first.name === "or") return this.#junction(first.name, rest, dot, piped);
      const args = [...rest.map((operand) => this.#evaluate(operand, dot, [])), ...piped];
      return this.#call(first, args);
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

  #call(operand: Extract<Operand, { kind: "function" }>, args: readonly unknown[]): unknown {
    const implementation = this.#functions?.[operand.name] ?? builtins[operand.name];
    if (!implementation)
      throw new TemplateError(`template: :1: function ${goQuote(operand.name)} not defined`);
    try {
      return implementation(...args);
    } catch (error) {
      if (error instanceof TemplateError) throw error;
      const reason = error instanceof Error ? error.message : String(error);
      throw this.#error(operand.at, operand.name, `error calling ${operand.name}: ${reason}`);
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
        return this.#call(operand, args);
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
    operand.names.forEach((name, index) => {
      const last = index === operand.names.length - 1;
      value = this.#field(value, name, operand, last ? args : []);
    });
    return value;
  }

  #field(
    target: unknown,
    name: string,
    operand: { readonly at: number; readonly source: string },
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
    if (target === null || target === undefined) {
      const missing = operand.source.split(".").at(operand.source.split(".").indexOf(name) - 1);
      const known = this.#missingKey === "error" && missing !== undefined && missing !== "";
      const reason = known
        ? `map has no entry for key ${goQuote(missing)}`
        : `nil data; no entry for key ${goQuote(name)}`;
      throw this.#error(operand.at, operand.source, reason);
    }
    if (typeof target !== "object" || Array.isArray(target)) {
      throw this.#error(operand.at, operand.source, `can't evaluate field ${name} in type ${typeOf(target)}`);
    }
    if (Object.hasOwn(target, name)) return (target as Record<string, unknown>)[name];
    if (this.#missingKey === "error") {
      throw this.#error(operand.at, operand.source, `map has no entry for key ${goQuote(name)}`);
    }
    return undefined;
  }

  #error(at: number, source: string, reason: string): TemplateError {
    const before = this.#source.slice(0, at);
    const line = before.split("\n").length;
    const column = at - (before.lastIndexOf("\n") + 1);
    return new TemplateError(`template: :${line}:${column}: executing "" at <${source}>: ${reason}`);
  }
}

/** Where a pipeline stands, for errors. */
function sourceOf({ commands }: Pipeline): { at: number; source: string } {
  const operand = commands[0]?.[0];
  if (operand === undefined || operand.kind === "constant" || operand.kind === "dot")
    return { at: 0, source: "." };
  return { at: operand.at, source: operand.kind === "function" ? operand.name : operand.source };
}

/** Go's truth: empty values are false. */
function isTrue(value: unknown): boolean {
  if (value === null || value === undefined) return false;
  if (Array.isArray(value)) return value.length > 0;
  if (value instanceof TemplateObject) return true;
  if (typeof value === "object") return Object.keys(value).length > 0;
  return Boolean(value);
}

function entriesOf(value: unknown): [unknown, unknown][] | undefined {
  if (value === null || value === undefined) return [];
  if (Array.isArray(value)) return value.map((item, index) => [index, item]);
  if (typeof value === "number")
    return Array.from({ length: Math.max(0, value) }, (_none, index) => [index, index]);
  if (typeof value === "object" && !(value instanceof TemplateObject)) {
    return Object.entries(value).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  }
  return undefined;
}

function typeOf(value: unknown): string {
  if (Array.isArray(value)) return "[]interface {}";
  return typeof value === "boolean" ? "bool" : typeof value === "number" ? "int" : typeof value;
}

/** As fmt.Print shows a value. */
export function printValue(value: unknown): string {
  if (value === undefined) return "<no value>";
  return format(value);
}

function format(value: unknown): string {
  if (value === null || value === undefined) return "<nil>";
  if (Array.isArray(value)) return `[${value.map(format).join(" ")}]`;
  if (value instanceof TemplateObject) return format(value.toJSON());
  if (typeof value === "number") {
    return Number.isInteger(value) ? String(value) : general(value, 17);
  }
  if (typeof value === "object") {
    const entries = entriesOf(value) ?? [];
    return `map[${entries.map(([key, item]) => `${key}:${format(item)}`).join(" ")}]`;
  }
  return String(value);
}

/** fmt.Sprint: spaces only between operands of which neither is text. */
function sprint(args: readonly unknown[]): string {
  return args
    .map((arg, at) => {
      const spaced = at > 0 && typeof arg !== "string" && typeof args[at - 1] !== "string";
      return `${spaced ? " " : ""}${format(arg)}`;
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
      .map((arg) => `${typeOf(arg)}=${format(arg)}`)
      .join(", ")})`;
  }
  return text;
}

function formatVerb(verb: string, value: unknown, flags: string, precision: string | undefined): string {
  switch (verb) {
    case "d":
      return typeof value === "number" ? String(value) : `%!d(${typeOf(value)}=${format(value)})`;
    case "q":
      return goQuote(format(value));
    case "x":
    case "X": {
      const hex = typeof value === "number" ? value.toString(16) : Buffer.from(format(value)).toString("hex");
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
      const text = format(value);
      const sign = flags.includes("+") && typeof value === "number" && value >= 0 ? "+" : "";
      return sign + (precision === undefined ? text : text.slice(0, Number(precision)));
    }
  }
}

/** JSON as Go writes it without HTML escaping. */
export function toJson(value: unknown): string {
  if (value instanceof TemplateObject) return escapeHtml(JSON.stringify(value));
  const text = JSON.stringify(value === undefined ? null : value) ?? "null";
  return text.replaceAll("\u2028", "\\u2028").replaceAll("\u2029", "\\u2029");
}

/** A context marshals itself, and then Go's escaping of HTML applies. */
function escapeHtml(json: string): string {
  return json.replace(
    /[<>&\u2028\u2029]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

function indexInto(value: unknown, keys: readonly unknown[]): unknown {
  let current = value;
  for (const key of keys) {
    if (Array.isArray(current)) {
      if (typeof key !== "number") throw new Error("cannot index slice/array with type string");
      if (key < 0 || key >= current.length) throw new Error(`reflect: slice index out of range`);
      current = current[key];
    } else if (typeof current === "string" && typeof key === "number") {
      if (key < 0 || key >= current.length) throw new Error(`index out of range: ${key}`);
      current = Buffer.from(current)[key];
    } else if (current !== null && typeof current === "object") {
      current = Object.hasOwn(current, String(key)) ? (current as Record<string, unknown>)[String(key)] : "";
    } else if (current === null || current === undefined) {
      throw new Error("index of untyped nil");
    } else {
      throw new Error(`can't index item of type ${typeOf(current)}`);
    }
  }
  return current;
}

function lengthOf(value: unknown): number {
  if (typeof value === "string") return Buffer.byteLength(value);
  if (Array.isArray(value)) return value.length;
  if (value === null || value === undefined) return 0;
  if (typeof value === "object") return Object.keys(value).length;
  throw new Error(`len of type ${typeOf(value)}`);
}

function equal(a: unknown, b: unknown): boolean {
  const [left, right] = [a ?? null, b ?? null];
  if (left !== null && right !== null && typeof left !== typeof right) {
    throw new Error("incompatible types for comparison");
  }
  return left === right;
}

function compare(a: unknown, b: unknown): number {
  if (typeof a !== typeof b) throw new Error("incompatible types for comparison");
  if (typeof a !== "string" && typeof a !== "number") throw new Error("invalid type for comparison");
  return a < (b as typeof a) ? -1 : a > (b as typeof a) ? 1 : 0;
}

const builtins: Readonly<Record<string, TemplateFunction>> = {
  json: (value) => toJson(value),
  split: (text, separator) => String(text).split(String(separator)),
  join: (items, separator) => (Array.isArray(items) ? items.map(format) : []).join(String(separator)),
  title: (text) =>
    String(text).replace(/(^|[^\p{L}\p{N}_'])(\p{L})/gu, (_all, gap, letter) => gap + letter.toUpperCase()),
  lower: (text) => String(text).toLowerCase(),
  upper: (text) => String(text).toUpperCase(),
  pad: (text, before, after) =>
    text === "" ? "" : " ".repeat(Number(before)) + String(text) + " ".repeat(Number(after)),
  truncate: (text, length) => String(text).slice(0, Number(length)),
  not: (value) => !isTrue(value),
  len: lengthOf,
  index: (value, ...keys) => indexInto(value, keys),
  slice: (value, from = 0, to = undefined) =>
    (value as string | unknown[]).slice(Number(from), to as number | undefined),
  print: (...args) => sprint(args),
  println: (...args) => `${args.map(format).join(" ")}\n`,
  printf: (pattern, ...args) => sprintf(String(pattern), args),
  html: (...args) =>
    sprint(args).replace(/[&<>"']/g, (char) =>
      `&#${char.codePointAt(0)};`.replace("&#38;", "&amp;").replace("&#60;", "&lt;").replace("&#62;", "&gt;"),
    ),
  urlquery: (...args) => encodeURIComponent(sprint(args)).replaceAll("%20", "+"),
  js: (...args) => toJson(sprint(args)).slice(1, -1),
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

const knownFunctions: ReadonlySet<string> = new Set([
  ...Object.keys(builtins),
  "and",
  "or",
  "getDetailsOrder",
]);
