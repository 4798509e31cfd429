/**
 * Build arguments of the classic builder: those before the first FROM are for FROM lines; in a stage an ARG must be named
 * to be seen; `--build-arg` always wins.
 * @see moby builder/dockerfile/buildargs.go
 */

/** Allowed without being named, and left out of the history. */
const BUILT_IN: ReadonlySet<string> = new Set(
  ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"].flatMap((name) => [
    name,
    name.toLowerCase(),
  ]),
);

type Values = ReadonlyMap<string, string | undefined>;

export class BuildArguments {
  readonly #given: Values;
  readonly #allowed = new Map<string, string | undefined>();
  readonly #global: Map<string, string | undefined>;
  readonly #referenced: Set<string>;

  constructor(given: Values, shared?: BuildArguments) {
    this.#given = given;
    this.#global = shared ? shared.#global : new Map();
    this.#referenced = shared ? shared.#referenced : new Set();
  }

  /** For one stage: nothing is allowed in it yet. */
  forStage(): BuildArguments {
    return new BuildArguments(this.#given, this);
  }

  addGlobal(name: string, value: string | undefined): void {
    this.add(name, value);
    this.#global.set(name, value);
  }

  add(name: string, value: string | undefined): void {
    this.#allowed.set(name, value);
    this.#referenced.add(name);
  }

  /** Whether it is shown in the history: not a proxy that nobody named. */
  isShown(name: string): boolean {
    return this.#allowed.has(name) || !BUILT_IN.has(name);
  }

  allowed(): Map<string, string> {
    return this.#valuesOf(this.#allowed);
  }

  global(): Map<string, string> {
    return this.#valuesOf(this.#global);
  }

  /** `NAME=value` of what an environment does not have. */
  beside(environment: readonly string[]): string[] {
    const set = new Set(environment.map((entry) => entry.split("=", 1)[0]));
    return [...this.allowed()].filter(([name]) => !set.has(name)).map(([name, value]) => `${name}=${value}`);
  }

  /** Those that were given and that no ARG names, sorted. */
  unused(): string[] {
    return [...this.#given.keys()]
      .filter((name) => !BUILT_IN.has(name) && !this.#referenced.has(name))
      .sort();
  }

  #valuesOf(source: Values): Map<string, string> {
    const values = new Map<string, string>();
    for (const name of new Set([...source.keys(), ...BUILT_IN])) {
      const value = this.#given.get(name) ?? source.get(name) ?? this.#globalFor(source, name);
      if (value !== undefined) values.set(name, value);
    }
    return values;
  }

  /** An ARG without a default takes that of the same name before the first FROM. */
  #globalFor(source: Values, name: string): string | undefined {
    return source.has(name) ? this.#global.get(name) : undefined;
  }
}
