/** What the engine's errors are in HTTP: the one place where a class becomes a status. */
import { DecodeError } from "../api/decode.ts";
import { hasCode } from "../base/error-codes.ts";
import { log } from "../base/log.ts";
import { EngineError, type ErrorCode, messageOf } from "../core/errors.ts";
import { HttpError } from "../http/index.ts";

export interface ErrorReply {
  readonly status: number;
  readonly message: string;
}

const STATUS: Readonly<Record<ErrorCode, number>> = {
  "invalid-parameter": 400,
  unauthorized: 401,
  forbidden: 403,
  "not-found": 404,
  conflict: 409,
  "not-modified": 304,
  "not-implemented": 501,
  unavailable: 503,
  "no-space": 500,
  system: 500,
};

/** Anything thrown → status and message. What nobody foresaw is logged with its stack. */
export function toHttpError(error: unknown, operation: string): ErrorReply {
  if (error instanceof EngineError) {
    const message = isNoSpace(error) ? namingSpace(error.message) : error.message;
    return { status: STATUS[error.code], message: message || error.code };
  }
  if (error instanceof DecodeError) return { status: 400, message: error.message };
  if (error instanceof HttpError) return { status: error.status, message: error.message };
  const message = messageOf(error) || "unknown error";
  if (isNoSpace(error)) return { status: 500, message: namingSpace(message) };
  log("error", "unexpected error in a request", {
    operation,
    error,
    stack: error instanceof Error ? error.stack : undefined,
  });
  return { status: 500, message };
}

/** Disk or quota full, here or in a cause: the system's own error codes survive wrapping. */
function isNoSpace(error: unknown): boolean {
  for (let cause = error, depth = 0; cause instanceof Error && depth < 8; cause = cause.cause, depth++) {
    if (hasCode(cause, "ENOSPC", "EDQUOT") || isCode(cause, "no-space")) return true;
  }
  return false;
}

function isCode(error: Error, code: ErrorCode): boolean {
  return error instanceof EngineError && error.code === code;
}

/** `ENOSPC: no space left on device, mkdir '/a'` as Go says it: `mkdir /a: no space left on device`. */
function fromSystemCall(message: string): string {
  const [, call, path] = /, (\w+)(?: '(.*?)')?(?: -> .*)?$/s.exec(message) ?? [];
  return [[call, path].filter(Boolean).join(" "), "no space left on device"].filter(Boolean).join(": ");
}

/** Clients and scripts look for these words. */
function namingSpace(message: string): string {
  if (/^(?:ENOSPC|EDQUOT): /.test(message)) return fromSystemCall(message);
  return /no space left on device/i.test(message) ? message : `no space left on device: ${message}`;
}
