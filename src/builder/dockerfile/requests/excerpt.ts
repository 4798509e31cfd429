/** Lines of a source file with those marked that something is said about, as BuildKit's clients print them. */
import type { SourceInfo } from "../../graph/definition.ts";
import { lineSpan, type SourceRange } from "../source/ranges.ts";

export function excerpt({ filename, data }: SourceInfo, ranges: readonly SourceRange[]): string {
  const lines = new TextDecoder().decode(data).split("\n");
  const { start, end } = lineSpan(ranges);
  if (ranges.length === 0 || start < 1 || start > lines.length) return "";
  const { from, to } = widened(start, Math.min(end, lines.length), lines.length);
  const isMarked = (line: number) =>
    ranges.some((range) => line >= range.start.line && line <= range.end.line);
  const shown = lines.slice(from - 1, to).map((text, index) => {
    const line = from + index;
    return ` ${String(line).padStart(3)} | ${isMarked(line) ? ">>>" : "   "} ${text}\n`;
  });
  return `${filename}:${start}\n--------------------\n${shown.join("")}--------------------\n`;
}

/** A line above and one below in turns; more of them around a single line. Each turn counts, also one that finds none. */
function widened(start: number, end: number, count: number): { from: number; to: number } {
  const padding = start === end ? 4 : 2;
  let [from, to] = [start, end];
  for (let used = 0; used < padding; used++) {
    if (from > 1) {
      from--;
      used++;
    }
    if (to !== count) {
      to++;
      used++;
    }
  }
  return { from, to };
}
