/** Container names: what is allowed, and a random one for who gives none. */
import { InvalidParameterError } from "../../../core/errors.ts";
import { MANNERS, PERSONS } from "./words.ts";

const NAME = /^\/?[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;

/** Without the slash that clients may put in front. @throws InvalidParameterError in Docker's words */
export function parseContainerName(name: string): string {
  if (!NAME.test(name)) {
    throw new InvalidParameterError(
      `Invalid container name (${name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`,
      { subject: name },
    );
  }
  return name.replace(/^\//, "");
}

/** `manner_person`, with a digit behind it once that was taken a few times. */
export function randomContainerName(isTaken: (name: string) => boolean): string {
  for (let attempt = 0; ; attempt += 1) {
    const plain = `${pick(MANNERS)}_${pick(PERSONS)}`;
    const name =
      attempt < 6 ? plain : `${plain}${Math.floor(Math.random() * 10 ** Math.min(attempt - 5, 9))}`;
    if (!isTaken(name)) return name;
  }
}

function pick(words: readonly string[]): string {
  return words[Math.floor(Math.random() * words.length)] ?? "quiet";
}
