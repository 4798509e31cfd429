/**
 * Reading manifests and indexes, Docker's schema 2 and OCI's. A document says what it is in one way only: one that
 * could be read as two kinds is refused, because two readers could then see two images under one digest.
 * @see CVE-2021-41190
 */
import type { Descriptor, Platform } from "./content.ts";
import { isDigest } from "./digests.ts";
import { InvalidParameterError, NotFoundError } from "./errors.ts";
import type { ImageConfig } from "./image.ts";

export const MEDIA_TYPES = {
  dockerManifest: "application/vnd.docker.distribution.manifest.v2+json",
  dockerList: "application/vnd.docker.distribution.manifest.list.v2+json",
  ociManifest: "application/vnd.oci.image.manifest.v1+json",
  ociIndex: "application/vnd.oci.image.index.v1+json",
} as const;

/** What is asked for in `Accept`. */
export const MANIFEST_TYPES: readonly string[] = [
  MEDIA_TYPES.ociIndex,
  MEDIA_TYPES.dockerList,
  MEDIA_TYPES.ociManifest,
  MEDIA_TYPES.dockerManifest,
];

export interface ImageManifest {
  readonly kind: "manifest";
  readonly mediaType: string;
  readonly config: Descriptor;
  /** Lowest first. */
  readonly layers: readonly Descriptor[];
}

export interface ImageIndex {
  readonly kind: "index";
  readonly mediaType: string;
  readonly manifests: readonly Descriptor[];
}

/** overlayfs takes 500; images beyond Docker's own limit are a mistake or an attack. */
const MOST_LAYERS = 127;
/** No blob of an image is larger: what a size claims must stay an exact number. */
const LARGEST_BLOB = Number.MAX_SAFE_INTEGER;

const CONFIG_TYPES = new Set([
  "application/vnd.docker.container.image.v1+json",
  "application/vnd.oci.image.config.v1+json",
]);

/**
 * @param mediaType what the registry or the referring descriptor said it is; empty if nothing did
 * @throws InvalidParameterError
 */
export function parseManifest(bytes: Uint8Array, mediaType: string): ImageManifest | ImageIndex {
  const document = parseObject(bytes, "manifest");
  const kind = kindOf(document, mediaType);
  if (kind.index) {
    return {
      kind: "index",
      mediaType: kind.mediaType,
      manifests: descriptors(document.manifests, "manifests"),
    };
  }
  const layers = descriptors(document.layers, "layers");
  if (layers.length > MOST_LAYERS) throw bad(`max depth exceeded: ${layers.length} layers`);
  const config = descriptor(document.config, "config");
  if (!CONFIG_TYPES.has(config.mediaType)) {
    throw bad(`not a container image: its config is of type ${JSON.stringify(config.mediaType)}`);
  }
  return { kind: "manifest", mediaType: kind.mediaType, config, layers };
}

function kindOf(document: Record<string, unknown>, claimed: string): { mediaType: string; index: boolean } {
  const inside = typeof document.mediaType === "string" ? document.mediaType : "";
  const mediaType = claimed === "" || claimed === "application/json" ? inside : claimed;
  if (inside !== "" && mediaType !== inside) {
    throw bad(`the manifest was sent as ${mediaType}, and says that it is ${inside}`);
  }
  if ("fsLayers" in document || document.schemaVersion === 1) {
    throw bad("schema 1 manifests are no longer supported, push the image again with a current client");
  }
  const looksLikeIndex = "manifests" in document;
  if (looksLikeIndex && ("config" in document || "layers" in document)) {
    throw bad("the document could be both a manifest and an index");
  }
  const index = mediaType === MEDIA_TYPES.ociIndex || mediaType === MEDIA_TYPES.dockerList;
  const manifest = mediaType === MEDIA_TYPES.ociManifest || mediaType === MEDIA_TYPES.dockerManifest;
  if (!index && !manifest && mediaType !== "")
    throw bad(`unsupported manifest media type ${JSON.stringify(mediaType)}`);
  // OCI documents need not say their type: an unlabelled one is what its fields make it.
  if (mediaType === "") {
    return {
      mediaType: looksLikeIndex ? MEDIA_TYPES.ociIndex : MEDIA_TYPES.ociManifest,
      index: looksLikeIndex,
    };
  }
  if (index !== looksLikeIndex) throw bad(`the manifest is not what its type ${mediaType} says`);
  return { mediaType, index };
}

