/**
 * A Dockerfile as a list of instructions: comments, directives, continued lines and here-documents are resolved here.
 * What an instruction's arguments mean is `instructions/`' business.
 *
 * @see https://docs.docker.com/reference/dockerfile/#format
 */
import { DockerfileError } from "../source/errors.ts";
import { lineRanges, type SourceRange, withLocation } from "../source/ranges.ts";
import { parseArguments } from "./arguments.ts";
import { splitCommandLine } from "./command-line.ts";
import { DirectiveReader, withoutByteOrderMark } from "./directives.ts";
import { chompedLine, type Heredoc, heredocsOf } from "./heredocs.ts";
import type { InstructionNode } from "./node.ts";

export interface ParsedDockerfile {
  readonly nodes: InstructionNode[];
  /** A backslash, or a backtick if a directive says so. */
  readonly escape: string;
  /** Where a continued line is followed by an empty one. */
  readonly emptyContinuations: SourceRange[];
}

const LONGEST_LINE = 65_535;
const TAKES_HEREDOCS: ReadonlySet<string> = new Set(["add", "copy", "run"]);

/** @throws DockerfileError with the lines that are wrong */
export function parseDockerfile(text: string): ParsedDockerfile {
  return new Parser(text).parse();
}

class Parser {
  readonly #lines: string[];
  readonly #directives = new DirectiveReader();
  readonly #nodes: InstructionNode[] = [];
  readonly #emptyContinuations: SourceRange[] = [];
  #escape = "\\";
  #continuation = continuationOf("\\");
  #comments: string[] = [];
  /** How many lines have been read: the number of the last one. */
  #line = 0;
  #tooLong = false;
  #emptyLineInside = false;

  constructor(text: string) {
    this.#lines = withoutByteOrderMark(text).match(/[^\n]*\n|[^\n]+$/g) ?? [];
  }

  parse(): ParsedDockerfile {
    for (let line = this.#read(); line !== undefined; line = this.#read()) this.#statement(line);
    if (this.#nodes.length === 0) throw this.#errorAt(this.#line, this.#line, "file with no instructions");
    if (this.#tooLong) {
      const message = `dockerfile line greater than max allowed size of ${LONGEST_LINE}`;
      throw this.#errorAt(this.#line, this.#line, message);
    }
    return { nodes: this.#nodes, escape: this.#escape, emptyContinuations: this.#emptyContinuations };
  }

  /** The next line with its end, or undefined at the end of what can be read. */
  #read(): string | undefined {
    const line = this.#lines[this.#line];
    if (line === undefined || this.#tooLong) return undefined;
    if (line.length > LONGEST_LINE / 4 && Buffer.byteLength(line) > LONGEST_LINE + 1) {
      this.#tooLong = true;
      return undefined;
    }
    this.#line++;
    return line;
  }

  /** One instruction with its continued lines and here-documents; or a comment, a directive, an empty line. */
  #statement(raw: string): void {
    const startLine = this.#line;
    if (isComment(raw)) this.#remember(raw);
    const first = this.#withoutComment(trimEnd(raw).trimStart());
    let { line, ends } = this.#cutContinuation(first);
    if (ends && line === "") return;
    while (!ends) {
      const next = this.#read();
      if (next === undefined) break;
      if (isComment(next)) {
        this.#withoutComment(trimEnd(next));
        continue;
      }
      if (next.trim() === "") {
        this.#emptyLineInside = true;
        continue;
      }
      const part = this.#cutContinuation(trimEnd(next));
      line += part.line;
      ends = part.ends;
    }
    this.#finish(line, startLine);
  }

  #finish(line: string, startLine: number): void {
    if (this.#emptyLineInside) this.#emptyContinuations.push(...lineRanges(this.#line, this.#line));
    this.#emptyLineInside = false;
    const node = this.#located(startLine, () => this.#node(line));
    const heredocs =
      canTakeHeredocs(node) && line.includes("<<")
        ? this.#located(startLine, () => heredocsOf(line)).map((heredoc) => this.#body(heredoc, startLine))
        : [];
    this.#nodes.push({ ...node, heredocs, comments: this.#comments, startLine, endLine: this.#line });
    this.#comments = [];
  }

  #node(line: string): InstructionNode {
    const { command, flags, rest } = splitCommandLine(line, this.#escape);
    const base = { command, flags, heredocs: [], original: line, comments: [], startLine: 0, endLine: 0 };
    if (command.toLowerCase() === "onbuild") {
      if (rest === "") return { ...base, args: [], json: false };
      const child = this.#node(rest);
      return { ...base, args: [child.command, ...child.args], json: false, child };
    }
    return { ...base, ...parseArguments(command, rest, this.#escape) };
  }

  #body(heredoc: Heredoc, startLine: number): Heredoc {
    let content = "";
    for (let line = this.#read(); line !== undefined; line = this.#read()) {
      const bare = trimEnd(line);
      if ((heredoc.chomp ? chompedLine(bare) : bare) === heredoc.name) return { ...heredoc, content };
      content += line;
    }
    throw this.#errorAt(startLine, this.#line, "unterminated heredoc");
  }

  /** Comments above an instruction describe it; an empty comment parts them from it. */
  #remember(raw: string): void {
    // BuildKit cuts the line's first letter, which is the mark unless the comment is indented.
    const comment = raw.slice(1).trim();
    if (comment === "") this.#comments = [];
    else this.#comments.push(comment);
  }

  #withoutComment(line: string): string {
    let directive: ReturnType<DirectiveReader["read"]>;
    try {
      directive = this.#directives.read(line);
      if (directive?.name === "escape") this.#setEscape(directive.value);
    } catch (error) {
      throw withLocation(error, lineRanges(this.#line - 1, 0));
    }
    if (directive) this.#comments.pop();
    return isComment(line) ? "" : line;
  }

  #setEscape(letter: string): void {
    if (letter !== "\\" && letter !== "`") {
      throw new DockerfileError(`invalid escape token '${letter}' does not match \` or \\`);
    }
    this.#escape = letter;
    this.#continuation = continuationOf(letter);
  }

  #cutContinuation(line: string): { line: string; ends: boolean } {
    const cut = line.replace(this.#continuation, "$1");
    return cut === line && !this.#continuation.test(line) ? { line, ends: true } : { line: cut, ends: false };
  }

  #located<T>(startLine: number, step: () => T): T {
    try {
      return step();
    } catch (error) {
      throw withLocation(error, lineRanges(startLine, this.#line));
    }
  }

  #errorAt(start: number, end: number, message: string): unknown {
    return withLocation(new DockerfileError(message), lineRanges(start, end));
  }
}

/** The escape letter as a line's last continues it, unless it is escaped itself. */
function continuationOf(escapeLetter: string): RegExp {
  return new RegExp(`([^\\${escapeLetter}])\\${escapeLetter}[ \\t]*$|^\\${escapeLetter}[ \\t]*$`);
}

function canTakeHeredocs(node: InstructionNode): boolean {
  const target = node.child ?? node;
  return TAKES_HEREDOCS.has(target.command.toLowerCase()) && !target.json;
}

function isComment(line: string): boolean {
  return line.trimStart().startsWith("#");
}

function trimEnd(line: string): string {
  return line.replace(/[\r\n]+$/, "");
}
