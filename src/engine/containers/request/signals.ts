/** Signals by name or number, as clients give them. */
import { constants } from "node:os";
import { InvalidParameterError } from "../../../core/errors.ts";

const HIGHEST = 64;
/** The first that the C library leaves to programs. */
const RTMIN = 34;

/** `SIGTERM`, `term`, `15`, `RTMIN+3`. @throws InvalidParameterError in Docker's words */
export function parseSignal(text: string): number {
  const number = /^[0-9]+$/.test(text) ? Number(text) : numberOf(text.toUpperCase().replace(/^SIG/, ""));
  if (number === undefined || number < 1 || number > HIGHEST) {
    throw new InvalidParameterError(`invalid signal: ${text}`, { subject: text });
  }
  return number;
}

function numberOf(name: string): number | undefined {
  const realTime = /^RT(MIN|MAX)(?:([+-])([0-9]{1,2}))?$/.exec(name);
  if (realTime) {
    const [, edge, sign, distance = "0"] = realTime;
    if (edge === "MIN") return sign === "-" ? undefined : RTMIN + Number(distance);
    return sign === "+" ? undefined : HIGHEST - Number(distance);
  }
  const signals: Readonly<Record<string, number | undefined>> = constants.signals;
  return signals[`SIG${name}`];
}
