/**
 * The options of a build, as clients name them, understood. What cannot be understood fails before anything runs.
 *
 * @see https://github.com/moby/buildkit/blob/master/frontend/dockerui/config.go
 */
import { isIP } from "node:net";
import type { Platform } from "../../../core/content.ts";
import type { CacheImport, ResolveMode } from "../../frontend.ts";
import type { LinuxResources } from "../../graph/ops.ts";
import { normalizePlatform, parsePlatform } from "../../platforms.ts";
import { parseBool, parseCsv } from "../instructions/values.ts";
import { type LintChoice, parseLintChoice } from "../lint/linter.ts";
import { DockerfileError, during } from "../source/errors.ts";

export type NetworkMode = "sandbox" | "host" | "none";

export interface BuildOptions {
  /** All of them, as they came. */
  readonly raw: ReadonlyMap<string, string>;
  readonly target: string;
  readonly buildArgs: ReadonlyMap<string, string>;
  readonly labels: ReadonlyMap<string, string>;
  readonly cacheMountNamespace: string;
  readonly cgroupParent: string;
  readonly extraHosts: readonly { readonly host: string; readonly ip: string }[];
  readonly hostname: string;
  readonly resolveMode: ResolveMode;
  readonly network: NetworkMode;
  /** A network of the engine that RUN uses in place of the sandbox's. */
  readonly networkName?: string;
  /** Bytes; 0: the default. */
  readonly shmSize: number;
  readonly ulimits: readonly { readonly name: string; readonly soft: number; readonly hard: number }[];
  readonly linuxResources?: LinuxResources;
  /** The build's own choice of checks, in place of the file's. */
  readonly lint?: LintChoice;
  readonly cacheImports: readonly CacheImport[];
  /** Empty: the default, which may follow the base image. */
  readonly targetPlatforms: readonly Platform[];
  /** Results are keyed by platform. */
  readonly multiPlatform: boolean;
  /** Stages that are built anew; undefined: none, empty: all. */
  readonly noCache?: readonly string[];
  /** Sessions of single contexts, by the context's name: builds of one file share theirs. */
  readonly localSessions: ReadonlyMap<string, string>;
  readonly sbom?: { readonly generator: string; readonly parameters: ReadonlyMap<string, string> };
}

/** @throws DockerfileError */
export function readOptions(given: ReadonlyMap<string, string>): BuildOptions {
  const raw = new Map(given);
  const get = (name: string) => raw.get(name) ?? "";
  refuseRemoved(get);
  const targetPlatforms = platformsOf(get("platform"));
  const hostname = get("build-arg:BUILDKIT_SANDBOX_HOSTNAME") || get("hostname");
  const lint = raw.get("build-arg:BUILDKIT_DOCKERFILE_CHECK");
  const linuxResources = during("failed to parse resource limits", () => resourcesOf(raw));
  const noCache = raw.get("no-cache");
  const sbom = raw.get("attest:sbom");
  return {
    raw,
    target: get("target"),
    buildArgs: withPrefix(raw, "build-arg:"),
    labels: withPrefix(raw, "label:"),
    cacheMountNamespace: get("build-arg:BUILDKIT_CACHE_MOUNT_NS"),
    cgroupParent: get("cgroup-parent"),
    extraHosts: during("failed to parse additional hosts", () => hostsOf(get("add-hosts"))),
    hostname,
    resolveMode: resolveModeOf(get("image-resolve-mode")),
    ...networkOf(get("force-network-mode")),
    shmSize: during("failed to parse shm size", () => integerOf(get("shm-size"))),
    ulimits: during("failed to parse ulimit", () => ulimitsOf(get("ulimit"))),
    ...(linuxResources ? { linuxResources } : {}),
    ...(lint === undefined
      ? {}
      : { lint: during("failed to parse build-arg:BUILDKIT_DOCKERFILE_CHECK", () => parseLintChoice(lint)) }),
    cacheImports: [...cacheImportsOf(get("cache-imports")), ...oldCacheImports(get("cache-from"))],
    targetPlatforms,
    multiPlatform: multiPlatformOf(get, targetPlatforms.length > 1),
    ...(noCache === undefined ? {} : { noCache: noCache === "" ? [] : noCache.split(",") }),
    localSessions: withPrefix(raw, "local-sessionid:"),
    ...(sbom === undefined ? {} : { sbom: sbomOf(sbom) }),
  };
}

/** Whether a stage is to be built anew. */
export function ignoresCache(options: BuildOptions, stage: string): boolean {
  if (options.noCache === undefined) return false;
  if (options.noCache.length === 0) return true;
  return options.noCache.some((name) => name.toLowerCase() === stage.toLowerCase());
}

function refuseRemoved(get: (name: string) => string): void {
  if (get("override-copy-image") !== "") {
    throw new DockerfileError('support for "override-copy-image" was removed in BuildKit 0.11');
  }
  if (parseBool(get("build-arg:BUILDKIT_DISABLE_FILEOP"))) {
    throw new DockerfileError('support for "BUILDKIT_DISABLE_FILEOP" build-arg was removed in BuildKit 0.11');
  }
}

function withPrefix(options: ReadonlyMap<string, string>, prefix: string): Map<string, string> {
  const found = [...options].filter(([name]) => name.startsWith(prefix));
  return new Map(found.map(([name, value]) => [name.slice(prefix.length), value]));
}

