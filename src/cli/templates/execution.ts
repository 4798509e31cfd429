/** Runs a template on data: walks its nodes, evaluates pipelines, and names in every error the place where it arose. */
import { goQuote } from "../values/go-text.ts";
import { TemplateError } from "./errors.ts";
import { builtins, type TemplateFunction } from "./functions.ts";
import { GoNil, GoStruct, isTrue } from "./go-value.ts";
import { commandSource, type Node, type Operand, type Parsed, type Pipeline, type Place } from "./nodes.ts";
import { TemplateObject } from "./object.ts";
import { entriesOf, isUntyped, membersOf, printValue, typeOf } from "./reflect.ts";

export interface ExecuteOptions {
  /** Replace functions of the same name. */
  readonly functions?: Readonly<Record<string, TemplateFunction>>;
  /** What a missing key of a map does: error, or print `<no value>`. */
  readonly missingKey?: "error" | "default";
}

class Break extends Error {}
class Continue extends Error {}

/** How deep templates may call one another, as Go limits it. */
const MAX_DEPTH = 1_000;

export class Execution {
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
