/**
 * Lists through `--format`: tables, JSON lines, or a template of the user's, with Docker's headers and widths.
 */

import { TemplateError } from "../templates/errors.ts";
import type { TemplateFunction } from "../templates/functions.ts";
import { TemplateObject } from "../templates/object.ts";
import { Template, type TemplateOptions } from "../templates/template.ts";
import { alignColumns, listLayout } from "../terminal/table.ts";

export interface ListFormat {
  /** `table …`, `json`, or a template. */
  readonly format: string;
  /** Column titles by field. */
  readonly headers: Readonly<Record<string, string>>;
}

/** In a header row, functions leave titles alone. */
const headerFunctions: Readonly<Record<string, TemplateFunction>> = {
  json: (value) => value,
  title: (value) => value,
  lower: (value) => value,
  upper: (value) => value,
  truncate: (value) => value,
  join: (value) => value,
  split: (value) => value,
};

/** The whole output for a list. @throws Error "template parsing error: …" */
export function formatList({ format, headers }: ListFormat, rows: readonly TemplateObject[]): string {
  const isTable = format.startsWith("table");
  const source = (isTable ? format.slice("table".length) : format === "json" ? "{{json .}}" : format)
    .replace(/^ +| +$/g, "")
    .replaceAll("\\t", "\t")
    .replaceAll("\\n", "\n");
  const template = parseTemplate(source);
  const lines = rows.map((row) => `${execute(template, row)}\n`).join("");
  if (!isTable) return lines;
  const header = template.execute(headerObject(headers), { functions: headerFunctions });
  return alignColumns(`${header}\n${lines}`, listLayout);
}

/** @throws Error "template parsing error: …" */
export function parseTemplate(source: string, options?: TemplateOptions): Template {
  try {
    return new Template(source, options);
  } catch (error) {
    throw explainTemplateError(error);
  }
}

function execute(template: Template, row: TemplateObject): string {
  try {
    return template.execute(row);
  } catch (error) {
    throw explainTemplateError(error);
  }
}

/** Docker's words for a template that fails. */
export function explainTemplateError(error: unknown): unknown {
  if (!(error instanceof TemplateError)) return error;
  return new Error(`template parsing error: ${error.message}`, { cause: error });
}

function headerObject(headers: Readonly<Record<string, string>>): TemplateObject {
  const methods = Object.fromEntries(Object.entries(headers).map(([name, title]) => [name, () => title]));
  const label = (name: string): string => (name.split(".").at(-1) ?? "").replace(/[-_]/g, " ");
  return new TemplateObject("formatter.SubHeaderContext", { ...methods, Label: label });
}

/** The description that Docker gives `--format` of lists. */
export const listFormatHelp = `Format output using a custom template:
'table':            Print output in table format with column headers (default)
'table TEMPLATE':   Print output in table format using the given Go template
'json':             Print in JSON format
'TEMPLATE':         Print output using the given Go template.
Refer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates`;

/** The same for `inspect`, `info`, `version`. */
export const inspectFormatHelp = `Format output using a custom template:
'json':             Print in JSON format
'TEMPLATE':         Print output using the given Go template.
Refer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates`;
