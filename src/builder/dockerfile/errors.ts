/** Errors of frontends that clients act on: where in a file, what is not known. */
import { NotImplementedError } from "../../core/errors.ts";
import type { SourceInfo, SourceRange } from "../graph/definition.ts";
import { messageOf } from "./source/ranges.ts";

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