function platformsOf(text: string): Platform[] {
  if (text === "") return [];
  return text
    .split(",")
    .map((entry) =>
      during(`failed to parse target platform ${entry}`, () => normalizePlatform(parsePlatform(entry))),
    );
}

function multiPlatformOf(get: (name: string) => string, several: boolean): boolean {
  const text = get("build-arg:BUILDKIT_MULTI_PLATFORM") || get("multi-platform");
  if (text === "") return several;
  const chosen = parseBool(text);
  if (chosen === undefined) {
    throw new DockerfileError(`invalid boolean value for multi-platform: ${text}`);
  }
  if (!chosen && several) {
    throw new DockerfileError("conflicting config: returning multiple target platforms is not allowed");
  }
  return chosen;
}

function resolveModeOf(text: string): ResolveMode {
  if (text === "" || text === "default") return "default";
  if (text === "pull" || text === "local") return text;
  throw new DockerfileError(`invalid image-resolve-mode: ${text}`);
}

/** A name that is none of BuildKit's modes is a network of the engine's, which BuildKit cannot use and we can. */
function networkOf(text: string): { network: NetworkMode; networkName?: string } {
  if (text === "" || text === "sandbox" || text === "default") return { network: "sandbox" };
  if (text === "none" || text === "host") return { network: text };
  return { network: "sandbox", networkName: text };
}

function hostsOf(text: string): { host: string; ip: string }[] {
  if (text === "") return [];
  return parseCsv(text).map((field) => {
    const at = field.indexOf("=");
    if (at < 0) throw new DockerfileError(`invalid key-value pair ${field.toLowerCase()}`);
    const ip = field.slice(at + 1).toLowerCase();
    if (isIP(ip) === 0) throw new DockerfileError(`failed to parse IP ${ip}`);
    return { host: field.slice(0, at).toLowerCase(), ip };
  });
}

function ulimitsOf(text: string): BuildOptions["ulimits"] {
  if (text === "") return [];
  return parseCsv(text).map((field) => {
    const [, name, soft, hard] = /^([^=]+)=(-?\d+)(?::(-?\d+))?$/.exec(field) ?? [];
    if (name === undefined || soft === undefined) {
      throw new DockerfileError(`invalid ulimit argument: ${field}`);
    }
    const limits = { soft: Number(soft), hard: Number(hard ?? soft) };
    if (limits.hard !== -1 && (limits.soft === -1 || limits.soft > limits.hard)) {
      throw new DockerfileError(
        `ulimit soft limit must be less than or equal to hard limit: ${limits.soft} > ${limits.hard}`,
      );
    }
    return { name, ...limits };
  });
}

function resourcesOf(options: ReadonlyMap<string, string>): LinuxResources | undefined {
  const number = (name: string, least: (value: number) => boolean, rule: string) => {
    const text = options.get(name) ?? "";
    if (text === "") return {};
    if (!/^-?\d+$/.test(text)) throw new DockerfileError(`invalid ${name} value: ${text}`);
    const value = Number(text);
    if (!least(value)) throw new DockerfileError(`invalid ${name} value: ${text}: must be ${rule}`);
    return value;
  };
  const positive = (name: string) => number(name, (value) => value > 0, "> 0");
  const swap = number("memswap", (value) => value === -1 || value > 0, "-1 (unlimited) or > 0");
  const given = {
    memory: positive("memory"),
    memorySwap: swap,
    cpuShares: positive("cpushares"),
    cpuPeriod: positive("cpuperiod"),
    cpuQuota: positive("cpuquota"),
    cpusetCpus: cpusOf("cpusetcpus", options),
    cpusetMems: cpusOf("cpusetmems", options),
  };
  const set = Object.entries(given).filter(([, value]) => typeof value !== "object" && value !== "");
  return set.length === 0 ? undefined : (Object.fromEntries(set) as LinuxResources);
}

function cpusOf(name: string, options: ReadonlyMap<string, string>): string {
  const text = options.get(name) ?? "";
  if (text === "" || /^\d+(-\d+)?(,\d+(-\d+)?)*$/.test(text)) return text;
  throw new DockerfileError(`invalid ${name} value: ${text}`);
}

function integerOf(text: string): number {
  if (text === "") return 0;
  if (!/^-?\d+$/.test(text)) {
    throw new DockerfileError(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
  }
  return Number(text);
}

function cacheImportsOf(text: string): CacheImport[] {
  if (text === "") return [];
  return during(`failed to unmarshal cache-imports (${JSON.stringify(text)})`, () => {
    const entries = JSON.parse(text) as { Type?: string; Attrs?: Record<string, string> }[];
    return entries.map(({ Type = "", Attrs = {} }) => ({ type: Type, attrs: Attrs }));
  });
}

function oldCacheImports(text: string): CacheImport[] {
  if (text === "") return [];
  return text.split(",").map((ref) => ({ type: "registry", attrs: { ref } }));
}

const DEFAULT_GENERATOR = "docker/buildkit-syft-scanner:stable-1";

function sbomOf(text: string): NonNullable<BuildOptions["sbom"]> {
  const fields = text === "" ? [] : parseCsv(text);
  const parameters = new Map(
    fields.map((field) => {
      const at = field.indexOf("=");
      return at < 0 ? ([field, ""] as const) : ([field.slice(0, at), field.slice(at + 1)] as const);
    }),
  );
  const generator = parameters.get("generator") ?? DEFAULT_GENERATOR;
  if (generator === "") throw new DockerfileError("sbom scanner cannot be empty");
  parameters.delete("generator");
  return { generator, parameters };
}
