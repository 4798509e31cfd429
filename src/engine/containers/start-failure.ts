/**
 * Why a start or an exec failed: the exit code that the record gets. `docker run` derives its own from the text, by
 * the same rule: 127 from "executable file not found" and "no such file or directory", 126 from "permission denied".
 * @see moby daemon/errors.go, docker/cli command/container/run.go
 */
import { EngineError, InvalidParameterError, messageOf, SystemError } from "../../core/errors.ts";

/** Moby's exit code of a container that never ran for another reason. */
const UNKNOWN = 128;
const CANNOT_INVOKE = 126;
const NOT_FOUND = 127;

const WRONG_KIND_OF_MOUNT =
  "Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified host path exists and is the expected type";

/** A failed start whose exit code is known. */
export class StartError extends InvalidParameterError {
  readonly exitCode: number;

  constructor(message: string, exitCode: number, cause: unknown) {
    super(message, { cause });
    this.exitCode = exitCode;
  }
}

/** A directory was to be mounted on a file, or the other way round. */
export function wrongKindOfMount(source: string, destination: string, cause: unknown): StartError {
  const text = `error mounting ${JSON.stringify(source)} to rootfs at ${JSON.stringify(destination)}: not a directory`;
  return new StartError(`${text}: ${WRONG_KIND_OF_MOUNT}`, NOT_FOUND, cause);
}

/** The error for the client: the request's fault when the program it names cannot be run. */
export function toStartFailure(error: unknown): EngineError {
  if (error instanceof StartError) return error;
  const text = messageOf(error);
  if (text.toLowerCase().includes("not a directory")) {
    return new StartError(`${text}: ${WRONG_KIND_OF_MOUNT}`, NOT_FOUND, error);
  }
  const exitCode = classify(text);
  if (exitCode !== undefined) return new StartError(text, exitCode, error);
  return error instanceof EngineError ? error : new SystemError(text, { cause: error });
}

/**
 * What stood in the way before there was a process: the engine's failure, whatever it is. The request to start is not
 * wrong, and the container that it names is there. @see moby daemon/start.go
 */
export function toPreparationFailure(error: unknown): EngineError {
  if (error instanceof StartError) return error;
  return new SystemError(messageOf(error), { cause: error });
}

/** 126, 127 or 128. */
export function exitCodeOfFailure(error: unknown): number {
  return error instanceof StartError ? error.exitCode : UNKNOWN;
}

function classify(text: string): number | undefined {
  const lower = text.toLowerCase();
  if (!lower.includes("exec: ")) return undefined;
  if (lower.includes("permission denied")) return CANNOT_INVOKE;
  if (/executable file not found|no such file or directory/.test(lower)) return NOT_FOUND;
  return undefined;
}
