/**
 * The syntax of mounts: what `-v`, `--mount`, `--tmpfs` and `--volumes-from` may say, and dockerd's words for what
 * they may not. Pure but for one question to the host: does a bind mount's source exist.
 * @see moby volume/mounts/linux_parser.go
 */
import { stat } from "node:fs/promises";
import { posix } from "node:path";
import type { Mount } from "../../../api/types.ts";
import { codeOf, hasCode } from "../../../base/error-codes.ts";
import { InvalidParameterError } from "../../../core/errors.ts";

/** A mount as it was asked for: of one shape whichever option asked. */
export interface MountSpec {
  readonly type: "bind" | "volume" | "tmpfs" | "image";
  /** Host path of a bind mount, name of a volume; empty: an anonymous volume. */
  readonly source: string;
  /** Absolute and clean. */
  readonly destination: string;
  readonly rw: boolean;
  /** The third part of `-v`, as given. */
  readonly mode: string;
  readonly propagation: string;
  /** Nobody asked for it. */
  readonly propagationByDefault?: boolean;
  readonly noCopy: boolean;
  readonly driver?: string;
  readonly driverOpts?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  readonly subpath?: string;
  readonly nonRecursive?: boolean;
  readonly readOnlyNonRecursive?: boolean;
  /** Make a bind mount's source at start if it is not there. */
  readonly createMountpoint: boolean;
  readonly tmpfs?: { readonly size?: number | bigint; readonly mode?: number; readonly options?: string };
}

const PROPAGATIONS = ["private", "rprivate", "slave", "rslave", "shared", "rshared"];
export const DEFAULT_PROPAGATION = "rprivate";

/** Of each group of words of a mode, at most one may be given. */
const MODE_WORDS: readonly (readonly string[])[] = [
  ["rw", "ro"],
  ["z", "Z"],
  PROPAGATIONS,
  ["nocopy"],
  ["consistent", "cached", "delegated", "default"],
];

/** `HostConfig.Binds`: `/host:/in[:mode]`, `name:/in[:mode]`. @throws InvalidParameterError */
export function parseBind(raw: string, volumeDriver: string): MountSpec {
  const parts = raw.split(":");
  const [first = "", second, mode = ""] = parts;
  if (first === "" || parts.length > 3 || (parts.length === 2 && second && isMode(second)))
    throw invalidSpec(raw);
  if (!isMode(mode)) throw new InvalidParameterError(`invalid mode: ${mode}`);
  const [source, target] = second === undefined ? ["", first] : [first, second];
  const type = source.startsWith("/") ? "bind" : "volume";
  const words = mode.split(",");
  const asked = words.find((word) => PROPAGATIONS.includes(word));
  const spec: MountSpec = {
    type,
    source: type === "bind" ? posix.normalize(source).replace(/(.)\/$/, "$1") : source,
    destination: target,
    rw: !words.includes("ro"),
    mode,
    propagation: asked ?? (type === "bind" ? DEFAULT_PROPAGATION : ""),
    propagationByDefault: asked === undefined || undefined,
    noCopy: words.includes("nocopy"),
    ...(type === "volume" && volumeDriver !== "" && { driver: volumeDriver }),
    createMountpoint: type === "bind",
  };
  try {
    checkSpec(spec);
    return { ...spec, destination: cleanDestination(target) };
  } catch (error) {
    if (!(error instanceof InvalidParameterError)) throw error;
    const reason = invalidMount(type, error.message).message;
    throw new InvalidParameterError(`${invalidSpec(raw).message}: ${reason}`, { cause: error });
  }
}

