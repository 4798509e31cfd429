/**
 * Why a start or an exec failed, as Docker tells it. `docker run` makes its exit code out of the text: 127 from
 * "executable file not found" and "no such file or directory", 126 from "permission denied" and "is a directory".
 * The runtimes say the same in their own words and case; this file puts it into the words that clients look for.
 * @see moby daemon/errors.go, docker/cli command/container/run.go
 */
import { EngineError, InvalidParameterError, messageOf, SystemError } from "../../core/errors.ts";

/** Moby's exit code of a container that never ran for another reason. */
const UNKNOWN = 128;
const CANNOT_INVOKE = 126;
const NOT_FOUND = 127;

/** A failed start whose exit code is known. */
export class StartError extends InvalidParameterError {
  readonly exitCode: number;

  constructor(message: string, exitCode: number, cause: unknown) {
    super(message, { cause });
    this.exitCode = exitCode;
  }
}

/** The error for the client. */
export function toStartFailure(error: unknown, command: string): EngineError {
  const prefix = "failed to create task for container: unable to start container process";
  return toFailure(error, command, prefix);
}

/** The same for an exec. */
export function toExecFailure(error: unknown, command: string): EngineError {
  return toFailure(error, command, "OCI runtime exec failed: exec failed: unable to start container process");
}

function toFailure(error: unknown, command: string, prefix: string): EngineError {
  if (error instanceof StartError) return error;
  const text = messageOf(error);
  const found = classify(text);
  if (!found) return error instanceof EngineError ? error : new SystemError(text, { cause: error });
  return new StartError(
    `${prefix}: exec: ${JSON.stringify(command)}: ${found.reason}`,
    found.exitCode,
    error,
  );
}

/** 126, 127 or 128. */
export function exitCodeOfFailure(error: unknown): number {
  return error instanceof StartError ? error.exitCode : UNKNOWN;
}

function classify(text: string): { reason: string; exitCode: number } | undefined {
  const lower = text.toLowerCase();
  if (/executable file .*not found/.test(lower)) {
    return { reason: "executable file not found in $PATH", exitCode: NOT_FOUND };
  }
  if (/(exec|executable|open executable|process).*no such file or directory/.test(lower)) {
    return { reason: "stat: no such file or directory", exitCode: NOT_FOUND };
  }
  if (/(exec|executable|process).*is a directory/.test(lower)) {
    return { reason: "is a directory", exitCode: CANNOT_INVOKE };
  }
  if (/(exec|executable|process).*permission denied/.test(lower)) {
    return { reason: "permission denied", exitCode: CANNOT_INVOKE };
  }
  return undefined;
}
