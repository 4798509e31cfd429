/**
 * The engine's errors, named by meaning. There is no HTTP in here: `server/http-errors.ts` maps each class to
 * a status, once. `message` is what a Docker client prints, so it carries Docker's wording where scripts
 * depend on it (`docker run` derives exit codes 126 and 127 from the text).
 */

export type ErrorCode =
  | "invalid-parameter"
  | "unauthorized"
  | "forbidden"
  | "not-found"
  | "conflict"
  | "not-modified"
  | "not-implemented"
  | "unavailable"
  | "no-space"
  | "system";

export interface ErrorOptionsWithSubject extends ErrorOptions {
  /** What the error is about: an id, a name, a path. */
  readonly subject?: string;
}

/** The base of every error that the engine raises on purpose. */
export abstract class EngineError extends Error {
  abstract readonly code: ErrorCode;
  readonly subject: string | undefined;

  constructor(message: string, options: ErrorOptionsWithSubject = {}) {
    super(message, options);
    this.name = new.target.name;
    this.subject = options.subject;
  }
}

/** The request itself is wrong: malformed, out of range, contradictory (400). */
export class InvalidParameterError extends EngineError {
  readonly code = "invalid-parameter";
}

/** Credentials are missing or wrong (401). */
export class UnauthorizedError extends EngineError {
  readonly code = "unauthorized";
}

/** Understood, and never allowed (403). */
export class ForbiddenError extends EngineError {
  readonly code = "forbidden";
}

/** No such object (404). */
export class NotFoundError extends EngineError {
  readonly code = "not-found";
}

/** The object's state or another owner of the name stands in the way (409). */
export class ConflictError extends EngineError {
  readonly code = "conflict";
}

/** Nothing to do: already started, already stopped (304). */
export class NotModifiedError extends EngineError {
  readonly code = "not-modified";
}

/** Part of the Docker API that this engine or this host cannot do; the message says which (501). */
export class NotImplementedError extends EngineError {
  readonly code = "not-implemented";
}

/** Cannot be done now, may be later: a registry that does not answer, a limit on work in flight (503). */
export class UnavailableError extends EngineError {
  readonly code = "unavailable";
}

/** The disk is full (507 is unknown to Docker's clients, so 500 with a message that names space). */
export class NoSpaceError extends EngineError {
  readonly code = "no-space";
}

/** The host refused or failed: a system call, a child process, a file (500). */
export class SystemError extends EngineError {
  readonly code = "system";
}

/** A plugin answered with an error (500); the message is its own. */
export class PluginError extends SystemError {}

/** The message of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
