/**
 * Options of Docker's file log drivers. How the files look inside is the engine's own affair; when they are rotated
 * and what may be asked for is Docker's.
 * @see moby daemon/logger/jsonfilelog, daemon/logger/local, daemon/logger/factory.go
 */
import { compileGoRegExp } from "../../base/go-regexp.ts";
import { InvalidParameterError, messageOf, NotImplementedError } from "../../core/errors.ts";
import type { LogRotation } from "../../core/logs.ts";

export type FileLogDriverName = "json-file" | "local";

/** Of every driver: the monitor never makes the container wait for the file. */
const COMMON = ["mode", "max-buffer-size"];
const KNOWN: Readonly<Record<FileLogDriverName, readonly string[]>> = {
  "json-file": ["max-size", "max-file", "compress", "labels", "labels-regex", "env", "env-regex", "tag"],
  local: ["max-size", "max-file", "compress"],
};
const LOCAL_DEFAULTS: LogRotation = { maxSize: 20_000_000, maxFiles: 5 };

/** @throws InvalidParameterError, NotImplementedError for compression */
export function checkLogOptions(name: FileLogDriverName, options: Readonly<Record<string, string>>): void {
  const known = [...COMMON, ...KNOWN[name]];
  for (const key of Object.keys(options)) {
    if (!known.includes(key)) {
      throw new InvalidParameterError(`unknown log opt '${key}' for ${name} log driver`, { subject: key });
    }
  }
  const { mode } = options;
  if (mode !== undefined && mode !== "blocking" && mode !== "non-blocking") {
    throw new InvalidParameterError(`logger: logging mode not supported: ${mode}`);
  }
  if (options["max-buffer-size"] !== undefined && mode !== "non-blocking") {
    throw new InvalidParameterError(
      "logger: max-buffer-size option is only supported with 'mode=non-blocking'",
    );
  }
  if (parseCompress(options.compress)) {
    throw new NotImplementedError(
      `log opt 'compress' is not supported by the ${name} log driver of this engine`,
    );
  }
  for (const key of ["labels-regex", "env-regex"]) checkPattern(options[key]);
  toRotation(name, options);
}

function checkPattern(text: string | undefined): void {
  try {
    compileGoRegExp(text ?? "");
  } catch (error) {
    throw new InvalidParameterError(messageOf(error), { cause: error });
  }
}

/** @throws InvalidParameterError */
export function toRotation(
  name: FileLogDriverName,
  options: Readonly<Record<string, string>>,
): LogRotation | undefined {
  const defaults = name === "local" ? LOCAL_DEFAULTS : undefined;
  const maxSize = parseSize(options["max-size"]) ?? defaults?.maxSize;
  const maxFiles = parseCount(options["max-file"]) ?? defaults?.maxFiles ?? 1;
  // json-file without a size: the number of files has nothing to count.
  return maxSize === undefined ? undefined : { maxSize, maxFiles };
}

function parseCompress(text: string | undefined): boolean {
  if (text === undefined || /^(0|f|F|FALSE|false|False)$/.test(text)) return false;
  if (/^(1|t|T|TRUE|true|True)$/.test(text)) return true;
  throw new InvalidParameterError(`strconv.ParseBool: parsing ${JSON.stringify(text)}: invalid syntax`);
}

const UNITS: Readonly<Record<string, number>> = { "": 1, k: 1e3, m: 1e6, g: 1e9, t: 1e12, p: 1e15 };

/** `10m`: decimal units, as go-units' FromHumanSize. `-1` is no limit. */
function parseSize(text: string | undefined): number | undefined {
  if (text === undefined || text === "-1") return undefined;
  const [, number, unit = ""] = /^(\d+(?:\.\d+)?) ?([kmgtp]?)b?$/i.exec(text) ?? [];
  const size = Math.trunc(Number(number) * (UNITS[unit.toLowerCase()] ?? Number.NaN));
  if (Number.isNaN(size)) throw new InvalidParameterError(`invalid size: '${text}'`);
  if (size <= 0) throw new InvalidParameterError("max-size must be a positive number");
  return size;
}

function parseCount(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^[+-]?\d+$/.test(text)) {
    throw new InvalidParameterError(`strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`);
  }
  if (Number(text) < 1) throw new InvalidParameterError("max-file cannot be less than 1");
  return Number(text);
}
