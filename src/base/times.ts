/** Times as Docker writes them: RFC 3339 in UTC with up to nine decimals, trailing zeros dropped. */

let last = 0n;
/** A clock that was set back by more is followed. Nanoseconds: far more than a burst of stamps runs ahead. */
const FOLLOWED = 1_000_000_000n;

/**
 * Nanoseconds since the epoch, strictly increasing within the process, so that it orders what it stamps. Only when the
 * clock was set back it goes back as well: a jump forward, and back again, must not leave all stamps in the future.
 */
export function nowNano(): bigint {
  const now = BigInt(Date.now()) * 1_000_000n;
  last = now > last || last - now > FOLLOWED ? now : last + 1n;
  return last;
}

/** `2026-11-23T20:53:46.000000001Z` */
export function toRfc3339(nanoseconds: bigint): string {
  const seconds = nanoseconds / 1_000_000_000n;
  const fraction = (nanoseconds % 1_000_000_000n).toString().padStart(9, "0").replace(/0+$/, "");
  const whole = new Date(Number(seconds) * 1000).toISOString().slice(0, 19);
  return fraction === "" ? `${whole}Z` : `${whole}.${fraction}Z`;
}

/** Milliseconds since the epoch as RFC 3339. */
export function msToRfc3339(milliseconds: number): string {
  return toRfc3339(BigInt(Math.round(milliseconds * 1000)) * 1000n);
}
