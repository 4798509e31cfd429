/** The query string, read by Docker's rules. Pure. */
import { DecodeError, parseJson } from "../api/decode.ts";
import { InvalidParameterError } from "../core/errors.ts";
import type { Query } from "./call.ts";

const FALSE_WORDS: ReadonlySet<string> = new Set(["", "0", "no", "false", "none"]);

/** The part of a URL behind `?`, read with Go's rules. @throws InvalidParameterError from what cannot be read */
export class QueryString implements Query {
  readonly #values: URLSearchParams;

  /** @param text what comes after `?` */
  constructor(text: string) {
    this.#values = new URLSearchParams(text);
  }

  get(name: string): string | undefined {
    return this.#values.get(name) ?? undefined;
  }

  all(name: string): readonly string[] {
    return this.#values.getAll(name);
  }

  flag(name: string, absent = false): boolean {
    const value = this.#values.get(name);
    return value === null ? absent : !FALSE_WORDS.has(value.trim().toLowerCase());
  }

  integer(name: string): number | undefined {
    const value = this.#values.get(name);
    if (value === null || value === "") return undefined;
    const number = Number(value);
    if (!/^[+-]?\d+$/.test(value)) throw badInteger(value, "invalid syntax");
    if (!Number.isSafeInteger(number)) throw badInteger(value, "value out of range");
    return number;
  }

  filters(accepted: readonly string[]): ReadonlyMap<string, ReadonlySet<string>> {
    const text = this.#values.get("filters");
    const filters = text ? parseFilters(text) : new Map<string, ReadonlySet<string>>();
    for (const name of filters.keys()) {
      if (!accepted.includes(name)) throw new InvalidParameterError(`invalid filter '${name}'`);
    }
    return filters;
  }
}

function badInteger(value: string, why: string): InvalidParameterError {
  return new InvalidParameterError(`strconv.Atoi: parsing ${JSON.stringify(value)}: ${why}`);
}

/** @throws InvalidParameterError */
function parseFilters(text: string): Map<string, ReadonlySet<string>> {
  const filters = new Map<string, ReadonlySet<string>>();
  for (const [name, values] of Object.entries(asObject(parse(text)))) {
    if (Array.isArray(values)) {
      if (!values.every((value) => typeof value === "string")) throw invalidFilter();
      filters.set(name, new Set(values));
    } else {
      const legacy = asObject(values);
      if (!Object.values(legacy).every((value) => typeof value === "boolean")) throw invalidFilter();
      filters.set(name, new Set(Object.keys(legacy)));
    }
  }
  return filters;
}

function parse(text: string): unknown {
  try {
    return parseJson(text);
  } catch (error) {
    if (error instanceof DecodeError) throw invalidFilter();
    throw error;
  }
}

function asObject(value: unknown): Record<string, unknown> {
  if (value === null) return {};
  if (typeof value !== "object" || Array.isArray(value)) throw invalidFilter();
  return value as Record<string, unknown>;
}

function invalidFilter(): InvalidParameterError {
  return new InvalidParameterError("invalid filter");
}