/** One of `HostConfig.Mounts`. @throws InvalidParameterError */
export async function parseMount(mount: Mount): Promise<MountSpec> {
  const type = String(mount.Type ?? "");
  if (type !== "bind" && type !== "volume" && type !== "tmpfs" && type !== "image")
    throw invalidMount(type, "mount type unknown");
  checkFields(type, mount);
  const source = mount.Source ?? "";
  const readOnly = mount.ReadOnly ?? false;
  const createMountpoint = mount.BindOptions?.CreateMountpoint ?? false;
  const spec: MountSpec = {
    type,
    source: type === "bind" ? posix.normalize(source).replace(/(.)\/$/, "$1") : source,
    destination: mount.Target ?? "",
    rw: !readOnly && type !== "image",
    mode: "",
    propagation: mount.BindOptions?.Propagation || (type === "bind" ? DEFAULT_PROPAGATION : ""),
    propagationByDefault: !mount.BindOptions?.Propagation || undefined,
    noCopy: mount.VolumeOptions?.NoCopy ?? false,
    driver: mount.VolumeOptions?.DriverConfig?.Name || undefined,
    driverOpts: mount.VolumeOptions?.DriverConfig?.Options,
    labels: mount.VolumeOptions?.Labels,
    subpath: mount.VolumeOptions?.Subpath || mount.ImageOptions?.Subpath || undefined,
    nonRecursive: mount.BindOptions?.NonRecursive || undefined,
    readOnlyNonRecursive: mount.BindOptions?.ReadOnlyNonRecursive || undefined,
    createMountpoint,
    ...(type === "tmpfs" && { tmpfs: toTmpfs(mount) }),
  };
  checkReadOnly(mount);
  try {
    checkSpec(spec);
    if (type === "bind" && !createMountpoint) await checkBindSource(source);
  } catch (error) {
    if (!(error instanceof InvalidParameterError)) throw error;
    throw invalidMount(type, error.message, error);
  }
  return { ...spec, destination: cleanDestination(spec.destination) };
}

/** `container[:mode]`. @throws InvalidParameterError */
export function parseVolumesFrom(spec: string): { container: string; rw: boolean; mode: string } {
  const [container = "", ...rest] = spec.split(":");
  if (container === "") throw new InvalidParameterError(`malformed volumes-from specification: ${spec}`);
  const mode = rest.join(":") || "rw";
  const words = mode.split(",");
  if (!isMode(mode) || words.some((word) => PROPAGATIONS.includes(word) || word === "nocopy")) {
    throw new InvalidParameterError(`invalid mode: ${mode}`);
  }
  return { container, rw: !words.includes("ro"), mode };
}

/** Flags and options of tmpfs(5) that `--tmpfs` takes: what is missing has its default put in front. */
const TMPFS_FLAGS = new Map(
  [
    ["exec", "noexec"],
    ["suid", "nosuid"],
    ["dev", "nodev"],
    ["rw", "ro"],
    ["async", "sync"],
    ["atime", "noatime"],
    ["diratime", "nodiratime"],
    ["relatime", "norelatime"],
    ["strictatime", "nostrictatime"],
    ["bind"],
    ["rbind"],
    ["private", "rprivate", "slave", "rslave", "shared", "rshared", "unbindable", "runbindable"],
    ["remount"],
    ["dirsync"],
    ["mand", "nomand"],
  ].flatMap((group) => group.map((flag) => [flag, group[0] ?? flag] as const)),
);
const TMPFS_VALUES = new Set(["size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"]);

/**
 * `noexec,nosuid,nodev` unless the options say otherwise; of contradicting ones the last wins.
 * @throws InvalidParameterError
 * @see moby pkg mount MergeTmpfsOptions
 */
export function mergeTmpfsOptions(options: string): string[] {
  const merged: { group: string; text: string }[] = [];
  for (const text of ["noexec", "nosuid", "nodev", DEFAULT_PROPAGATION, ...options.split(",")].filter(
    Boolean,
  )) {
    const [key = "", value] = text.split("=");
    const group = value === undefined ? TMPFS_FLAGS.get(key) : TMPFS_VALUES.has(key) ? key : undefined;
    if (group === undefined) throw new InvalidParameterError(`invalid tmpfs option ["${text}"]`);
    const before = merged.findIndex((one) => one.group === group);
    if (before >= 0) merged.splice(before, 1);
    merged.push({ group, text });
  }
  return merged.map(({ text }) => text);
}

/** Absolute and clean. @throws InvalidParameterError in dockerd's words */
export function cleanDestination(target: string): string {
  checkDestination(target);
  return posix.normalize(target).replace(/(.)\/$/, "$1");
}

function isMode(mode: string): boolean {
  if (mode === "") return true;
  const groups = mode.split(",").map((word) => MODE_WORDS.find((group) => group.includes(word)));
  return groups.every((group) => group !== undefined) && new Set(groups).size === groups.length;
}

