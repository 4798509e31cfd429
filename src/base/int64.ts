/** Whole numbers of 64 bits: numbers as far as a double is exact, bigints beyond. They compare with one another. */

const MOST = 2n ** 63n - 1n;

/** A number where it can be one. */
function toInt64(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** Twice as much; undefined where 64 bits do not hold it. */
export function doubled(value: number | bigint): number | bigint | undefined {
  const twice = BigInt(value) * 2n;
  return twice > MOST ? undefined : toInt64(twice);
}
