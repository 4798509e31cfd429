/**
 * JSON whose whole numbers keep all their digits: those that a double cannot hold are bigints here, and digits there.
 * Almost no document has one, and those that have none cost what JSON costs.
 */

/** Digits enough to be beyond 2^53. */
const LONG_NUMBER = /\d{16}/;

/** @throws SyntaxError */
export function parseExactJson(text: string): unknown {
  if (!LONG_NUMBER.test(text)) return JSON.parse(text) as unknown;
  return JSON.parse(text, exact as (key: string, value: unknown) => unknown);
}

function exact(_key: string, value: unknown, { source = "" }: { readonly source?: string } = {}): unknown {
  if (typeof value !== "number" || Number.isSafeInteger(value) || !/^-?\d+$/.test(source)) return value;
  return BigInt(source);
}

/** Writes bigints as their digits. */
export function stringifyExactJson(value: unknown): string {
  try {
    return JSON.stringify(value);
  } catch (error) {
    // So it says "cannot serialize a BigInt", and a circle as well, which then says so again.
    if (!(error instanceof TypeError)) throw error;
    return JSON.stringify(value, (_key, item: unknown) => (typeof item === "bigint" ? digits(item) : item));
  }
}

/** The same for values in which numbers were calculated: what a double holds of a large whole number is written digit by digit. */
export function stringifyLargeNumbers(value: unknown): string {
  return JSON.stringify(value, (_key, item: unknown) => {
    if (typeof item === "bigint") return digits(item);
    return typeof item === "number" && Number.isInteger(item) && !Number.isSafeInteger(item)
      ? digits(BigInt(item))
      : item;
  });
}

/** Not among TypeScript's types yet. @see https://tc39.es/proposal-json-parse-with-source/ */
const { rawJSON } = JSON as typeof JSON & { rawJSON(text: string): object };

function digits(value: bigint): object {
  return rawJSON(value.toString());
}
