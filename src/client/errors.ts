/**
 * What can go wrong between a client and an engine. Messages are those of Docker's client library:
 * scripts match on them.
 */

/** Any failure of a call. */
export class EngineError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** The engine answered with a status of 400 or above. */
export class EngineResponseError extends EngineError {
  readonly status: number;
  /** The engine's own words, without the prefix of `message`. */
  readonly reason: string;

  constructor(status: number, reason: string) {
    super(`Error response from daemon: ${reason}`);
    this.status = status;
    this.reason = reason;
  }
}

/** No engine could be reached at the address. */
export class EngineConnectionError extends EngineError {}

/** What arrived is not what HTTP or the Engine API would send. */
export class EngineProtocolError extends EngineError {}

/** The engine reported a failure inside of a stream, after its headers. */
export class EngineStreamError extends EngineError {
  readonly code: number;

  constructor(message: string, code = 0) {
    super(message);
    this.code = code;
  }
}

export function isNotFound(error: unknown): boolean {
  return error instanceof EngineResponseError && error.status === 404;
}
