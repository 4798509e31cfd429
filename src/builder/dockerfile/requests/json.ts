/** Results of questions as JSON: the shapes that clients read, with fields left out as Go's encoder leaves them out. */
import type { Definition, SourceInfo } from "../../graph/definition.ts";
import { toDefinitionMessage } from "../../protocol/definitions.ts";
import type { SourceRange } from "../source/ranges.ts";

export interface JsonLocation {
  readonly sourceIndex?: number;
  readonly ranges?: readonly JsonRange[];
}

interface JsonPosition {
  readonly line?: number;
  readonly character?: number;
}
interface JsonRange {
  readonly start: JsonPosition;
  readonly end: JsonPosition;
}

/** A position without zeros: those are what is left out. */
export function toJsonRange({ start, end }: SourceRange): JsonRange {
  const position = ({ line, character }: SourceRange["start"]): JsonPosition => ({
    ...(line === 0 ? {} : { line }),
    ...(character === 0 ? {} : { character }),
  });
  return { start: position(start), end: position(end) };
}

/** In the first source, which is index 0 and is left out. */
export function toJsonLocation(ranges: readonly SourceRange[]): JsonLocation {
  return ranges.length === 0 ? {} : { ranges: ranges.map(toJsonRange) };
}

export function toJsonSource(info: SourceInfo): object {
  return {
    filename: info.filename,
    data: Buffer.from(info.data).toString("base64"),
    ...(info.definition ? { definition: toJsonDefinition(info.definition) } : {}),
    language: info.language,
  };
}

function toJsonDefinition(definition: Definition): object {
  const { def, metadata } = toDefinitionMessage(definition);
  return {
    def: def.map((bytes) => Buffer.from(bytes).toString("base64")),
    metadata: Object.fromEntries(
      [...metadata].map(([digest, entry]) => [
        digest,
        { description: Object.fromEntries(entry.description), caps: Object.fromEntries(entry.caps) },
      ]),
    ),
    Source: {},
  };
}

/** As Go's MarshalIndent with two spaces: `<`, `>` and `&` are escaped. */
export function goJson(value: unknown): string {
  return JSON.stringify(value, undefined, 2).replace(
    /[<>&\u2028\u2029]/g,
    (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** Columns as Go's tabwriter sets them: each as wide as its widest cell and the gap. The last is not filled. */
export function table(rows: readonly (readonly string[])[], gap: number): string {
  const columns = Math.max(0, ...rows.map((row) => row.length - 1));
  const widths = Array.from({ length: columns }, (_, column) =>
    Math.max(0, ...rows.map((row) => (row.length > column + 1 ? [...(row[column] ?? "")].length : 0))),
  );
  return rows
    .map((row) =>
      row
        .map((cell, column) => (column < row.length - 1 ? padded(cell, (widths[column] ?? 0) + gap) : cell))
        .join(""),
    )
    .map((line) => `${line}\n`)
    .join("");
}

function padded(cell: string, width: number): string {
  return cell + " ".repeat(Math.max(0, width - [...cell].length));
}