/** Reads an image's configuration; every field that the engine uses has the type that it relies on. @throws InvalidParameterError */
export function parseImageConfig(bytes: Uint8Array): ImageConfig {
  const document = parseObject(bytes, "image configuration");
  const rootfs = document.rootfs;
  const diffIds: unknown = isObject(rootfs) ? (rootfs.diff_ids ?? []) : undefined;
  if (!Array.isArray(diffIds) || !diffIds.every((id) => typeof id === "string" && isDigest(id))) {
    throw bad("invalid rootfs in image configuration");
  }
  const { os, architecture } = checkFields(document, CONFIG_FIELDS);
  if (isObject(document.config)) checkFields(document.config, DEFAULTS_FIELDS);
  return {
    ...document,
    ...(isObject(document.config) && { config: withLists(document.config) }),
    os: typeof os === "string" && os !== "" ? os : "linux",
    architecture: typeof architecture === "string" ? architecture : "",
    rootfs: { type: "layers", diff_ids: diffIds },
  };
}

function withLists(config: Record<string, unknown>): Record<string, unknown> {
  const lists = ["Cmd", "Entrypoint"].flatMap((key) =>
    typeof config[key] === "string" ? [[key, [config[key]]] as const] : [],
  );
  return lists.length === 0 ? config : { ...config, ...Object.fromEntries(lists) };
}

type FieldCheck = (value: unknown) => boolean;

const isString: FieldCheck = (value) => typeof value === "string";
const isStrings: FieldCheck = (value) => Array.isArray(value) && value.every(isString);
/** Docker's StrSlice: one string stands for an array of one. */
const isStringsOrString: FieldCheck = (value) => isString(value) || isStrings(value);
const isSet: FieldCheck = (value) =>
  isObject(value) && Object.values(value).every((of) => of === null || isObject(of));
const isLabels: FieldCheck = (value) => isObject(value) && Object.values(value).every(isString);

const CONFIG_FIELDS: Readonly<Record<string, FieldCheck>> = {
  os: isString,
  architecture: isString,
  variant: isString,
  created: isString,
  author: isString,
  config: isObject,
  history: (value) => Array.isArray(value) && value.every(isObject),
};

const DEFAULTS_FIELDS: Readonly<Record<string, FieldCheck>> = {
  User: isString,
  WorkingDir: isString,
  StopSignal: isString,
  Env: isStrings,
  Cmd: isStringsOrString,
  Entrypoint: isStringsOrString,
  Shell: isStrings,
  OnBuild: isStrings,
  Labels: isLabels,
  Volumes: isSet,
  ExposedPorts: isSet,
  Healthcheck: isObject,
};

/** Null is as good as absent. */
function checkFields(
  document: Record<string, unknown>,
  checks: Readonly<Record<string, FieldCheck>>,
): Record<string, unknown> {
  for (const [field, check] of Object.entries(checks)) {
    const value = document[field];
    if (value !== undefined && value !== null && !check(value)) {
      throw bad(`invalid ${field} in image configuration`);
    }
  }
  return document;
}

/** `linux/arm64/v8`. */
export function formatPlatform(platform: Platform): string {
  return [platform.os, platform.architecture, platform.variant].filter(Boolean).join("/");
}

/** @throws InvalidParameterError in containerd's words */
export function parsePlatform(text: string): Platform {
  const parts = text.toLowerCase().split("/");
  if (parts.length > 3 || parts.some((part) => !/^[a-z0-9][a-z0-9_.-]*$/.test(part))) {
    throw bad(`${JSON.stringify(text)}: invalid platform: expected os/architecture[/variant]`);
  }
  const [first = "", second, variant] = parts;
  if (second === undefined) {
    if (OPERATING_SYSTEMS.has(first)) return { ...hostPlatform(), os: first };
    const architecture = ARCHITECTURES[first] ?? first;
    if (KNOWN_ARCHITECTURES.has(architecture)) return { os: "linux", architecture };
    throw bad(`${JSON.stringify(text)}: unknown operating system or architecture: invalid argument`);
  }
  return { os: first, architecture: ARCHITECTURES[second] ?? second, ...(variant ? { variant } : {}) };
}

/** What may stand alone. @see containerd/platforms database.go */
const OPERATING_SYSTEMS = new Set(
  (
    "aix android darwin dragonfly freebsd hurd illumos ios js linux nacl netbsd openbsd plan9 solaris windows " +
    "zos"
  ).split(" "),
);
const KNOWN_ARCHITECTURES = new Set(
  (
    "386 amd64 amd64p32 arm armbe arm64 arm64be ppc64 ppc64le loong64 mips mipsle mips64 mips64le mips64p32 " +
    "mips64p32le ppc riscv riscv64 s390 s390x sparc sparc64 wasm"
  ).split(" "),
);

