/** Collects what the rules find, as far as the file's `# check=` and the build's own choice let them. */
import { parseBool } from "../instructions/values.ts";
import { DirectiveReader } from "../parser/directives.ts";
import { DockerfileError } from "../source/errors.ts";
import type { SourceRange } from "../source/ranges.ts";
import type { LintRule } from "./rules.ts";

/** Which rules run: all but the experimental ones by default. */
export interface LintChoice {
  readonly skipAll: boolean;
  readonly skip: readonly string[];
  readonly experimentalAll: boolean;
  readonly experimental: readonly string[];
  /** A violation fails the build. */
  readonly error: boolean;
}

export interface LintWarning {
  readonly rule: string;
  readonly description: string;
  readonly url: string;
  readonly message: string;
  readonly location: readonly SourceRange[];
}

export type WarningSink = (warning: LintWarning) => void;

const everything: LintChoice = {
  skipAll: false,
  skip: [],
  experimentalAll: false,
  experimental: [],
  error: false,
};

/** Reads `skip=A,B;error=true`, the value of `# check=` and of BUILDKIT_DOCKERFILE_CHECK. @throws DockerfileError */
export function parseLintChoice(text: string): LintChoice {
  if (text.trim() === "") return everything;
  let choice = everything;
  for (const part of splitAtMost(text.trim(), ";", 3)) {
    const at = part.indexOf("=");
    if (at < 0) throw new DockerfileError(`invalid check option ${JSON.stringify(part)}`);
    const key = part.slice(0, at).trim();
    const value = part.slice(at + 1).trim();
    const names = value.split(",").map((name) => name.trim());
    if (key === "skip") choice = { ...choice, ...(value === "all" ? { skipAll: true } : { skip: names }) };
    else if (key === "experimental") {
      choice = {
        ...choice,
        ...(value === "all" ? { experimentalAll: true } : { experimental: names }),
      };
    } else if (key === "error") choice = { ...choice, error: errorOption(part, value) };
    else throw new DockerfileError(`invalid check option ${JSON.stringify(key)}`);
  }
  return choice;
}

function errorOption(part: string, value: string): boolean {
  const parsed = parseBool(value);
  if (parsed !== undefined) return parsed;
  throw new DockerfileError(
    `failed to parse check option ${JSON.stringify(part)}: strconv.ParseBool: parsing ${JSON.stringify(value)}: invalid syntax`,
  );
}

/** As Go's SplitN: the last part keeps what is left. */
function splitAtMost(text: string, separator: string, count: number): string[] {
  const parts = text.split(separator);
  return parts.length <= count
    ? parts
    : [...parts.slice(0, count - 1), parts.slice(count - 1).join(separator)];
}

export class Linter {
  readonly #choice: LintChoice;
  readonly #warn: WarningSink | undefined;
  /** Names of the rules that found something; shared with the linters made from this one. */
  readonly #called: string[];

  constructor(choice: LintChoice, warn: WarningSink | undefined, called: string[] = []) {
    this.#choice = choice;
    this.#warn = warn;
    this.#called = called;
  }

  /** Reports one violation, unless the rule is skipped. */
  report<A extends readonly string[]>(rule: LintRule<A>, location: readonly SourceRange[], ...args: A): void {
    if (!this.#warn || !this.#runs(rule)) return;
    this.#called.push(rule.name);
    const { name, description, url } = rule;
    this.#warn({ rule: name, description, url, message: rule.message(...args), location });
  }

  /** This linter with what a `# check=` comment directly above an instruction adds. */
  withComments(comments: readonly string[]): Linter {
    for (const comment of comments) {
      const directive = new DirectiveReader("").read(comment);
      if (directive?.name !== "check") continue;
      try {
        const added = parseLintChoice(directive.value.split(" ", 1)[0] ?? "");
        return new Linter(merge(this.#choice, added), this.#warn, this.#called);
      } catch {
        return this; // A comment that reads like a directive and is none changes nothing.
      }
    }
    return this;
  }

  /** The error that violations are, if they were chosen to be one. */
  failure(): DockerfileError | undefined {
    if (!this.#choice.error || this.#called.length === 0) return undefined;
    const names = [...new Set(this.#called)].join(", ");
    return new DockerfileError(`lint violation found for rules: ${names}`);
  }

  #runs(rule: { readonly name: string; readonly experimental: boolean }): boolean {
    const { skipAll, skip, experimentalAll, experimental } = this.#choice;
    if (rule.experimental) return experimentalAll || experimental.includes(rule.name);
    return !skipAll && !skip.includes(rule.name);
  }
}

/** A linter that reports to nobody. */
export const noLint = new Linter(everything, undefined);

function merge(base: LintChoice, added: LintChoice): LintChoice {
  return {
    skipAll: base.skipAll || added.skipAll,
    skip: [...base.skip, ...added.skip],
    experimentalAll: base.experimentalAll || added.experimentalAll,
    experimental: [...base.experimental, ...added.experimental],
    error: base.error,
  };
}

/** The line that a build prints for a warning: `Rule: message (line 3)`. */
export function shortWarning(warning: LintWarning): string {
  const line = warning.location[0]?.start.line ?? 0;
  return `${warning.rule}: ${warning.message}${line > 0 ? ` (line ${line})` : ""}`;
}
