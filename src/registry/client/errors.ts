/** A registry's error documents, and the errors that Docker makes of them for people. @see moby `distribution/errors.go` */
import { type EngineError, NotFoundError, SystemError, UnavailableError } from "../../core/errors.ts";
import { familiarName, familiarString, type Reference } from "../../core/references.ts";

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
export function toEngineError(reference: Reference, status: number, body: Uint8Array): EngineError {
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
  if (status === 429) {
    return new UnavailableError(text ?? "toomanyrequests: too many requests to the registry", { subject });
  }
  if (status >= 500) {
    return new UnavailableError(text ?? `received unexpected HTTP status: ${status}`, { subject });
  }
  if (status === 401) return new SystemError(text ?? "unauthorized: authentication required", { subject });
  return new SystemError(text ?? `received unexpected HTTP status: ${status}`, { subject });
}
