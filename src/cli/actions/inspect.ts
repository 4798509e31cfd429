/** `inspect` of any object: the engine's JSON indented, compact, or through a template. */
import { parseExactJson } from "../../base/exact-json.ts";
import { type Cli, messageOf, StatusError } from "../command.ts";
import { explainTemplateError, parseTemplate } from "../formats/formatter.ts";
import { TemplateError } from "../templates/errors.ts";
import type { GoTypeName } from "../templates/go-types.ts";
import type { Template, TemplateOptions } from "../templates/template.ts";

/** An object as the engine sent it, and the type that Docker's client reads it into. */
export interface InspectedObject {
  readonly type: GoTypeName;
  readonly json: string;
  /** Templates are never tried on what the engine sent. */
  readonly typedOnly?: boolean;
}

/**
 * Prints what `fetch` brings for each name; failures come after the output, one line each.
 * @throws StatusError 1 if any name failed, 64 for a template that cannot be parsed
 */
export async function inspectObjects(
  cli: Cli,
  names: readonly string[],
  format: string,
  fetch: (name: string) => Promise<InspectedObject>,
): Promise<void> {
  const render = await rendererFor(format);
  const errors: unknown[] = [];
  const texts: string[] = [];
  for (const name of names) {
    try {
      texts.push(render.one(await fetch(name)));
    } catch (error) {
      errors.push(error);
    }
  }
  cli.stdout.write(render.all(texts));
  if (errors.length > 0) {
    throw new StatusError(errors.map(messageOf).join("\n"), 1, { cause: errors[0] });
  }
}

interface Renderer {
  one(object: InspectedObject): string;
  all(rendered: readonly string[]): string;
}

async function rendererFor(format: string): Promise<Renderer> {
  if (format === "" || format === "json") {
    const layout = format === "json" ? compactJson : indentJson;
    return {
      one: ({ json }) => json.trim(),
      all: (texts) => (texts.length === 0 ? "[]\n" : `${layout(`[${texts.join(",")}]`)}\n`),
    };
  }
  const one = await templateRenderer(parseInspectTemplate(format));
  return {
    one,
    all: (texts) => (texts.length === 0 ? "\n" : texts.map((text) => `${text}\n`).join("")),
  };
}

/**
 * As Docker does (cli/command/inspect): the template runs on the typed object and, if it does not fit there, on what the
 * engine sent, where each key must be there. From then on keys must be there in typed maps, too.
 */
async function templateRenderer(template: Template): Promise<(object: InspectedObject) => string> {
  const { toGoStruct } = await import("../templates/go-types.ts");
  let missingKey: "default" | "error" = "default";
  return ({ type, json, typedOnly = false }) => {
    const raw = parseExactJson(json);
    const typed = toGoStruct(type, raw);
    try {
      return template.execute(typed, { missingKey });
    } catch (error) {
      if (typedOnly || !(error instanceof TemplateError)) throw explainTemplateError(error);
    }
    missingKey = "error";
    try {
      return template.execute(raw, { missingKey });
    } catch (error) {
      throw explainTemplateError(error);
    }
  };
}

/** @throws StatusError 64 */
export function parseInspectTemplate(format: string, options?: TemplateOptions): Template {
  try {
    return parseTemplate(format, options);
  } catch (error) {
    throw new StatusError(messageOf(error), 64, { cause: error });
  }
}

/** Go's json.Indent with four spaces: digits and escapes stay as they are. */
function indentJson(text: string): string {
  let out = "";
  let depth = 0;
  let empty = false;
  for (const token of tokens(text)) {
    const margin = (): string => `\n${"    ".repeat(depth)}`;
    if (token === "{" || token === "[") {
      if (empty) out += margin();
      out += token;
      depth++;
      empty = true;
    } else if (token === "}" || token === "]") {
      depth--;
      if (!empty) out += margin();
      empty = false;
      out += token;
    } else {
      if (empty) out += margin();
      empty = false;
      out += token === ":" ? ": " : token === "," ? `,${margin()}` : token;
    }
  }
  return out;
}

export function compactJson(text: string): string {
  let out = "";
  for (const token of tokens(text)) out += token;
  return out;
}

function* tokens(text: string): Generator<string> {
  for (const [token] of text.matchAll(/"(?:\\.|[^"\\])*"|[{}[\]:,]|[^\s{}[\]:,"]+/g)) yield token;
}
