/** A spec as JSON: `Infinity` is written as all 64 bits (RLIM_INFINITY), which a number of JavaScript cannot hold. */
const UNLIMITED = (JSON as typeof JSON & { rawJSON(text: string): object }).rawJSON("18446744073709551615");

export function toJson(value: object): string {
  return JSON.stringify(value, (_key, member) => (member === Number.POSITIVE_INFINITY ? UNLIMITED : member));
}
