/** What a command is, and what it gets when it runs. Commands live in `commands/<noun>/<verb>.ts`. */
import type { Engine } from "../client/engine.ts";
import type { ConfigFile } from "./config/config-file.ts";
import type { FlagTable, FlagValues } from "./flags/flags.ts";
import type { CliPlugin } from "./plugins/find.ts";
import type { Output } from "./terminal/output.ts";

export interface Command<F extends FlagTable = FlagTable> {
  /** Without the program and its parents: `ps [OPTIONS]`. */
  readonly use: string;
  readonly short: string;
  /** In the help of the command itself, instead of `short`. */
  readonly description?: string;
  /** All ways to call it, without the program: `container ls, container list, ps`. */
  readonly aliases?: string;
  readonly args: ArgsRule;
  readonly flags: F;
  /** False: the first positional ends the flags. */
  readonly interspersed?: boolean;
  run(invocation: Invocation<F>): Promise<number | undefined> | Promise<void>;
}

/** How many positionals a command takes. */
export type ArgsRule =
  | { readonly kind: "none" }
  | { readonly kind: "exactly"; readonly count: number }
  | { readonly kind: "atLeast"; readonly count: number }
  | { readonly kind: "atMost"; readonly count: number }
  | { readonly kind: "between"; readonly least: number; readonly most: number };

export const noArgs: ArgsRule = { kind: "none" };
export const exactly = (count: number): ArgsRule => ({ kind: "exactly", count });
export const atLeast = (count: number): ArgsRule => ({ kind: "atLeast", count });
export const atMost = (count: number): ArgsRule => ({ kind: "atMost", count });
export const between = (least: number, most: number): ArgsRule => ({ kind: "between", least, most });

export interface Invocation<F extends FlagTable = FlagTable> {
  readonly flags: FlagValues<F>;
  /** True if the flag was given, whatever its value. */
  changed(name: keyof F & string): boolean;
  readonly args: readonly string[];
  /** As it was called: `gantry container ls`. */
  readonly path: string;
  readonly cli: Cli;
}

/** The client around a command: its engine, its terminal, its settings. */
export interface Cli {
  /** `gantry`, or `docker` when called by that name. */
  readonly program: string;
  readonly engine: Engine;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly stdin: { readonly isTerminal: boolean };
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly config: ConfigFile;
  readonly debug: boolean;
  /** The context in use, by flags, environment and settings. */
  readonly currentContext: string;
  /** The address that flags and environment name, or our own engine's. */
  readonly defaultHost: string;
  /** Docker's CLI plugins on this machine, those that cannot be run included. */
  readonly plugins: Promise<readonly CliPlugin[]>;
}

/** Ends the command with a status; `message` is printed as it is, and nothing if it is empty. */
export class StatusError extends Error {
  readonly status: number;

  constructor(message: string, status: number, options?: ErrorOptions) {
    super(message, options);
    this.status = status;
  }
}

/** Several failures, one line each. */
export function joinErrors(errors: readonly unknown[]): Error | undefined {
  if (errors.length === 0) return undefined;
  return new Error(errors.map(messageOf).join("\n"), { cause: errors[0] });
}

/** For the terminal: what a registry or an image says must not move the cursor or paint (lines and tabs stay). */
export function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it is about
    /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/g,
    (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}

/** Ties a command's flags to its `run` for the type checker. */
export function defineCommand<const F extends FlagTable>(command: Command<F>): Command<F> {
  return command;
}

/** @throws Error in the words of Docker's command line */
export function checkArgs(
  rule: ArgsRule,
  args: readonly string[],
  { program, path, useLine }: { program: string; path: string; useLine: string },
): void {
  const requirement = describe(rule, args.length);
  if (requirement === undefined) return;
  // The words differ by rule in Docker's command line as well, the slip in one of them included.
  const verb = rule.kind === "atLeast" ? "See" : rule.kind === "atMost" ? "SRun" : "Run";
  const hint = `${verb} '${path} --help' for more information`;
  throw new Error(`${program}: '${path}' ${requirement}\n\nUsage:  ${useLine}\n\n${hint}`);
}

function describe(rule: ArgsRule, given: number): string | undefined {
  switch (rule.kind) {
    case "none":
      return given === 0 ? undefined : "accepts no arguments";
    case "exactly":
      return given === rule.count ? undefined : `requires ${plural(rule.count)}`;
    case "atLeast":
      return given >= rule.count ? undefined : `requires at least ${plural(rule.count)}`;
    case "atMost":
      return given <= rule.count ? undefined : `requires at most ${plural(rule.count)}`;
    case "between":
      return given >= rule.least && given <= rule.most
        ? undefined
        : `requires at least ${rule.least} and at most ${plural(rule.most)}`;
  }
}

function plural(count: number): string {
  return `${count} ${count === 1 ? "argument" : "arguments"}`;
}
