/**
 * Errors that clients of a build act on, beyond their message: where in a file, at which vertex, what is not known, how a
 * program ended. They are tied to what went wrong by `cause`, and travel with it as details.
 */
import { messageOf, NotImplementedError } from "../core/errors.ts";
import type { Digest } from "../core/ids.ts";
import type { SourceInfo, SourceRange } from "./graph/definition.ts";

/** An error tied to lines of a source file. Its message is its cause's; several may be around one error. */
export class SourceError extends Error {
  readonly source: SourceInfo;
  readonly ranges: readonly SourceRange[];

  constructor(cause: unknown, source: SourceInfo, ranges: readonly SourceRange[]) {
    super(messageOf(cause), { cause });
    this.name = "SourceError";
    this.source = source;
    this.ranges = ranges;
  }

  /** Whether an error is tied to a source, itself or by a cause. */
  static in(error: unknown): boolean {
    for (let cause = error; cause instanceof Error; cause = cause.cause) {
      if (cause instanceof SourceError) return true;
    }
    return false;
  }
}

/** A client needs what this frontend does not know. Clients try another way on it. */
export class UnsupportedCapabilityError extends NotImplementedError {
  readonly capability: string;

  constructor(capability: string) {
    super(`unsupported frontend capability ${capability}`);
    this.capability = capability;
  }
}

/** A question that this frontend does not answer. */
export class UnsupportedRequestError extends NotImplementedError {
  readonly request: string;

  constructor(request: string) {
    super(`unsupported request ${request}`);
    this.request = request;
  }
}

/** What went wrong went wrong while this vertex was being solved. */
export class VertexError extends Error {
  readonly digest: Digest;

  constructor(cause: unknown, digest: Digest) {
    super(messageOf(cause), { cause });
    this.name = "VertexError";
    this.digest = digest;
  }
}

/** A program of a build ended with a code that is a failure. */
export class ExitError extends Error {
  readonly exitCode: number;

  /** @param program its words, as a message shows them */
  constructor(program: string, exitCode: number) {
    super(`process ${JSON.stringify(program)} did not complete successfully: exit code: ${exitCode}`);
    this.name = "ExitError";
    this.exitCode = exitCode;
  }
}
