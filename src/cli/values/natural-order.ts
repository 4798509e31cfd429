/** The order of Docker's lists (fvbommel/sortorder, NaturalLess): bytes, and runs of digits by their number. Pure. */

/** Negative, zero or positive, as a comparison for `sort`. */
export function compareNaturally(left: string, right: string): number {
  const a = Buffer.from(left);
  const b = Buffer.from(right);
  let i = 0;
  let j = 0;
  while (i < a.length && j < b.length) {
    const [isNumber, isOtherNumber] = [isDigit(a[i]), isDigit(b[j])];
    if (isNumber !== isOtherNumber) return isNumber ? -1 : 1;
    if (!isNumber) {
      const difference = (a[i++] as number) - (b[j++] as number);
      if (difference !== 0) return difference;
      continue;
    }
    const [start, otherStart] = [skipZeros(a, i), skipZeros(b, j)];
    [i, j] = [skipDigits(a, start), skipDigits(b, otherStart)];
    const difference =
      i - start - (j - otherStart) ||
      Buffer.compare(a.subarray(start, i), b.subarray(otherStart, j)) ||
      // Equal numbers: the one with fewer zeros in front.
      start - otherStart;
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39;
}

function skipZeros(bytes: Buffer, from: number): number {
  let at = from;
  while (bytes[at] === 0x30) at++;
  return at;
}

function skipDigits(bytes: Buffer, from: number): number {
  let at = from;
  while (isDigit(bytes[at])) at++;
  return at;
}
