/**
 * The daemon's command line. The syntax of flags is pflag's (`--name value`, `--name=value`, `-Nvalue`, `-N value`,
 * `--bool`, `--bool=false`, `--` ends them), because dockerd's is.
 */
import { InvalidParameterError } from "../../core/errors.ts";
import { DOCKER_OPTIONS } from "./docker-options.ts";
import { OPTIONS, type Option, type OptionValue } from "./options.ts";

/** The flags that were given, by their long name. */
export type Flags = ReadonlyMap<string, OptionValue>;

/** The command line cannot be understood; the process ends with 125, as dockerd's does. */
export class UsageError extends InvalidParameterError {}

type Parsed = Omit<Option, "usage">;
const known: readonly Parsed[] = [...OPTIONS, ...DOCKER_OPTIONS];
const byFlag = new Map(known.map((option) => [option.flag, option]));
const byShort = new Map(known.flatMap((option) => (option.short ? [[option.short, option] as const] : [])));

/** @throws UsageError in pflag's words */
export function parseFlags(args: readonly string[]): Flags {
  const flags = new Map<string, OptionValue>();
  const rest = [...args];
  for (let arg = rest.shift(); arg !== undefined; arg = rest.shift()) {
    if (arg === "--") {
      if (rest.length > 0) throw noArguments();
    } else if (arg.startsWith("--")) {
      takeLong(arg, rest, flags);
    } else if (arg.startsWith("-") && arg.length > 1) {
      takeShort(arg, rest, flags);
    } else {
      throw noArguments();
    }
  }
  return flags;
}

function takeLong(arg: string, rest: string[], flags: Map<string, OptionValue>): void {
  const [name = "", ...value] = arg.slice(2).split("=");
  const option = byFlag.get(name);
  if (!option) throw new UsageError(`unknown flag: --${name}`);
  const inline = value.length > 0 ? value.join("=") : undefined;
  setFlag(
    flags,
    option,
    `--${name}`,
    inline ?? implied(option) ?? next(rest, `flag needs an argument: --${name}`),
  );
}

/** `-D`, `-H unix:///x`, `-Hunix:///x`, `-H=unix:///x`, `-Dl debug`. */
function takeShort(arg: string, rest: string[], flags: Map<string, OptionValue>): void {
  for (let letters = arg.slice(1); letters !== ""; ) {
    const letter = letters.charAt(0);
    const option = byShort.get(letter);
    if (!option) throw new UsageError(`unknown shorthand flag: '${letter}' in ${arg}`);
    const after = letters.slice(1);
    const name = `-${letter}, --${option.flag}`;
    if (option.kind === "bool" && !after.startsWith("=")) {
      setFlag(flags, option, name, "true");
      letters = after;
      continue;
    }
    const value = after.replace(/^=/, "") || next(rest, `flag needs an argument: '${letter}' in ${arg}`);
    setFlag(flags, option, name, value);
    letters = "";
  }
}

function setFlag(flags: Map<string, OptionValue>, option: Parsed, name: string, text: string): void {
  if (option.kind === "list" || option.kind === "map") {
    const before = flags.get(option.flag);
    flags.set(option.flag, [...(Array.isArray(before) ? (before as string[]) : []), text]);
  } else if (option.kind === "bool") {
    const value = parseBool(text);
    if (value === undefined)
      throw invalid(text, name, `strconv.ParseBool: parsing ${JSON.stringify(text)}: invalid syntax`);
    flags.set(option.flag, value);
  } else if (option.kind === "int") {
    if (!/^[+-]?\d+$/.test(text))
      throw invalid(text, name, `strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
    flags.set(option.flag, Number(text));
  } else {
    flags.set(option.flag, text);
  }
}

function implied(option: Parsed): string | undefined {
  return option.kind === "bool" ? "true" : undefined;
}

function next(rest: string[], missing: string): string {
  const value = rest.shift();
  if (value === undefined) throw new UsageError(missing);
  return value;
}

/** Go's strconv.ParseBool. */
export function parseBool(text: string): boolean | undefined {
  if (["1", "t", "T", "true", "TRUE", "True"].includes(text)) return true;
  if (["0", "f", "F", "false", "FALSE", "False"].includes(text)) return false;
  return undefined;
}

function invalid(text: string, name: string, reason: string): UsageError {
  return new UsageError(`invalid argument ${JSON.stringify(text)} for "${name}" flag: ${reason}`);
}

function noArguments(): UsageError {
  return new UsageError('"gantry daemon" accepts no arguments.');
}

/** What `--help` prints. */
export function usage(): string {
  const rows = (OPTIONS as readonly Option[]).map((option) => {
    const short = option.short ? `-${option.short}, ` : "    ";
    const value =
      option.value ?? { bool: "", int: "int", string: "string", list: "list", map: "map" }[option.kind];
    return {
      name: `  ${short}--${option.flag}${value && ` ${value}`}`,
      text:
        option.usage + (option.default === undefined ? "" : ` (default ${JSON.stringify(option.default)})`),
    };
  });
  const width = Math.max(...rows.map((row) => row.name.length)) + 3;
  return [
    "",
    "Usage:  gantry daemon [OPTIONS]",
    "",
    "A self-sufficient runtime for containers.",
    "",
    "Options:",
    ...rows.map((row) => row.name.padEnd(width) + row.text),
    "",
  ].join("\n");
}
