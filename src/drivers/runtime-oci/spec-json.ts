/** A spec as JSON: `Infinity` is written as all 64 bits (RLIM_INFINITY), bigints as their digits. */
const UNLIMITED = 2n ** 64n - 1n;

export function toJson(value: object): string {
  return JSON.stringify(value, (_key, member) => {
    if (member === Number.POSITIVE_INFINITY) return digits(UNLIMITED);
    return typeof member === "bigint" ? digits(member) : member;
  });
}

/** Not among TypeScript's types yet. */
const { rawJSON } = JSON as typeof JSON & { rawJSON(text: string): object };

function digits(value: bigint): object {
  return rawJSON(value.toString());
}
