/** `inspect` of any object: the engine's JSON indented, compact, or through a template. */
import { type Cli, messageOf, StatusError } from "./command.ts";
import { parseTemplate } from "./formatter.ts";
import { TemplateError } from "./template.ts";

/**
 * Prints what `fetch` brings for each name; failures come after the output, one line each.
 * @throws StatusError 1 if any name failed, 64 for a template that cannot be parsed
 */
export async function inspectObjects(
  cli: Cli,
  names: readonly string[],
  format: string,
  fetch: (name: string) => Promise<string>,
): Promise<void> {
  const render = rendererFor(format);
  const errors: unknown[] = [];
  const texts: string[] = [];
  for (const name of names) {
    try {
      texts.push(render.one((await fetch(name)).trim()));
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
  one(text: string): string;
  all(rendered: readonly string[]): string;
}

function rendererFor(format: string): Renderer {
  if (format === "" || format === "json") {
    const layout = format === "json" ? compactJson : indentJson;
    return {
      one: (text) => text,
      all: (texts) => (texts.length === 0 ? "[]\n" : `${layout(`[${texts.join(",")}]`)}\n`),
    };
  }
  const template = parseInspectTemplate(format);
  return {
    one: (text) => {
      try {
        return template.execute(withOptionalFields(parseJson(text)), { missingKey: "error" });
      } catch (error) {
        if (error instanceof TemplateError) {
          throw new Error(`template parsing error: ${error.message}`, { cause: error });
        }
        throw error;
      }
    },
    all: (texts) => (texts.length === 0 ? "\n" : texts.map((text) => `${text}\n`).join("")),
  };
}

/** @throws StatusError 64 */
export function parseInspectTemplate(format: string): ReturnType<typeof parseTemplate> {
  try {
    return parseTemplate(format);
  } catch (error) {
    throw new StatusError(messageOf(error), 64, { cause: error });
  }
}

/**
 * Fields that Docker's types have and its JSON leaves out when empty: a template may ask for them.
 * They are found by name but not listed, so that `{{json .}}` shows what the engine sent.
 */
function withOptionalFields(value: unknown): unknown {
  if (value !== null && typeof value === "object" && "State" in value) {
    const { State } = value as { State: unknown };
    if (State !== null && typeof State === "object" && !("Health" in State)) {
      Object.defineProperty(State, "Health", { value: null, enumerable: false });
    }
  }
  return value;
}

/** A number that a double cannot hold is kept as its digits. */
function parseJson(text: string): unknown {
  if (!/\d{16}/.test(text)) return JSON.parse(text);
  return JSON.parse(
    text.replace(/("(?:\\.|[^"\\])*")|(-?\d{16,})(?![\d.eE])/g, (_all, quoted, digits) =>
      quoted !== undefined ? quoted : Number.isSafeInteger(Number(digits)) ? digits : `"${digits}"`,
    ),
  );
}

/** Go's json.Indent with four spaces: digits and escapes stay as they are. */
export function indentJson(text: string): string {
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
