/**
 * Command line flags with the semantics of spf13/pflag, which Docker's command line uses: `--name value`,
 * `--name=value`, `-n value`, `-nvalue`, `-n=value`, groups of shorthands (`-itd`), booleans without value, `--`,
 * and positionals that either mix with flags or end them. Error texts are pflag's.
 */
import { goQuote } from "../values/go-text.ts";

/** A flag: how it reads one occurrence, and how help shows it. */
export interface Flag<T> {
  readonly short?: string;
  readonly usage: string;
  /** Shown after the name in help; "" for booleans. */
  readonly type: string;
  /** The value when the flag is absent; a fresh one for each parse. */
  readonly initial: () => T;
  /** Takes one occurrence in. Throws an Error with the reason if the text is not acceptable. */
  take(value: T, text: string): T;
  /** Shown as `(default …)`, already quoted where it must be. */
  readonly defaultText?: string;
  readonly hidden?: boolean;
  /** The value of a flag that is given without one. */
  readonly bare?: string;
  /** An environment variable that decides the default, and the flag as a value of it makes it. */
  readonly variable?: string;
  withVariable?(text: string): Flag<T>;
  /** Another flag that this is only a second name of. */
  readonly aliasOf?: string;
  /** A note for a deprecated flag, printed when it is used. */
  readonly deprecated?: string;
}

export type FlagTable = Readonly<Record<string, Flag<unknown>>>;

export type FlagValues<F extends FlagTable> = {
  readonly [Name in keyof F]: F[Name] extends Flag<infer T> ? T : never;
};

export interface ParsedFlags<F extends FlagTable> {
  readonly values: FlagValues<F>;
  /** Names that were given explicitly. */
  readonly changed: ReadonlySet<string>;
  readonly positionals: readonly string[];
  readonly help: boolean;
  /** Notes about deprecated flags, for standard error. */
  readonly notes: readonly string[];
}

/** The command line does not follow the flags; the message is pflag's. */
export class FlagError extends Error {}

interface FlagBase {
  readonly usage: string;
  readonly short?: string;
  readonly hidden?: boolean;
  readonly aliasOf?: string;
}

export function bool(base: FlagBase & { readonly initial?: boolean }): Flag<boolean> {
  const initial = base.initial ?? false;
  return {
    ...base,
    type: "",
    initial: () => initial,
    take: (_value, text) => parseBool(text),
    bare: "true",
    ...(initial && { defaultText: "true" }),
  };
}

export function string(base: FlagBase & { readonly initial?: string; readonly type?: string }): Flag<string> {
  const initial = base.initial ?? "";
  return {
    ...base,
    type: base.type ?? "string",
    initial: () => initial,
    take: (_value, text) => text,
    ...(initial !== "" && { defaultText: goQuote(initial) }),
  };
}

export interface IntegerOptions extends FlagBase {
  readonly initial?: number;
  /** As help names the type; default "int". */
  readonly type?: string;
  readonly bits?: 16 | 64;
  readonly unsigned?: boolean;
}

export function integer(base: IntegerOptions): Flag<number> {
  const { bits = 64, unsigned = false } = base;
  const initial = base.initial ?? 0;
  return {
    ...base,
    type: base.type ?? (unsigned ? "uint" : "int"),
    initial: () => initial,
    take: (_value, text) => parseInteger(text, { bits, unsigned }),
    ...(initial !== 0 && { defaultText: String(initial) }),
  };
}

export interface ListOptions extends FlagBase {
  /** Checks one occurrence and may rewrite it. */
  readonly check?: (text: string) => string;
  readonly type?: string;
}

export function list(base: ListOptions): Flag<readonly string[]> {
  return {
    ...base,
    type: base.type ?? "list",
    initial: () => [],
    take: (value, text) => [...value, base.check ? base.check(text) : text],
  };
}

/** `key=value` occurrences gathered in a map; a key alone has the value "". */
export function map(base: ListOptions): Flag<Readonly<Record<string, string>>> {
  return {
    ...base,
    type: base.type ?? "map",
    defaultText: "map[]",
    initial: () => ({}),
    take: (value, text) => {
      const checked = base.check ? base.check(text) : text;
      const [key, rest] = cut(checked, "=");
      return { ...value, [key]: rest ?? "" };
    },
  };
}

/** A flag with a syntax of its own: `parse` reads one occurrence, the last one wins. */
export function custom<T>(
  base: FlagBase & {
    readonly type: string;
    readonly initial: T;
    readonly parse: (text: string) => T;
    readonly defaultText?: string;
  },
): Flag<T> {
  return { ...base, initial: () => base.initial, take: (_value, text) => base.parse(text) };
}

/** A flag with a syntax of its own that can be repeated. */
export function customList<T>(
  base: FlagBase & {
    readonly type: string;
    readonly parse: (text: string) => T;
    readonly defaultText?: string;
  },
): Flag<readonly T[]> {
  return { ...base, initial: () => [], take: (value, text) => [...value, base.parse(text)] };
}

/** The flags with the defaults that the environment gives them. */
export function withDefaults(
  table: FlagTable,
  environment: Readonly<Record<string, string | undefined>>,
): FlagTable {
  const entries = Object.entries(table).map(([name, flag]) => {
    const text = flag.variable === undefined ? undefined : environment[flag.variable];
    return [name, (text && flag.withVariable?.(text)) || flag] as const;
  });
  return Object.fromEntries(entries);
}

