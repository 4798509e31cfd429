/**
 * A body that can be read in one way only. Go matches names whatever their case and takes the last of equal ones; what
 * looks at a body before it executes may do neither, and would see another request.
 */
import { parseJson } from "../../api/decode.ts";
import { stringifyExactJson } from "../../base/exact-json.ts";
import { InvalidParameterError } from "../../core/errors.ts";

/** Members whose names are data and not fields: `A` and `a` are two labels. */
const FREE_NAMES = new Set(
  [
    "Labels",
    "Options",
    "DriverOpts",
    "Annotations",
    "Sysctls",
    "Tmpfs",
    "StorageOpt",
    "Config",
    "EndpointsConfig",
  ]
    .concat([
      "PortBindings",
      "ExposedPorts",
      "Volumes",
      "AuxiliaryAddresses",
      "AuxAddress",
      "Data",
      "ClusterVolumeSpec",
    ])
    .map((name) => name.toLowerCase()),
);

/** The same document with each name once. @throws DecodeError; InvalidParameterError for names that differ in case alone */
export function canonicalJson(text: string): string {
  const value = parseJson(text);
  check(value, false);
  return stringifyExactJson(value);
}

function check(value: unknown, free: boolean): void {
  if (Array.isArray(value)) {
    for (const item of value) check(item, free);
    return;
  }
  if (typeof value !== "object" || value === null) return;
  const seen = new Set<string>();
  for (const [name, member] of Object.entries(value)) {
    const folded = name.toLowerCase();
    if (!free && seen.has(folded)) {
      throw new InvalidParameterError(
        `the request names ${JSON.stringify(name)} twice, in different spellings`,
      );
    }
    seen.add(folded);
    check(member, !free && FREE_NAMES.has(folded));
  }
}
