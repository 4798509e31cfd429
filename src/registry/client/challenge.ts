/** Reading `WWW-Authenticate`. @see RFC 9110 section 11.6.1 */

export interface Challenge {
  /** Lower case: `bearer`, `basic`. */
  readonly scheme: string;
  /** Names in lower case. */
  readonly parameters: Readonly<Record<string, string>>;
}

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";

/** All challenges of a header. What cannot be read ends the list: a challenge must not be guessed. */
export function parseChallenges(header: string): Challenge[] {
  const challenges: { scheme: string; parameters: Record<string, string> }[] = [];
  const next = new RegExp(
    `\\s*,?\\s*(?:(${TOKEN})\\s*=\\s*(?:"((?:[^"\\\\]|\\\\.)*)"|(${TOKEN})(?=\\s|,|$))|(${TOKEN})(?=\\s|,|$))`,
    "y",
  );
  while (next.lastIndex < header.length) {
    const found = next.exec(header);
    if (!found) break;
    const [, name, quoted, plain, scheme] = found;
    if (scheme !== undefined) challenges.push({ scheme: scheme.toLowerCase(), parameters: {} });
    else if (name !== undefined) {
      const challenge = challenges.at(-1);
      if (!challenge) break;
      challenge.parameters[name.toLowerCase()] = quoted?.replace(/\\(.)/g, "$1") ?? plain ?? "";
    }
  }
  return challenges;
}
