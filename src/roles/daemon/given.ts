/** What the daemon was given: options by their flag's name, from the command line or else from the file. */
import { type ConfigFile, isObject } from "./config-file.ts";
import type { Flags } from "./flags.ts";
import { OPTIONS, type Option } from "./options.ts";

/** Options by their flag's name: from the command line, else from the file. */
export class Settings {
  readonly #flags: Flags;
  readonly #file: ConfigFile;

  constructor(flags: Flags, file: ConfigFile) {
    this.#flags = flags;
    this.#file = file;
  }

  value(flag: string): unknown {
    const option = (OPTIONS as readonly Option[]).find((candidate) => candidate.flag === flag);
    if (!option) throw new TypeError(`no option ${flag}`);
    return this.of(option);
  }

  /** Undefined if it was not given. */
  of({ flag, key }: Pick<Option, "flag" | "key">): unknown {
    return this.#flags.get(flag) ?? (key === undefined ? undefined : this.#file[key]);
  }

  text(flag: string): string | undefined {
    const value = this.value(flag);
    return value === undefined || value === "" ? undefined : String(value);
  }

  bool(flag: string): boolean | undefined {
    const value = this.value(flag);
    return typeof value === "boolean" ? value : undefined;
  }

  number(flag: string): number | undefined {
    const value = this.value(flag);
    return typeof value === "number" ? value : undefined;
  }

  /** Items as they were given; from the file they are of the shape that `config-file.ts` let through. */
  list(flag: string): readonly unknown[] {
    const value = this.value(flag);
    return Array.isArray(value) ? value : [];
  }

  strings(flag: string): readonly string[] {
    return this.list(flag).map(String);
  }

  /** The file's form of an option whose flag is a list of `name=value`. */
  object(flag: string): Record<string, unknown> | undefined {
    const value = this.value(flag);
    return isObject(value) ? value : undefined;
  }
}

/** The text before and after the first separator; the second is empty if there is none. */
export function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + separator.length)];
}
