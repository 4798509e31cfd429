/** `KEY=value` lists: labels, environments, and the files that hold them. */
import { readFileSync } from "node:fs";
import { codeOf } from "../../base/error-codes.ts";
import { cut } from "../flags/flags.ts";

/** `key=value` lines as a map; a key alone has the value "". */
export function toMap(items: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    items.map((item) => {
      const [key, value = ""] = cut(item, "=");
      return [key, value];
    }),
  );
}

/** Each name once, with its last value. */
export function lastOfEach(items: readonly string[]): string[] {
  return [...new Map(items.map((item) => [cut(item, "=")[0], item])).values()];
}

/** A label needs a name. */
export function checkLabel(text: string): string {
  const key = cut(text, "=")[0].replace(/^[ \t]+/, "");
  if (key === "") throw new Error(`invalid label '${text}': empty name`);
  if (/[ \t]/.test(key)) throw new Error(`label '${key}' contains whitespaces`);
  return text;
}

type Lookup = (name: string) => string | undefined;

/** `NAME` alone takes the caller's own value, and is dropped where there is none. */
export function resolveEnvironment(items: readonly string[], lookup: Lookup): string[] {
  return items.flatMap((item) => {
    if (item.includes("=")) return [item];
    const value = lookup(item);
    return value === undefined ? [item] : [`${item}=${value}`];
  });
}

/** As `--env` takes one occurrence. */
export function checkEnvironment(text: string): string {
  if (cut(text, "=")[0] === "") throw new Error(`invalid environment variable: ${text}`);
  return text;
}

/**
 * The lines of `--env-file` and `--label-file`: comments and blank lines are dropped.
 * @param lookup finds the value of a name that stands alone; a name without value is left out
 */
export function readKeyValueFile(path: string, lookup?: Lookup): string[] {
  const bytes = readFileOf(path);
  const text = new TextDecoder("utf-8", { fatal: true });
  const items: string[] = [];
  for (const [index, raw] of splitLines(bytes).entries()) {
    let line: string;
    try {
      line = text.decode(raw);
    } catch {
      throw new Error(
        `invalid env file (${path}): invalid utf8 bytes at line ${index + 1}: ${JSON.stringify([...raw])}`,
      );
    }
    line = (index === 0 ? line.replace(/^\ufeff/, "") : line).trimStart();
    if (line === "" || line.startsWith("#")) continue;
    const [name, value] = cut(line, "=");
    const key = name.trimStart();
    if (/\s/.test(key)) throw new Error(`invalid env file (${path}): variable '${key}' contains whitespaces`);
    if (key === "") throw new Error(`invalid env file (${path}): no variable name on line '${line}'`);
    if (value !== undefined) items.push(`${key}=${value}`);
    else {
      const found = lookup?.(line.trim());
      if (found !== undefined) items.push(`${key.trim()}=${found}`);
    }
  }
  return items;
}

function splitLines(bytes: Uint8Array): Uint8Array[] {
  const lines: Uint8Array[] = [];
  let start = 0;
  while (start < bytes.byteLength) {
    const newline = bytes.indexOf(10, start);
    const end = newline < 0 ? bytes.byteLength : newline;
    lines.push(bytes.subarray(start, bytes[end - 1] === 13 && end > start ? end - 1 : end));
    start = end + 1;
  }
  return lines;
}

function readFileOf(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (cause) {
    const code = codeOf(cause);
    const reason =
      code === "ENOENT"
        ? "no such file or directory"
        : code === "EACCES"
          ? "permission denied"
          : String(code);
    throw new Error(`open ${path}: ${reason}`, { cause });
  }
}
