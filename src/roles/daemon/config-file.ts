/**
 * daemon.json: the same options as the flags, under dockerd's keys. An unknown key is an error, and so is an
 * option that is set both here and by a flag: neither silently wins.
 */
import { readFileSync } from "node:fs";
import { hasCode } from "../../base/error-codes.ts";
import { withoutCredentials } from "../../core/config.ts";
import { InvalidParameterError, messageOf } from "../../core/errors.ts";
import { DOCKER_OPTIONS } from "./docker-options.ts";
import type { Flags } from "./flags.ts";
import { OPTIONS, type Option } from "./options.ts";

export type ConfigFile = Readonly<Record<string, unknown>>;

/**
 * @param explicit the path was asked for: then the file must be there
 * @throws InvalidParameterError in dockerd's words
 */
export function readConfigFile(path: string, explicit: boolean): ConfigFile {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const absent = hasCode(error, "ENOENT");
    if (absent && !explicit) return {};
    throw wrong(path, absent ? `open ${path}: no such file or directory` : messageOf(error), error);
  }
  const config = flatten(parseDocument(path, text.replace(/^\uFEFF/, "")));
  const unknown = Object.keys(config).filter((key) => !byKey.has(key));
  if (unknown.length > 0) {
    throw wrong(path, `the following directives don't match any configuration option: ${unknown.join(", ")}`);
  }
  for (const [key, value] of Object.entries(config)) checkType(path, key, value);
  return config;
}

/** @throws InvalidParameterError if an option is in both */
export function checkConflicts(path: string, file: ConfigFile, flags: Flags): void {
  const conflicts = known.flatMap(({ flag, key }) =>
    key !== undefined && !MERGED.has(key) && flags.has(flag) && key in file
      ? [`${key}: (from flag: ${goFormat(flags.get(flag))}, from file: ${goFormat(file[key])})`]
      : [],
  );
  if (conflicts.length > 0) {
    throw wrong(
      path,
      `the following directives are specified both as a flag and in the configuration file: ${conflicts.join(", ")}`,
    );
  }
}

type Known = Omit<Option, "usage">;
const known: readonly Known[] = [...OPTIONS, ...DOCKER_OPTIONS];
const byKey = new Map(known.flatMap((option) => (option.key ? [[option.key, option] as const] : [])));

/** May be in both: their entries come together. */
const MERGED = new Set(["runtimes"]);

/** Keys that are objects in the file although their flag is a list. */
const OBJECTS = new Set(["runtimes", "log-opts", "default-ulimits"]);

function parseDocument(path: string, text: string): Record<string, unknown> {
  if (text.trim() === "") return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw wrong(path, `invalid JSON: ${messageOf(error)}`, error);
  }
  if (!isObject(value)) throw wrong(path, "not a JSON object");
  return value;
}

/** As dockerd: what stands in an object that is no option's value (`proxies`) stands for itself. */
function flatten(document: Record<string, unknown>): Record<string, unknown> {
  const entries = Object.entries(document).flatMap(([key, value]) =>
    isObject(value) && !byKey.has(key) ? Object.entries(value) : [[key, value] as const],
  );
  return Object.fromEntries(entries);
}

function checkType(path: string, key: string, value: unknown): void {
  const option = byKey.get(key);
  const fits =
    OBJECTS.has(key) || option?.kind === "map"
      ? isObject(value)
      : key === "default-address-pools"
        ? Array.isArray(value) && value.every(isObject)
        : option?.kind === "list"
          ? Array.isArray(value) && value.every((item) => typeof item === "string")
          : option?.kind === "bool"
            ? typeof value === "boolean"
            : option?.kind === "int"
              ? Number.isInteger(value)
              : typeof value === "string" || (key === "default-shm-size" && Number.isInteger(value));
  if (!fits) throw wrong(path, `invalid value for ${key}: ${JSON.stringify(value)}`);
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function wrong(path: string, reason: string, cause?: unknown): InvalidParameterError {
  return new InvalidParameterError(`unable to configure the Docker daemon with file ${path}: ${reason}`, {
    subject: path,
    cause,
  });
}

/** fmt's `%v`: what dockerd shows values with. */
function goFormat(value: unknown): string {
  if (typeof value === "string") return withoutCredentials(value);
  if (Array.isArray(value)) return `[${value.map(goFormat).join(" ")}]`;
  if (!isObject(value)) return String(value);
  const pairs = Object.keys(value).sort();
  return `map[${pairs.map((key) => `${key}:${goFormat(value[key])}`).join(" ")}]`;
}
