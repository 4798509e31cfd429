/** The signals that STOPSIGNAL takes: by number, by name, with or without SIG. */
import { constants } from "node:os";
import { DockerfileError } from "../source/errors.ts";

const REALTIME = /^RTM(?:IN|AX)(?:[+-]\d+)?$/;
const HIGHEST = 64;

/** @throws DockerfileError */
export function checkSignal(text: string): void {
  if (/^\d+$/.test(text)) {
    const number = Number(text);
    if (number > 0 && number <= HIGHEST) return;
    throw new DockerfileError(`invalid signal: ${text}`);
  }
  const name = text.toUpperCase().replace(/^SIG/, "");
  const known = `SIG${name}` in constants.signals || ["CLD", "STKFLT"].includes(name) || REALTIME.test(name);
  if (!known) throw new DockerfileError(`invalid signal: ${text}`);
}
