/** Texts as Go's fmt writes them: histories of images are full of them, and scripts compare those. */

/** `%q` of a string. */
export function quote(text: string): string {
  let out = "";
  for (const letter of text) {
    const code = letter.codePointAt(0) ?? 0;
    const short = SHORT[letter];
    if (short !== undefined) out += short;
    else if (code < 0x20 || code === 0x7f) out += `\\x${code.toString(16).padStart(2, "0")}`;
    else if (/[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/u.test(letter)) out += unicodeEscape(code);
    else out += letter;
  }
  return `"${out}"`;
}

const SHORT: Readonly<Record<string, string>> = {
  '"': '\\"',
  "\\": "\\\\",
  "\x07": "\\a",
  "\b": "\\b",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\v": "\\v",
};

function unicodeEscape(code: number): string {
  return code > 0xffff
    ? `\\U${code.toString(16).padStart(8, "0")}`
    : `\\u${code.toString(16).padStart(4, "0")}`;
}

/** `%q` of a list of strings. */
export function quoteList(texts: readonly string[]): string {
  return `[${texts.map(quote).join(" ")}]`;
}

/** `%v` of a list of strings. */
export function list(texts: readonly string[]): string {
  return `[${texts.join(" ")}]`;
}

/** A duration of nanoseconds: `1m30s`, `1.5s`, `0s`. */
export function duration(nanoseconds: number): string {
  if (nanoseconds === 0) return "0s";
  const sign = nanoseconds < 0 ? "-" : "";
  const amount = Math.abs(nanoseconds);
  if (amount < 1e3) return `${sign}${amount}ns`;
  if (amount < 1e6) return `${sign}${amount / 1e3}µs`;
  if (amount < 1e9) return `${sign}${amount / 1e6}ms`;
  const hours = Math.floor(amount / 3600e9);
  const minutes = Math.floor(amount / 60e9) % 60;
  const seconds = (amount % 60e9) / 1e9;
  const parts = [hours > 0 ? `${hours}h` : "", hours > 0 || minutes > 0 ? `${minutes}m` : "", `${seconds}s`];
  return sign + parts.join("");
}
