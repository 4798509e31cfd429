/**
 * Go's text/template, as far as `--format` uses it: fields, methods, variables, pipelines, `if`, `with`, `range`,
 * comparison, and the functions that Docker adds. Templates are parsed once and executed many times; errors carry
 * Go's wording. Pure.
 */
import { type ExecuteOptions, Execution } from "./execution.ts";
import type { TemplateFunction } from "./functions.ts";
import type { Parsed } from "./nodes.ts";
import { Parser } from "./parser.ts";

export interface TemplateOptions {
  /** Of the template, in error texts. */
  readonly name?: string;
  /** Beside those that every template has. */
  readonly functions?: Readonly<Record<string, TemplateFunction>>;
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
