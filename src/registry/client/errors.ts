/** A registry's error documents, and the errors that Docker makes of them for people. @see moby `distribution/errors.go` */
import {
  type EngineError,
  ForbiddenError,
  NotFoundError,
  SystemError,
  UnauthorizedError,
  UnavailableError,
} from "../../core/errors.ts";
import { familiarName, familiarString, type Reference } from "../../core/references.ts";

/** The registry has too much to do: worth another try. */
export class BusyError extends UnavailableError {
  /** What the registry asked for, in ms. */
  retryAfter: number | undefined;
}

function busy(message: string, subject: string, retryAfter: number | undefined): BusyError {
  const error = new BusyError(message, { subject });
  error.retryAfter = retryAfter;
  return error;
}

export interface RegistryProblem {
  /** As Docker prints codes: `manifest unknown`. */
  readonly code: string;
  readonly message: string;
}

/** The list of a `{"errors":[…]}` body; empty if it is anything else. */
export function parseErrors(body: Uint8Array): RegistryProblem[] {
  let document: unknown;
  try {
    document = JSON.parse(new TextDecoder().decode(body));
  } catch {
    return [];
  }
  const errors =
    typeof document === "object" && document !== null && "errors" in document ? document.errors : [];
  if (!Array.isArray(errors)) return [];
  return errors.flatMap((error: unknown) => {
    if (typeof error !== "object" || error === null || !("code" in error)) return [];
    const code = String(error.code).toLowerCase().replaceAll("_", " ");
    return [{ code, message: "message" in error && error.message ? String(error.message) : code }];
  });
}

/** The error for an answer that is none of those that the caller can use. */
export function toEngineError(
  reference: Reference,
  status: number,
  body: Uint8Array,
  retryAfter?: number,
): EngineError {
  const [problem] = parseErrors(body);
  const subject = familiarString(reference);
  const text = problem && `${problem.code}: ${problem.message}`;
  if (problem?.code === "denied") {
    return new NotFoundError(
      `pull access denied for ${familiarName(reference)}, repository does not exist or may require 'docker login': ${text}`,
      { subject },
    );
  }
  if (problem?.code === "name unknown") {
    return new NotFoundError(`repository ${familiarName(reference)} not found: ${text}`, { subject });
  }
  if (problem?.code === "manifest unknown" || status === 404) {
    return new NotFoundError(
      `manifest for ${subject} not found: ${text ?? "manifest unknown: manifest unknown"}`,
      { subject },
    );
  }
  const overload = overloadOf(status, text, subject, retryAfter);
  if (overload) return overload;
  if (status === 401) return new SystemError(text ?? "unauthorized: authentication required", { subject });
  return new SystemError(text ?? `received unexpected HTTP status: ${status}`, { subject });
}

/** The same for what was to be changed in a registry. */
export function toPushError(
  reference: Reference,
  status: number,
  body: Uint8Array,
  retryAfter?: number,
): EngineError {
  const [problem] = parseErrors(body);
  const subject = familiarString(reference);
  const text = problem && `${problem.code}: ${problem.message}`;
  const overload = overloadOf(status, text, subject, retryAfter);
  if (overload) return overload;
  if (status === 401) {
    return new UnauthorizedError(text ?? "unauthorized: authentication required", { subject });
  }
  if (status === 403) {
    return new ForbiddenError(text ?? "denied: requested access to the resource is denied", { subject });
  }
  if (status === 404) {
    return new NotFoundError(text ?? `repository ${familiarName(reference)} not found`, { subject });
  }
  return new SystemError(text ?? `received unexpected HTTP status: ${status}`, { subject });
}

function overloadOf(
  status: number,
  text: string | undefined,
  subject: string,
  retryAfter: number | undefined,
): BusyError | undefined {
  if (status === 429) {
    return busy(text ?? "toomanyrequests: too many requests to the registry", subject, retryAfter);
  }
  if (status < 500) return undefined;
  return busy(text ?? `received unexpected HTTP status: ${status}`, subject, retryAfter);
}
