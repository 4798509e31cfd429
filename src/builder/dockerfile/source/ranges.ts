/**
 * Where something stands in a source file, and errors that know it. Lines count from 1; a Dockerfile's ranges are whole
 * lines, so their characters are 0.
 *
 * An error is located once, at the innermost place; outer places are added to it, so that a reader sees all of them
 * (a circular dependency names each instruction on the circle).
 */
import type { SourcePosition, SourceRange } from "../../graph/definition.ts";

export type { SourceRange } from "../../graph/definition.ts";

/** One range for each line from `start` to `end`, both included. */
export function lineRanges(start: number, end: number): SourceRange[] {
  const last = Math.max(start, end);
  return Array.from({ length: last - start + 1 }, (_, index) => lineRange(start + index));
}

export function lineRange(line: number): SourceRange {
  return { start: { line, character: 0 }, end: { line, character: 0 } };
}

/** The first and the last line of ranges; zeros if there are none. */
export function lineSpan(ranges: readonly SourceRange[]): { start: number; end: number } {
  if (ranges.length === 0) return { start: 0, end: 0 };
  return {
    start: Math.min(...ranges.map((range) => range.start.line)),
    end: Math.max(...ranges.map((range) => range.end.line)),
  };
}

/** An error with the places in the source that it is about. Its message is its cause's. */
export class LocatedError extends Error {
  readonly locations: SourceRange[][];

  constructor(cause: unknown, location: readonly SourceRange[]) {
    super(messageOf(cause), { cause });
    this.name = "LocatedError";
    this.locations = [[...location]];
  }
}

/** Adds a place to an error, whatever the error is. */
export function withLocation(error: unknown, location: readonly SourceRange[]): unknown {
  const located = findLocated(error);
  if (!located) return new LocatedError(error, location);
  located.locations.push([...location]);
  return error;
}

/** Says that the error is at this place and nowhere else: for text that stands in no file, such as a trigger of an image. */
export function atLocation(error: unknown, location: readonly SourceRange[]): unknown {
  const located = findLocated(error);
  if (!located) return new LocatedError(error, location);
  located.locations.splice(0, located.locations.length, [...location]);
  return error;
}

/** The located error among an error and its causes. */
export function findLocated(error: unknown): LocatedError | undefined {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof LocatedError) return cause;
  }
  return undefined;
}

/** Several locations as one list of ranges in order, those that touch made one. */
export function mergeLocations(locations: readonly (readonly SourceRange[])[]): SourceRange[] {
  const sorted = locations.flat().sort((a, b) => a.start.line - b.start.line);
  const merged: SourceRange[] = [];
  for (const range of sorted) {
    const last = merged.at(-1);
    if (last && range.start.line <= last.end.line) {
      merged[merged.length - 1] = { start: last.start, end: laterOf(last.end, range.end) };
    } else {
      merged.push(range);
    }
  }
  return merged;
}

function laterOf(a: SourcePosition, b: SourcePosition): SourcePosition {
  return b.line > a.line ? b : a;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