const ARCHITECTURES: Readonly<Record<string, string>> = {
  x86_64: "amd64",
  "x86-64": "amd64",
  x64: "amd64",
  aarch64: "arm64",
  i386: "386",
  ia32: "386",
  armhf: "arm",
};

/** One spelling for each platform: `aarch64` and `ARM64` are arm64, and arm64 is v8 unless it says otherwise. */
function normalizePlatform(platform: Platform): Platform {
  const named = platform.architecture.toLowerCase();
  const architecture = ARCHITECTURES[named] ?? named;
  const variant = platform.variant?.toLowerCase() ?? DEFAULT_VARIANTS[architecture];
  const plain = { ...platform, os: platform.os.toLowerCase(), architecture };
  return variant === undefined ? plain : { ...plain, variant };
}

const DEFAULT_VARIANTS: Readonly<Record<string, string>> = { arm64: "v8", arm: "v7", amd64: "v1" };

/** In the words of the OCI: `linux`, `amd64` or `arm64`. */
export function hostPlatform(): Platform {
  return { os: "linux", architecture: ARCHITECTURES[process.arch] ?? process.arch };
}

/** Whether an image of that platform is what was wanted. A lower variant of the same architecture runs as well. */
export function platformMatches(wanted: Platform, offered: Platform): boolean {
  return matchRank(wanted, offered) > 0;
}

/** 0: does not run; otherwise the better match has the higher number. */
function matchRank(wanted: Platform, offered: Platform): number {
  const a = normalizePlatform(wanted);
  const b = normalizePlatform(offered);
  if (a.os !== b.os || a.architecture !== b.architecture) return 0;
  const [most, own] = [variantNumber(a), variantNumber(b)];
  return own <= most ? 1 + own : 0;
}

function variantNumber(platform: Platform): number {
  return Number(/^v(\d+)/.exec(platform.variant ?? "")?.[1] ?? 0);
}

/**
 * The manifest of an index that fits best; undefined if none does. Attestations and the like are not images.
 * Entries without a platform are taken when nothing else fits: nested indexes have none.
 */
export function selectManifest(index: ImageIndex, wanted: Platform): Descriptor | undefined {
  let best: Descriptor | undefined;
  let bestRank = 0;
  for (const entry of index.manifests) {
    if (entry.annotations?.["vnd.docker.reference.type"] !== undefined) continue;
    const rank = entry.platform ? matchRank(wanted, entry.platform) : 0.5;
    if (MANIFEST_TYPES.includes(entry.mediaType) && rank > bestRank) {
      best = entry;
      bestRank = rank;
    }
  }
  return best;
}

/** In dockerd's words. */
export function noMatchingManifest(wanted: Platform): NotFoundError {
  return new NotFoundError(`no matching manifest for ${formatPlatform(wanted)} in the manifest list entries`);
}

function descriptors(value: unknown, field: string): Descriptor[] {
  if (value === null || value === undefined) return [];
  if (!Array.isArray(value)) throw bad(`${field} is not a list`);
  return value.map((item: unknown) => descriptor(item, field));
}

function descriptor(value: unknown, field: string): Descriptor {
  if (!isObject(value)) throw bad(`${field}: not a descriptor`);
  const { mediaType, digest, size } = value;
  if (typeof mediaType !== "string") throw bad(`${field}: descriptor without media type`);
  if (typeof digest !== "string" || !isDigest(digest)) throw bad(`${field}: invalid checksum digest format`);
  if (typeof size !== "number" || !Number.isInteger(size) || size < 0 || size > LARGEST_BLOB) {
    throw bad(`${field}: invalid size of ${digest}`);
  }
  const { platform, annotations, urls } = value;
  return {
    mediaType,
    digest,
    size,
    ...(isPlatform(platform) ? { platform } : {}),
    ...(isObject(annotations) ? { annotations: annotations as Record<string, string> } : {}),
    ...(Array.isArray(urls) ? { urls: urls.filter((url) => typeof url === "string") } : {}),
  };
}

function isPlatform(value: unknown): value is Platform {
  return isObject(value) && typeof value.os === "string" && typeof value.architecture === "string";
}

function parseObject(bytes: Uint8Array, what: string): Record<string, unknown> {
  let document: unknown;
  try {
    document = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw new InvalidParameterError(`${what} is not JSON: ${String(error)}`, { cause: error });
  }
  if (!isObject(document)) throw bad(`${what} is not a JSON object`);
  return document;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function bad(message: string): InvalidParameterError {
  return new InvalidParameterError(message);
}
