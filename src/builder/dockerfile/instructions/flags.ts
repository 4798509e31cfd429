/** The `--flags` of an instruction, checked against those that it knows. */
import { DockerfileError } from "../source/errors.ts";
import { withSuggestion } from "../source/suggest.ts";

type FlagKind = "bool" | "string" | "list";
type Value<K extends FlagKind> = K extends "bool" ? boolean : K extends "list" ? string[] : string;

/** The value of each known flag; absent where it was not given, except lists, which are empty. */
export type Flags<S extends Readonly<Record<string, FlagKind>>> = {
  [N in keyof S]: S[N] extends "list" ? string[] : Value<S[N]> | undefined;
};

/** @throws DockerfileError for an unknown flag, one given twice, one without a value */
export function parseFlags<const S extends Readonly<Record<string, FlagKind>>>(
  given: readonly string[],
  known: S,
): Flags<S> {
  const values: Record<string, string | boolean | string[]> = {};
  for (const [name, kind] of Object.entries(known)) if (kind === "list") values[name] = [];
  const seen = new Set<string>();
  for (const flag of given) {
    const [, written = "", value] = /^([^=]*)(?:=([\s\S]*))?$/.exec(flag) ?? [];
    const name = written.slice(2);
    const kind = Object.hasOwn(known, name) ? known[name] : undefined;
    if (kind === undefined) {
      throw withSuggestion(new DockerfileError(`unknown flag: ${written}`), name, Object.keys(known), true);
    }
    if (seen.has(name) && kind !== "list") {
      throw new DockerfileError(`duplicate flag specified: ${written}`);
    }
    seen.add(name);
    if (kind === "bool") values[name] = parseSwitch(written, value);
    else if (value === undefined) throw new DockerfileError(`missing a value on flag: ${written}`);
    else if (kind === "string") values[name] = value;
    else (values[name] as string[]).push(value);
  }
  return values as Flags<S>;
}

function parseSwitch(written: string, value: string | undefined): boolean {
  if (value === undefined) return true;
  if (value === "") throw new DockerfileError(`missing a value on flag: ${written}`);
  const lower = value.toLowerCase();
  if (lower !== "true" && lower !== "false") {
    throw new DockerfileError(`expecting boolean value for flag ${written}, not: ${value}`);
  }
  return lower === "true";
}