function checkSpec(spec: MountSpec): void {
  if (spec.destination === "") throw new InvalidParameterError("field Target must not be empty");
  checkDestination(spec.destination);
  if (spec.type === "bind") {
    if (spec.source === "" || spec.source === ".")
      throw new InvalidParameterError("field Source must not be empty");
    if (!PROPAGATIONS.includes(spec.propagation)) {
      throw new InvalidParameterError(`invalid propagation mode: ${spec.propagation}`);
    }
    if (!spec.source.startsWith("/")) throw notAbsolute(spec.source);
    return;
  }
  if (spec.type === "image") {
    if (spec.source === "") throw new InvalidParameterError("field Source must not be empty");
    if (spec.subpath !== undefined && !isLocalPath(spec.subpath)) {
      throw new InvalidParameterError("subpath must be a relative path within the volume");
    }
    return;
  }
  if (spec.type === "volume") {
    if (spec.propagation !== "") throw new InvalidParameterError("field BindOptions must not be specified");
    const anonymous = spec.source === "";
    if (spec.subpath !== undefined) {
      if (anonymous) throw new InvalidParameterError("must not set Subpath when using anonymous volumes");
      if (!isLocalPath(spec.subpath)) {
        throw new InvalidParameterError("subpath must be a relative path within the volume");
      }
    }
    if (!spec.rw && anonymous) {
      throw new InvalidParameterError("must not set ReadOnly mode when using anonymous volumes");
    }
  }
}

/** @see moby daemon/volumes_unix.go */
function checkReadOnly({ ReadOnly, BindOptions }: Mount): void {
  const { ReadOnlyNonRecursive, ReadOnlyForceRecursive } = BindOptions ?? {};
  const conflict =
    !ReadOnly && ReadOnlyNonRecursive
      ? "!ReadOnly && BindOptions.ReadOnlyNonRecursive"
      : !ReadOnly && ReadOnlyForceRecursive
        ? "!ReadOnly && BindOptions.ReadOnlyForceRecursive"
        : ReadOnlyNonRecursive && ReadOnlyForceRecursive
          ? "ReadOnlyNonRecursive && BindOptions.ReadOnlyForceRecursive"
          : undefined;
  if (conflict !== undefined) throw new InvalidParameterError(`mount options conflict: ${conflict}`);
}

/** Options that belong to another type of mount. */
function checkFields(type: MountSpec["type"], mount: Mount): void {
  const extra = (field: keyof Mount, of: string) => {
    if (type !== of && mount[field]) throw invalidMount(type, `field ${field} must not be specified`);
  };
  extra("BindOptions", "bind");
  extra("VolumeOptions", "volume");
  extra("TmpfsOptions", "tmpfs");
  extra("ImageOptions", "image");
  if (type === "tmpfs" && mount.Source) throw invalidMount(type, "field Source must not be specified");
}

function checkDestination(target: string): void {
  const clean = posix.normalize(target);
  if (clean === "/") throw new InvalidParameterError("invalid specification: destination can't be '/'");
  if (!target.startsWith("/")) throw notAbsolute(target);
}

async function checkBindSource(source: string): Promise<void> {
  try {
    await stat(source);
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENOTDIR")) {
      throw new InvalidParameterError(`bind source path does not exist: ${source}`, { cause: error });
    }
    throw new InvalidParameterError(`${source}: ${String(codeOf(error))}`, { cause: error });
  }
}

function toTmpfs(mount: Mount): NonNullable<MountSpec["tmpfs"]> {
  const { SizeBytes, Mode, Options } = mount.TmpfsOptions ?? {};
  if (SizeBytes !== undefined && SizeBytes < 0) throw invalidMount("tmpfs", `invalid size: ${SizeBytes}`);
  const options = (Options ?? []).map((pair) => pair.join("="));
  const wrong = options.find((option) => option !== "exec" && option !== "noexec");
  if (wrong !== undefined) throw invalidMount("tmpfs", `invalid option ${JSON.stringify(wrong)}`);
  return {
    ...(SizeBytes && { size: SizeBytes }),
    ...(Mode && { mode: Mode }),
    ...(options.length > 0 && { options: options.join(",") }),
  };
}

/** Go's filepath.IsLocal. */
function isLocalPath(path: string): boolean {
  if (path === "" || path.startsWith("/")) return false;
  const clean = posix.normalize(path);
  return clean !== ".." && !clean.startsWith("../");
}

function invalidSpec(raw: string): InvalidParameterError {
  return new InvalidParameterError(`invalid volume specification: '${raw}'`);
}

function invalidMount(type: string, reason: string, cause?: unknown): InvalidParameterError {
  return new InvalidParameterError(`invalid mount config for type ${JSON.stringify(type)}: ${reason}`, {
    cause,
  });
}

function notAbsolute(path: string): InvalidParameterError {
  return new InvalidParameterError(`invalid mount path: '${path}' mount path must be absolute`);
}
