/** Aligned columns as Go's text/tabwriter lays them out: cells end with a tab, the last one of a line does not count. */

export interface TableLayout {
  readonly minWidth: number;
  readonly padding: number;
}

/** The layout of Docker's lists. */
export const listLayout: TableLayout = { minWidth: 10, padding: 3 };

/** Lays tab-separated lines out; a column is a run of adjacent lines that have a cell in it. */
export function alignColumns(text: string, { minWidth, padding }: TableLayout): string {
  const lines = text.split("\n").map((line) => line.split("\t"));
  const widths: number[][] = lines.map(() => []);
  measure(0, lines.length, 0);
  return lines
    .map((cells, at) =>
      cells
        .map((cell, column) => {
          const width = column < cells.length - 1 ? (widths[at]?.[column] ?? 0) : 0;
          return cell + " ".repeat(Math.max(0, width - displayWidth(cell)));
        })
        .join(""),
    )
    .join("\n");

  function measure(from: number, to: number, column: number): void {
    for (let start = from; start < to; start++) {
      if (!hasCell(start, column)) continue;
      let end = start;
      let width = minWidth;
      while (end < to && hasCell(end, column)) {
        width = Math.max(width, displayWidth(lines[end]?.[column] ?? "") + padding);
        end++;
      }
      for (let line = start; line < end; line++) (widths[line] as number[])[column] = width;
      measure(start, end, column + 1);
      start = end - 1;
    }
  }

  function hasCell(line: number, column: number): boolean {
    return column < (lines[line]?.length ?? 0) - 1;
  }
}

/** Characters on a terminal: wide ones count twice. */
function displayWidth(text: string): number {
  return /^[\x20-\x7e]*$/.test(text) ? text.length : Bun.stringWidth(text, { countAnsiEscapeCodes: true });
}

/** Shortens to a width, the last place taken by an ellipsis. */
export function ellipsis(text: string, width: number): string {
  if (width <= 0) return "";
  const chars = [...text];
  if (width === 1) return chars[0] ?? "";
  if (displayWidth(text) <= width) return text;
  let kept = "";
  let used = 0;
  for (const char of chars) {
    used += displayWidth(char);
    if (used > width - 1) break;
    kept += char;
  }
  return `${kept}…`;
}
