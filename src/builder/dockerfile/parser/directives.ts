/**
 * Parser directives: comments at the very top that set the syntax, the escape letter and the checks. Any other line, also
 * any other comment, ends them.
 */
import { DockerfileError } from "../source/errors.ts";
import { lineRange, type SourceRange } from "../source/ranges.ts";

export type DirectiveName = "syntax" | "escape" | "check";

export interface Directive {
  readonly name: DirectiveName;
  /** Everything behind the equals sign, trimmed. */
  readonly value: string;
  readonly location: SourceRange[];
}

const NAMES: ReadonlySet<string> = new Set<DirectiveName>(["syntax", "escape", "check"]);
const DIRECTIVE = /^([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$/;

/** Reads directives line by line; after the first line that is none it finds no more. */
export class DirectiveReader {
  readonly #comment: string;
  readonly #seen = new Set<string>();
  #line: number;
  #done = false;

  /** @param comment what starts a comment; @param line how many lines stand above */
  constructor(comment = "#", line = 0) {
    this.#comment = comment;
    this.#line = line;
  }

  get done(): boolean {
    return this.#done;
  }

  /** The directive on the next line. @throws DockerfileError if a directive is repeated */
  read(line: string): Directive | undefined {
    this.#line++;
    if (this.#done) return undefined;
    const [, key, value] = line.startsWith(this.#comment)
      ? (DIRECTIVE.exec(line.slice(this.#comment.length).trimStart()) ?? [])
      : [];
    const name = key?.toLowerCase();
    if (name === undefined || value === undefined || !isDirectiveName(name)) {
      this.#done = true;
      return undefined;
    }
    if (this.#seen.has(name)) throw new DockerfileError(`only one ${name} parser directive can be used`);
    this.#seen.add(name);
    return { name, value, location: [lineRange(this.#line)] };
  }
}

/** What a file says about which frontend reads it: the image, and the whole line with what follows it. */
export interface SyntaxChoice {
  readonly image: string;
  readonly cmdline: string;
  readonly location: SourceRange[];
}

/**
 * Finds the syntax that a file asks for: `# syntax=`, `// syntax=`, or `{"syntax": …}`; a byte order mark and a `#!` line
 * are passed over.
 */
export function detectSyntax(text: string): SyntaxChoice | undefined {
  const found = findDirective("syntax", text, ["#", "//"]);
  if (found) return { image: firstWord(found.value), cmdline: found.value, location: found.location };
  const value = syntaxInJson(text);
  return value === undefined
    ? undefined
    : { image: value, cmdline: value, location: [lineRange(start(text).line)] };
}

/** The first word of a directive at the top of a file. */
export function directiveValue(name: DirectiveName, text: string): string | undefined {
  const found = findDirective(name, text, ["#"]);
  return found && firstWord(found.value);
}

export function withoutByteOrderMark(text: string): string {
  return text.startsWith("\ufeff") ? text.slice(1) : text;
}

function findDirective(
  name: DirectiveName,
  text: string,
  comments: readonly string[],
): Directive | undefined {
  const { rest, line } = start(text);
  for (const comment of comments) {
    const found = allDirectives(rest, new DirectiveReader(comment, line)).find(
      (entry) => entry.name === name,
    );
    if (found) return found;
  }
  return undefined;
}

function allDirectives(text: string, reader: DirectiveReader): Directive[] {
  const directives: Directive[] = [];
  for (const line of text.split(/\r?\n/)) {
    try {
      const directive = reader.read(line);
      if (directive) directives.push(directive);
    } catch {
      // A repeated directive is the parser's to refuse: here the first one counts.
      break;
    }
    if (reader.done) break;
  }
  return directives;
}

function start(text: string): { rest: string; line: number } {
  const plain = withoutByteOrderMark(text);
  if (!plain.startsWith("#!")) return { rest: plain, line: 0 };
  const end = plain.indexOf("\n");
  return { rest: end < 0 ? "" : plain.slice(end + 1), line: 1 };
}

function syntaxInJson(text: string): string | undefined {
  const { rest } = start(text);
  if (!rest.trimStart().startsWith("{")) return undefined;
  try {
    const { syntax } = JSON.parse(rest) as { syntax?: unknown };
    return typeof syntax === "string" ? syntax : undefined;
  } catch {
    return undefined; // Not JSON after all: a Dockerfile that starts with a brace.
  }
}

function firstWord(value: string): string {
  return value.split(" ", 1)[0] ?? "";
}

function isDirectiveName(name: string): name is DirectiveName {
  return NAMES.has(name);
}
