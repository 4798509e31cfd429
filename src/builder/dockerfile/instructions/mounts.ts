/** `RUN --mount=…`: fields cut when the file is read, understood when their variables have values. */
import { DockerfileError, wrapped } from "../source/errors.ts";
import { withSuggestion } from "../source/suggest.ts";
import { parseBool, parseCsv, parseRamBytes, parseUint32 } from "./values.ts";

/** `key=value`, or a key alone. */
export interface MountField {
  readonly text: string;
  /** Lower-case. */
  readonly key: string;
  readonly value?: string;
}

const TYPES = ["bind", "cache", "tmpfs", "secret", "ssh"] as const;
const SHARING = ["shared", "private", "locked"] as const;
export type MountType = (typeof TYPES)[number];
export type CacheSharing = (typeof SHARING)[number];

export interface RunMount {
  type: MountType;
  /** A stage, an image or a named context. */
  from: string;
  source: string;
  target: string;
  readOnly: boolean;
  /** In bytes, 0 for no limit. */
  size: number;
  /** The `id` of a cache, a secret or an agent. */
  id: string;
  sharing?: CacheSharing;
  required: boolean;
  /** The variable that a secret is given in. */
  env?: string;
  mode?: number;
  uid?: number;
  gid?: number;
}

const KEYS = [
  ..."type from source target readonly id sharing required size mode uid gid".split(" "),
  ..."src dst destination ro rw readwrite env".split(" "),
];

/** Cuts a mount into its fields. @throws DockerfileError if it is no CSV, or its `from` has a variable */
export function cutMount(text: string): MountField[] {
  let fields: string[];
  try {
    fields = parseCsv(text);
  } catch (error) {
    throw wrapped("failed to parse csv mounts", error);
  }
  return fields.map((field) => {
    const at = field.indexOf("=");
    if (at < 0) return { text: field, key: field.toLowerCase() };
    const key = field.slice(0, at).toLowerCase();
    const value = field.slice(at + 1);
    const dollar = value.indexOf("$");
    if (key === "from" && dollar >= 0 && dollar !== value.length - 1) {
      throw new DockerfileError(`'${key}' doesn't support variable expansion, define alias stage instead`);
    }
    return { text: field, key, value };
  });
}

/** Where a mount comes from, known before variables are expanded. */
export function mountSource(fields: readonly MountField[]): string {
  return fields.findLast((field) => field.key === "from" && field.value !== undefined)?.value ?? "";
}

/** Understands a mount. @throws DockerfileError for keys and values that make no sense */
export function readMount(fields: readonly MountField[], expand: (word: string) => string): RunMount {
  const mount: RunMount = {
    type: "bind",
    from: "",
    source: "",
    target: "",
    readOnly: false,
    size: 0,
    id: "",
    required: false,
  };
  let accessGiven = false;
  for (const field of fields) {
    if (field.value === undefined) accessGiven = setSwitch(mount, field) || accessGiven;
    else accessGiven = setValue(mount, field, expand(field.value)) || accessGiven;
  }
  checkOwnership(mount);
  if (!accessGiven) mount.readOnly = mount.type !== "cache" && mount.type !== "tmpfs";
  if (mount.type === "secret") checkSecret(mount);
  if (mount.sharing !== undefined && mount.type !== "cache") {
    throw new DockerfileError(`invalid cache sharing set for ${mount.type} mount`);
  }
  return mount;
}

/** A key alone. Returns whether it says who may write. */
function setSwitch(mount: RunMount, { key }: MountField): boolean {
  switch (key) {
    case "readonly":
    case "ro":
      mount.readOnly = true;
      return true;
    case "readwrite":
    case "rw":
      mount.readOnly = false;
      return true;
    case "required":
      requireType(mount, key, "secret", "ssh");
      mount.required = true;
      return false;
    default:
      throw new DockerfileError(`invalid field '${key}' must be a key=value pair`);
  }
}

/** `key=value`. Returns whether it says who may write. */
function setValue(mount: RunMount, { key, text }: MountField, value: string): boolean {
  switch (key) {
    case "type":
      mount.type = oneOf(TYPES, value, "unsupported mount type");
      return false;
    case "from":
      mount.from = value;
      return false;
    case "source":
    case "src":
      mount.source = value;
      return false;
    case "target":
    case "dst":
    case "destination":
      mount.target = value;
      return false;
    case "readonly":
    case "ro":
      mount.readOnly = boolOf(key, value);
      return true;
    case "readwrite":
    case "rw":
      mount.readOnly = !boolOf(key, value);
      return true;
    case "required":
      requireType(mount, key, "secret", "ssh");
      mount.required = boolOf(key, value);
      return false;
    case "size":
      requireType(mount, key, "tmpfs");
      mount.size = parseRamBytes(value) ?? failValue(`invalid value for ${key}: ${value}`);
      return false;
    case "id":
      mount.id = value;
      return false;
    case "sharing":
      mount.sharing = oneOf(SHARING, value, "unsupported sharing value");
      return false;
    case "mode":
      mount.mode = parseUint32(value, 8) ?? failValue(`invalid value ${value} for mode`);
      return false;
    case "uid":
    case "gid":
      mount[key] = parseUint32(value, 10) ?? failValue(`invalid value ${value} for ${key}`);
      return false;
    case "env":
      mount.env = value;
      return false;
    default:
      throw withSuggestion(new DockerfileError(`unexpected key '${key}' in '${text}'`), key, KEYS, true);
  }
}

function checkOwnership(mount: RunMount): void {
  if (mount.type === "secret" || mount.type === "ssh" || mount.type === "cache") return;
  for (const key of ["mode", "uid", "gid"] as const) {
    if (mount[key] !== undefined) {
      throw new DockerfileError(`${key} not allowed for ${JSON.stringify(mount.type)} type mounts`);
    }
  }
}

function checkSecret(mount: RunMount): void {
  if (mount.from !== "") throw new DockerfileError("secret mount should not have a from");
  if (mount.sharing !== undefined) throw new DockerfileError("secret mount should not define sharing");
  if (mount.source === "" && mount.target === "" && mount.id === "") {
    throw new DockerfileError("invalid secret mount. one of source, target required");
  }
  if (mount.source !== "" && mount.id !== "") throw new DockerfileError("both source and id can't be set");
}

function requireType(mount: RunMount, key: string, ...types: MountType[]): void {
  if (!types.includes(mount.type)) {
    throw new DockerfileError(`unexpected key '${key}' for mount type '${mount.type}'`);
  }
}

function oneOf<T extends string>(allowed: readonly T[], value: string, complaint: string): T {
  const found = allowed.find((entry) => entry === value.toLowerCase());
  if (found !== undefined) return found;
  const error = new DockerfileError(`${complaint} ${JSON.stringify(value)}`);
  throw withSuggestion(error, value, allowed, true);
}

function boolOf(key: string, value: string): boolean {
  return parseBool(value) ?? failValue(`invalid value for ${key}: ${value}`);
}

function failValue(message: string): never {
  throw new DockerfileError(message);
}