export interface ParseOptions {
  /** False: the first positional ends the flags (`run IMAGE --flag-of-the-command`). */
  readonly interspersed: boolean;
}

/** @throws FlagError */
export function parseFlags<F extends FlagTable>(
  table: F,
  args: readonly string[],
  { interspersed }: ParseOptions,
): ParsedFlags<F> {
  const values: Record<string, unknown> = {};
  for (const name in table) values[name] = (table[name] as Flag<unknown>).initial();
  const changed = new Set<string>();
  const positionals: string[] = [];
  const notes: string[] = [];
  const result = {
    values: values as FlagValues<F>,
    changed: changed as ReadonlySet<string>,
    positionals: positionals as readonly string[],
    notes: notes as readonly string[],
  };

  const set = (name: string, flag: Flag<unknown>, text: string): void => {
    const target = flag.aliasOf ?? name;
    try {
      values[target] = flag.take(values[target], text);
    } catch (error) {
      const shown = flag.short === undefined ? `--${name}` : `-${flag.short}, --${name}`;
      const reason = error instanceof Error ? error.message : String(error);
      throw new FlagError(`invalid argument ${goQuote(text)} for ${goQuote(shown)} flag: ${reason}`);
    }
    changed.add(target);
    if (flag.deprecated !== undefined) notes.push(`Flag --${name} has been deprecated, ${flag.deprecated}`);
  };

  for (let at = 0; at < args.length; at++) {
    const arg = args[at] as string;
    if (arg.length < 2 || arg[0] !== "-") {
      if (!interspersed) {
        positionals.push(...args.slice(at));
        break;
      }
      positionals.push(arg);
      continue;
    }
    if (arg === "--") {
      positionals.push(...args.slice(at + 1));
      break;
    }
    if (arg.startsWith("--")) {
      const [name, attached] = cut(arg.slice(2), "=");
      if (name === "" || name[0] === "-") throw new FlagError(`bad flag syntax: ${arg}`);
      const flag = Object.hasOwn(table, name) ? table[name] : undefined;
      if (!flag) {
        if (name === "help") return { ...result, help: attached === undefined || parseBool(attached) };
        throw new FlagError(`unknown flag: --${name}`);
      }
      if (attached !== undefined) set(name, flag, attached);
      else if (flag.bare !== undefined) set(name, flag, flag.bare);
      else if (at + 1 < args.length) set(name, flag, args[++at] as string);
      else throw new FlagError(`flag needs an argument: ${arg}`);
      continue;
    }
    for (let letters = arg.slice(1); letters !== ""; ) {
      const letter = letters[0] as string;
      const name = findShort(table, letter);
      if (name === undefined) {
        if (letter === "h") {
          notes.push("Flag shorthand -h has been deprecated, use --help");
          return { ...result, help: true };
        }
        throw new FlagError(`unknown shorthand flag: '${letter}' in -${letters}`);
      }
      const flag = table[name] as Flag<unknown>;
      if (letters.length > 2 && letters[1] === "=") {
        set(name, flag, letters.slice(2));
        break;
      }
      if (flag.bare !== undefined) {
        set(name, flag, flag.bare);
        letters = letters.slice(1);
        continue;
      }
      if (letters.length > 1) set(name, flag, letters.slice(1));
      else if (at + 1 < args.length) set(name, flag, args[++at] as string);
      else throw new FlagError(`flag needs an argument: '${letter}' in -${letters}`);
      break;
    }
  }
  return { ...result, help: values.help === true };
}

function findShort(table: FlagTable, letter: string): string | undefined {
  for (const name in table) if (table[name]?.short === letter) return name;
  return undefined;
}

/** Splits at the first separator; the second part is undefined where there is none. */
export function cut(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + separator.length)];
}

const truths = new Set(["1", "t", "T", "TRUE", "true", "True"]);
const falsehoods = new Set(["0", "f", "F", "FALSE", "false", "False"]);

function parseBool(text: string): boolean {
  if (truths.has(text)) return true;
  if (falsehoods.has(text)) return false;
  throw new Error(`strconv.ParseBool: parsing ${goQuote(text)}: invalid syntax`);
}

/** Go's strconv with base 0: decimal, 0x, 0o, 0b, and underscores after a prefix. */
export function parseInteger(
  text: string,
  { bits, unsigned }: { readonly bits: 16 | 64; readonly unsigned: boolean },
): number {
  const routine = unsigned ? "ParseUint" : "ParseInt";
  const pattern = unsigned
    ? /^(?:0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO]?[0-7_]+|[1-9]\d*|0)$/
    : /^[+-]?(?:0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO]?[0-7_]+|[1-9]\d*|0)$/;
  if (!pattern.test(text)) {
    throw new Error(`strconv.${routine}: parsing ${goQuote(text)}: invalid syntax`);
  }
  const negative = text[0] === "-";
  const digits = text.replace(/^[+-]/, "").replaceAll("_", "");
  const magnitude = BigInt(/^0[0-7]+$/.test(digits) ? `0o${digits.slice(1)}` : digits);
  const value = negative ? -magnitude : magnitude;
  const width = BigInt(bits);
  const [least, most] = unsigned
    ? [0n, (1n << width) - 1n]
    : [-(1n << (width - 1n)), (1n << (width - 1n)) - 1n];
  if (value < least || value > most) {
    throw new Error(`strconv.${routine}: parsing ${goQuote(text)}: value out of range`);
  }
  return Number(value);
}
