/** Help and usage texts in the layout that cobra gives Docker's command line. Pure. */
import type { Command } from "./command.ts";
import type { Flag, FlagTable } from "./flags/flags.ts";

export interface HelpTopic {
  readonly path: string;
  readonly program: string;
  readonly columns: number;
}

function useLine(command: Command, path: string): string {
  const rest = command.use.indexOf(" ");
  return rest < 0 ? path : `${path}${command.use.slice(rest)}`;
}

/** The help of one command. */
export function commandHelp(command: Command, { path, program, columns }: HelpTopic): string {
  const aliases = command.aliases
    ?.split(", ")
    .map((alias) => `${program} ${alias}`)
    .join(", ");
  const options = flagUsages(command.flags, columns);
  return [
    `Usage:  ${useLine(command, path)}\n\n${command.description ?? command.short}`,
    aliases === undefined ? "" : `\n\nAliases:\n  ${aliases}`,
    options === "" ? "" : `\n\nOptions:\n${options.trimEnd()}`,
    "\n",
  ].join("");
}

export interface NamedSummary {
  readonly name: string;
  readonly short: string;
}

/** The help of a group of commands (`gantry network`). */
export function groupHelp({ path }: HelpTopic, short: string, commands: readonly NamedSummary[]): string {
  return `Usage:  ${path} COMMAND\n\n${short}\n\nCommands:\n${summaries(commands)}\n\nRun '${path} COMMAND --help' for more information on a command.\n`;
}

export interface RootHelp {
  readonly common: readonly NamedSummary[];
  readonly management: readonly NamedSummary[];
  readonly others: readonly NamedSummary[];
  readonly flags: FlagTable;
}

export function rootHelp({ path, columns }: HelpTopic, short: string, root: RootHelp): string {
  return [
    `Usage:  ${path} [OPTIONS] COMMAND\n\n${short}`,
    `\n\nCommon Commands:\n${summaries(root.common)}`,
    `\n\nManagement Commands:\n${summaries(root.management)}`,
    `\n\nCommands:\n${summaries(root.others)}`,
    `\n\nGlobal Options:\n${flagUsages(root.flags, columns).trimEnd()}`,
    `\n\nRun '${path} COMMAND --help' for more information on a command.\n`,
  ].join("");
}

function summaries(commands: readonly NamedSummary[]): string {
  const width = Math.max(11, ...commands.map(({ name }) => name.length)) + 1;
  return commands.map(({ name, short }) => `  ${name.padEnd(width)}${short}`).join("\n");
}

/** pflag's FlagUsagesWrapped: one flag a line, descriptions wrapped in their column. */
function flagUsages(flags: FlagTable, columns: number): string {
  const shown = Object.keys(flags)
    .sort()
    .filter((name) => !flags[name]?.hidden)
    .map((name) => {
      const flag = flags[name] as Flag<unknown>;
      const start = flag.short === undefined ? `      --${name}` : `  -${flag.short}, --${name}`;
      return {
        left: flag.type === "" ? start : `${start} ${flag.type}`,
        right: flag.defaultText === undefined ? flag.usage : `${flag.usage} (default ${flag.defaultText})`,
      };
    });
  const indent = Math.max(0, ...shown.map(({ left }) => left.length)) + 3;
  return shown
    .map(({ left, right }) => `${left.padEnd(indent)}${wrap(indent, columns - 1, right)}\n`)
    .join("");
}

const SLOP = 5;
const LEAST_WIDTH = 24;

function wrap(indent: number, columns: number, text: string): string {
  let at = indent;
  let width = columns - at;
  let wrapped = "";
  if (width < LEAST_WIDTH) {
    at = 16;
    width = columns - at;
    wrapped = `\n${" ".repeat(at)}`;
  }
  if (width < LEAST_WIDTH) return text.replaceAll("\n", wrapped);
  width -= SLOP;
  let [line, rest] = wrapLine(width, text);
  const margin = `\n${" ".repeat(at)}`;
  wrapped += line.replaceAll("\n", margin);
  while (rest !== "") {
    [line, rest] = wrapLine(width, rest);
    wrapped += margin + line.replaceAll("\n", margin);
  }
  return wrapped;
}

function wrapLine(width: number, text: string): [string, string] {
  if (width + SLOP > text.length) return [text, ""];
  const head = text.slice(0, width);
  const space = Math.max(head.lastIndexOf(" "), head.lastIndexOf("\t"), head.lastIndexOf("\n"));
  if (space <= 0) return [text, ""];
  const newline = head.lastIndexOf("\n");
  const end = newline > 0 && newline < space ? newline : space;
  return [text.slice(0, end), text.slice(end + 1)];
}
