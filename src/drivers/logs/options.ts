/**
 * Options of the drivers that keep files, and of the cache of those that do not. @see moby daemon/logger/jsonfilelog,
 * daemon/logger/local, daemon/logger/loggerutils/cache, daemon/logger/factory.go
 */
import { compileGoRegExp } from "../../base/go-regexp.ts";
import { InvalidParameterError, messageOf } from "../../core/errors.ts";
import type { LogOptions } from "../../core/logs.ts";
import { checkTag } from "./tag.ts";

/** When a log file is put aside, and how many files there are then at most, the current one included. */
export interface LogRotation {
  /** Bytes. */
  readonly maxSize: number;
  readonly maxFiles: number;
  readonly compress: boolean;
}

/** Of every driver. */
const COMMON = ["mode", "max-buffer-size"];
/** Of every driver that does not keep a file itself. */
const CACHE = ["cache-disabled", "cache-max-size", "cache-max-file", "cache-compress"];
const ATTRIBUTES = ["labels", "labels-regex", "env", "env-regex", "tag"];
/** dockerd's file grows without bound unless told otherwise; that fills disks. */
const FILE_DEFAULTS: LogRotation = { maxSize: 20_000_000, maxFiles: 3, compress: false };
const LOCAL_DEFAULTS: LogRotation = { maxSize: 20_000_000, maxFiles: 5, compress: true };

/** @throws InvalidParameterError in dockerd's words */
export function checkFileOptions(name: "json-file" | "local", options: LogOptions): void {
  const own = ["max-size", "max-file", "compress"];
  checkKnown(name, options, name === "local" ? own : [...own, ...ATTRIBUTES]);
  checkCommon(options);
  if (name === "json-file") checkAttributes(options);
  rotationOf(name, options);
}

/** @param known besides those of every driver @throws InvalidParameterError */
export function checkRemoteOptions(name: string, options: LogOptions, known: readonly string[]): void {
  checkKnown(name, options, [...CACHE, ...ATTRIBUTES, ...known]);
  checkCommon(options);
  checkAttributes(options);
  cacheRotationOf(options);
}

function checkKnown(name: string, options: LogOptions, known: readonly string[]): void {
  for (const key of Object.keys(options)) {
    if (!COMMON.includes(key) && !known.includes(key)) {
      throw new InvalidParameterError(`unknown log opt '${key}' for ${name} log driver`, { subject: key });
    }
  }
}

function checkCommon(options: LogOptions): void {
  const { mode } = options;
  if (mode !== undefined && mode !== "blocking" && mode !== "non-blocking") {
    throw new InvalidParameterError(`logger: logging mode not supported: ${mode}`);
  }
  if (options["max-buffer-size"] !== undefined && mode !== "non-blocking") {
    throw new InvalidParameterError(
      "logger: max-buffer-size option is only supported with 'mode=non-blocking'",
    );
  }
  bufferOf(options);
}

function checkAttributes(options: LogOptions): void {
  for (const key of ["labels-regex", "env-regex"]) checkPattern(options[key]);
  checkTag(options.tag);
}

const DEFAULT_BUFFER = 1 << 20;

/** Bytes that may wait for a driver that must not hold the process up; undefined: it holds it up. */
export function bufferOf({ mode, "max-buffer-size": size }: LogOptions): number | undefined {
  return mode === "non-blocking" ? (parseRam(size) ?? DEFAULT_BUFFER) : undefined;
}

function checkPattern(text: string | undefined): void {
  try {
    compileGoRegExp(text ?? "");
  } catch (error) {
    throw new InvalidParameterError(messageOf(error), { cause: error });
  }
}

/** Undefined: no bound, which must be asked for with `max-size=-1`. @throws InvalidParameterError in dockerd's words */
export function rotationOf(name: "json-file" | "local", options: LogOptions): LogRotation | undefined {
  const defaults = name === "local" ? LOCAL_DEFAULTS : FILE_DEFAULTS;
  const given = {
    size: options["max-size"],
    files: options["max-file"],
    compress: options.compress,
  };
  // A size of one's own and no number: Docker keeps one file then.
  const files =
    name === "json-file" && given.size !== undefined && given.files === undefined ? 1 : defaults.maxFiles;
  return toRotation(given, { ...defaults, maxFiles: files });
}

/** Of the cache in front of a driver that cannot be read. Undefined: there is none. @throws InvalidParameterError */
export function cacheRotationOf(options: LogOptions): LogRotation | undefined {
  if (parseBool(options["cache-disabled"]) ?? false) return undefined;
  const given = {
    size: options["cache-max-size"],
    files: options["cache-max-file"],
    compress: options["cache-compress"],
  };
  return toRotation(given, LOCAL_DEFAULTS);
}

function toRotation(
  given: Readonly<Record<"size" | "files" | "compress", string | undefined>>,
  defaults: LogRotation,
): LogRotation | undefined {
  const unbounded = given.size === "-1";
  const maxSize = parseSize(given.size) ?? defaults.maxSize;
  const maxFiles = parseCount(given.files) ?? defaults.maxFiles;
  const wanted = parseBool(given.compress);
  if (wanted && (unbounded || maxFiles < 2)) {
    throw new InvalidParameterError(
      "compress cannot be true when max-file is less than 2 or max-size is not set",
    );
  }
  const compress = wanted ?? (defaults.compress && maxFiles > 1);
  return unbounded ? undefined : { maxSize, maxFiles, compress };
}

/** @throws InvalidParameterError */
export function parseBool(text: string | undefined): boolean | undefined {
  if (text === undefined) return undefined;
  if (/^(0|f|F|FALSE|false|False)$/.test(text)) return false;
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

/** go-units' RAMInBytes: `4m`, binary units. */
function parseRam(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const [, number, unit = ""] = /^(\d+(?:\.\d+)?) ?([kmgtp]?)(?:i?b)?$/i.exec(text) ?? [];
  const size = Math.trunc(Number(number) * 1024 ** " kmgtp".indexOf(unit.toLowerCase() || " "));
  if (Number.isNaN(size)) throw new InvalidParameterError(`invalid size: '${text}'`);
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
