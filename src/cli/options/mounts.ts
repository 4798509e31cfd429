/** `--mount` and `--volume`. Pure, but for the working directory that relative paths start from. */
import { resolve } from "node:path";
import type { Mount } from "../../api/types.ts";
import { parseCsvLine } from "../flags/common-flags.ts";
import { cut } from "../flags/flags.ts";
import { parseBytes } from "../values/units.ts";

type VolumeOptions = NonNullable<Mount["VolumeOptions"]>;
type DriverConfig = NonNullable<VolumeOptions["DriverConfig"]>;

/** One `--mount`, a line of CSV. @throws Error with Docker's words */
export function parseMount(text: string): Mount {
  const mount: Mount = { Type: "volume" };
  // Options of a kind come to be when the first of them is named: the check below goes by that.
  const volume = (): VolumeOptions => {
    mount.VolumeOptions ??= { Labels: {}, DriverConfig: {} };
    return mount.VolumeOptions;
  };
  const driver = (): DriverConfig => {
    const options = volume();
    options.DriverConfig ??= {};
    return options.DriverConfig;
  };
  const bind = (): NonNullable<Mount["BindOptions"]> => {
    mount.BindOptions ??= {};
    return mount.BindOptions;
  };
  const tmpfs = (): NonNullable<Mount["TmpfsOptions"]> => {
    mount.TmpfsOptions ??= {};
    return mount.TmpfsOptions;
  };
  const image = (): NonNullable<Mount["ImageOptions"]> => {
    mount.ImageOptions ??= {};
    return mount.ImageOptions;
  };
  if (text === "") throw new Error("EOF");
  for (const field of parseCsvLine(text)) {
    const [rawKey, value] = cut(field, "=");
    const key = rawKey.toLowerCase();
    if (value === undefined && !["readonly", "ro", "volume-nocopy", "bind-nonrecursive"].includes(key)) {
      throw new Error(`invalid field '${field}' must be a key=value pair`);
    }
    const text = value ?? "true";
    switch (key) {
      case "type":
        mount.Type = text.toLowerCase() as Mount["Type"];
        break;
      case "source":
      case "src":
        mount.Source = text.startsWith(".") ? resolve(text) : text;
        break;
      case "target":
      case "dst":
      case "destination":
        mount.Target = text;
        break;
      case "readonly":
      case "ro":
        mount.ReadOnly = flag(key, text);
        break;
      case "consistency":
        mount.Consistency = text.toLowerCase();
        break;
      case "bind-propagation":
        bind().Propagation = text.toLowerCase() as NonNullable<Mount["BindOptions"]>["Propagation"];
        break;
      case "bind-nonrecursive":
        bind().NonRecursive = flag(key, text);
        break;
      case "bind-recursive":
        if (text === "disabled") bind().NonRecursive = true;
        else if (text === "writable") bind().ReadOnlyNonRecursive = true;
        else if (text === "readonly") bind().ReadOnlyForceRecursive = true;
        else if (text !== "enabled") {
          throw new Error(
            `invalid value for ${key}: ${text} (must be "enabled", "disabled", "writable", or "readonly")`,
          );
        }
        break;
      case "volume-subpath":
        volume().Subpath = text;
        break;
      case "volume-nocopy":
        volume().NoCopy = flag(key, text);
        break;
      case "volume-label":
        volume().Labels = withPair(volume().Labels, text);
        break;
      case "volume-driver":
        driver().Name = text;
        break;
      case "volume-opt":
        driver().Options = withPair(driver().Options, text);
        break;
      case "image-subpath":
        image().Subpath = text;
        break;
      case "tmpfs-size":
        tmpfs().SizeBytes = sizeOf(key, text);
        break;
      case "tmpfs-mode":
        if (!/^[0-7]+$/.test(text)) throw new Error(`invalid value for ${key}: ${text}`);
        tmpfs().Mode = Number.parseInt(text, 8);
        break;
      default:
        throw new Error(`unexpected key '${key}' in '${field}'`);
    }
  }
  checkMount(mount);
  return mount;
}

function checkMount(mount: Mount): void {
  const { Type, VolumeOptions, ImageOptions, BindOptions, TmpfsOptions } = mount;
  if (!Type) throw new Error("type is required");
  if (!mount.Target) throw new Error("target is required");
  const mixed = (kind: string): Error =>
    new Error(`cannot mix '${kind}-*' options with mount type '${Type}'`);
  if (VolumeOptions && Type !== "volume") throw mixed("volume");
  if (ImageOptions && Type !== "image") throw mixed("image");
  if (BindOptions && Type !== "bind") throw mixed("bind");
  if (TmpfsOptions && Type !== "tmpfs") throw mixed("tmpfs");
  if (BindOptions?.ReadOnlyNonRecursive && !mount.ReadOnly) {
    throw new Error("option 'bind-recursive=writable' requires 'readonly' to be specified in conjunction");
  }
  if (BindOptions?.ReadOnlyForceRecursive && !mount.ReadOnly) {
    throw new Error("option 'bind-recursive=readonly' requires 'readonly' to be specified in conjunction");
  }
  if (BindOptions?.ReadOnlyForceRecursive && BindOptions.Propagation !== "rprivate") {
    throw new Error(
      "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be specified in conjunction",
    );
  }
}

function flag(key: string, text: string): boolean {
  if (/^(1|t|T|TRUE|true|True)$/.test(text)) return true;
  if (/^(0|f|F|FALSE|false|False)$/.test(text)) return false;
  throw new Error(`invalid value for ${key}: ${text}`);
}

function sizeOf(key: string, text: string): number {
  try {
    return parseBytes(text);
  } catch {
    throw new Error(`invalid value for ${key}: ${text}`);
  }
}

function withPair(pairs: Record<string, string> | undefined, text: string): Record<string, string> {
  const [key, value = ""] = cut(text, "=");
  return key === "" ? { ...pairs } : { ...pairs, [key]: value };
}

export interface VolumeSpecs {
  /** For HostConfig: `/host:/path:ro`, `name:/path`. */
  readonly binds: string[];
  /** Paths of anonymous volumes. */
  readonly volumes: Record<string, Record<string, never>>;
}

/** All `--volume`s. A source that starts with a dot is made absolute. @throws Error with Docker's words */
export function parseVolumes(specs: readonly string[]): VolumeSpecs {
  const binds: string[] = [];
  const volumes: Record<string, Record<string, never>> = {};
  for (const spec of new Set(specs)) {
    if (spec === "") throw new Error("invalid empty volume spec");
    const source = sourceOf(spec);
    if (source === undefined) volumes[spec] = {};
    else if (!source.startsWith(".")) binds.push(spec);
    else binds.push(resolve(source) + spec.slice(source.length));
  }
  return { binds, volumes };
}

/** Undefined for an anonymous volume. */
function sourceOf(spec: string): string | undefined {
  if (spec.length <= 2) return undefined;
  // A single letter is taken for a Windows drive, here as in Docker's own client.
  const parts = spec
    .replace(/(^|:)([a-zA-Z]):/g, "$1$2\0")
    .split(":")
    .map((part) => part.replace("\0", ":"));
  if (parts.includes("")) throw new Error(`invalid spec: ${spec}: empty section between colons`);
  if (parts.length > 3) throw new Error(`invalid spec: ${spec}: too many colons`);
  return parts.length === 1 ? undefined : parts[0];
}
