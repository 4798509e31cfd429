/** The errors of the Dockerfile language: all of them are the request's fault, and say so in BuildKit's words. */
import { InvalidParameterError } from "../../../core/errors.ts";
import { messageOf } from "./ranges.ts";

/** What is written is wrong. */
export class DockerfileError extends InvalidParameterError {}

/** Says what was being done when an error came; the error stays its cause, with its place in the source. */
export function wrapped(prefix: string, cause: unknown): DockerfileError {
  return new DockerfileError(`${prefix}: ${messageOf(cause)}`, { cause });
}

/** Runs a step; what it throws is told with the step's name. */
export function during<T>(what: string, step: () => T): T {
  try {
    return step();
  } catch (error) {
    throw wrapped(what, error);
  }
}
