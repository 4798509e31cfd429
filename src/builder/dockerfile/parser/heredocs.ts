/** Here-documents: `<<EOF`, `<<-EOF` and `3<<"EOF"` on the lines of RUN, COPY and ADD. */
import { noEnvironment } from "../shell/environment.ts";
import { expandWords, type ShellSyntax } from "../shell/expand.ts";

export interface Heredoc {
  /** The word that ends it. */
  readonly name: string;
  readonly fileDescriptor: number;
  /** Variables are expanded in it: its word is not quoted. */
  readonly expand: boolean;
  /** Leading tabs go away: `<<-`. */
  readonly chomp: boolean;
  readonly content: string;
}

const HEREDOC = /^(\d*)<<(-?)\s*([^<]*)$/;
const plain: ShellSyntax = { escape: "\\", keepUnset: true };

/** The here-document that a word announces, or undefined if it is an ordinary word. */
export function parseHeredoc(word: string): Heredoc | undefined {
  const [, descriptor, dash, rest] = HEREDOC.exec(word) ?? [];
  if (!rest) return undefined;
  const words = expandWords(rest, noEnvironment, plain);
  const [name] = words;
  if (words.length !== 1 || name === undefined) return undefined;
  // Quotes anywhere in the word stop expansion: then it reads differently with and without them.
  const [quoted] = expandWords(rest, noEnvironment, { ...plain, keepQuotes: true });
  return {
    name,
    fileDescriptor: Number(descriptor),
    expand: countQuotes(name) === countQuotes(quoted ?? ""),
    chomp: dash === "-",
    content: "",
  };
}

/** As `parseHeredoc`; a word with unclosed quotes is an ordinary one. */
export function findHeredoc(word: string): Heredoc | undefined {
  try {
    return parseHeredoc(word);
  } catch {
    return undefined;
  }
}

/** The here-documents that a line announces, in order. */
export function heredocsOf(line: string): Heredoc[] {
  let words: string[];
  try {
    words = expandWords(line, noEnvironment, { ...plain, keepQuotes: true, keepEscapes: true });
  } catch {
    return []; // The line is a shell's business, and not one that we can read.
  }
  return words.map(parseHeredoc).filter((heredoc) => heredoc !== undefined);
}

/** Takes leading tabs off each line. */
export function chomped(content: string): string {
  return content.replace(/^\t+/gm, "");
}

/** A line without its leading tabs. */
export function chompedLine(line: string): string {
  return line.replace(/^\t+/, "");
}

function countQuotes(text: string): number {
  return text.match(/['"]/g)?.length ?? 0;
}
