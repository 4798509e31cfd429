/** The part of the configuration that is about containers: what they have unless they ask for something else. */
import { resolve } from "node:path";
import type { ContainerDefaults } from "../../core/config.ts";
import { InvalidParameterError } from "../../core/errors.ts";
import { BUILT_IN_RUNTIMES } from "../../core/runtime.ts";
import { isObject } from "./config-file.ts";
import { parseBool } from "./flags.ts";
import { type Settings, splitOnce } from "./given.ts";

/** @throws InvalidParameterError */
export function toContainerDefaults(settings: Settings): ContainerDefaults {
  const runtimes = toRuntimes(settings);
  const runtime = settings.text("default-runtime") ?? "crun";
  if (!BUILT_IN_RUNTIMES.some((name) => name === runtime) && !(runtime in runtimes)) {
    throw new InvalidParameterError(`specified default runtime '${runtime}' does not exist`);
  }
  const cgroupNamespace = settings.text("default-cgroupns-mode");
  if (cgroupNamespace !== undefined && cgroupNamespace !== "host" && cgroupNamespace !== "private") {
    throw new InvalidParameterError(
      `default cgroup namespace mode (${cgroupNamespace}) is invalid; use "host" or "private"`,
    );
  }
  const ipcMode = settings.text("default-ipc-mode") ?? "private";
  if (ipcMode !== "private" && ipcMode !== "shareable") {
    throw new InvalidParameterError(
      `IPC mode ${JSON.stringify(ipcMode)} is not supported as default value: use "private" or "shareable"`,
    );
  }
  return {
    init: settings.bool("init") ?? false,
    initPath: settings.text("init-path"),
    runtime,
    runtimes,
    ulimits: toUlimits(settings),
    logDriver: settings.text("log-driver") ?? "json-file",
    logOptions: toLogOptions(settings),
    shmSize: toBytes(settings.value("default-shm-size") ?? "64MiB"),
    cgroupNamespace,
    ipcMode,
    cgroupParent: settings.text("cgroup-parent"),
    noNewPrivileges: settings.bool("no-new-privileges") ?? false,
    seccompProfile: toSeccompProfile(settings.text("seccomp-profile")),
    cdiSpecDirectories: toCdiDirectories(settings),
  };
}

/** `builtin` is what is so anyway; a path stays one: the file is read when the engine is put together. */
function toSeccompProfile(text: string | undefined): string | undefined {
  if (text === undefined || text === "builtin") return undefined;
  return text === "unconfined" ? text : resolve(text);
}

/** An empty one switches it off, and so does the feature. @see moby cmd/dockerd/daemon.go (cdi) */
function toCdiDirectories(settings: Settings): string[] {
  const given = settings.value("cdi-spec-dir");
  const features = toFeatures(settings);
  if (features.cdi === false) return [];
  if (!Array.isArray(given) || given.length === 0) return ["/etc/cdi", "/var/run/cdi"];
  return given.map(String).filter((directory) => directory !== "");
}

/** `--feature name[=bool]`, or the file's object. @throws InvalidParameterError */
export function toFeatures(settings: Settings): Record<string, boolean> {
  const object = settings.object("feature");
  if (object) {
    const wrong = Object.entries(object).find(([, value]) => typeof value !== "boolean");
    if (wrong)
      throw new InvalidParameterError(`invalid value for features: ${wrong[0]}=${JSON.stringify(wrong[1])}`);
    return object as Record<string, boolean>;
  }
  const features = settings.strings("feature").map((text): [string, boolean] => {
    const [name, value] = splitOnce(text, "=");
    const on = value === "" && !text.includes("=") ? true : parseBool(value);
    if (name === "" || on === undefined)
      throw new InvalidParameterError(`invalid argument ${JSON.stringify(text)} for "--feature" flag`);
    return [name, on];
  });
  return Object.fromEntries(features);
}

function toRuntimes(settings: Settings): ContainerDefaults["runtimes"] {
  const fromFile = Object.entries(settings.object("add-runtime") ?? {}).map(([name, value]) => {
    if (!isObject(value) || typeof value.path !== "string") {
      throw new InvalidParameterError(`invalid runtime ${name}: want an object with a path`);
    }
    const args = Array.isArray(value.runtimeArgs) ? value.runtimeArgs.map(String) : [];
    return [name, { path: value.path, args }] as const;
  });
  const fromFlags = settings.strings("add-runtime").map((text) => {
    const [name, path] = splitOnce(text, "=");
    if (name === "" || path === "") throw new InvalidParameterError(`invalid runtime argument: ${text}`);
    return [name, { path, args: [] as string[] }] as const;
  });
  for (const [name] of [...fromFile, ...fromFlags]) {
    if (BUILT_IN_RUNTIMES.some((builtIn) => builtIn === name))
      throw new InvalidParameterError(`runtime name '${name}' is reserved`);
  }
  return Object.fromEntries([...fromFile, ...fromFlags]);
}

const ULIMITS = new Set(
  "as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack".split(
    " ",
  ),
);

function toUlimits(settings: Settings): ContainerDefaults["ulimits"] {
  const fromFile = Object.entries(settings.object("default-ulimit") ?? {}).map(([name, value]) => {
    if (!isObject(value)) throw new InvalidParameterError(`invalid ulimit argument: ${name}`);
    const { Soft, Hard } = value;
    return { Name: String(value.Name ?? name), Soft: Number(Soft ?? Hard), Hard: Number(Hard ?? Soft) };
  });
  const limits = [...fromFile, ...settings.strings("default-ulimit").map(parseUlimit)];
  for (const { Name, Soft, Hard } of limits) {
    if (!ULIMITS.has(Name)) throw new InvalidParameterError(`invalid ulimit type: ${Name}`);
    if (!Number.isInteger(Soft) || !Number.isInteger(Hard)) {
      throw new InvalidParameterError(`invalid ulimit argument: ${Name}`);
    }
    if (Hard !== -1 && (Soft === -1 || Soft > Hard)) {
      throw new InvalidParameterError(
        `ulimit soft limit must be less than or equal to hard limit: ${Soft} > ${Hard}`,
      );
    }
  }
  return limits;
}

function parseUlimit(text: string): { Name: string; Soft: number; Hard: number } {
  const match = /^([a-z]+)=(-1|\d+)(?::(-1|\d+))?$/.exec(text);
  if (!match) throw new InvalidParameterError(`invalid ulimit argument: ${text}`);
  const [, Name = "", soft = "", hard = soft] = match;
  return { Name, Soft: Number(soft), Hard: Number(hard) };
}

function toLogOptions(settings: Settings): Record<string, string> {
  const object = settings.object("log-opt");
  const entries = object
    ? Object.entries(object).map(([key, value]) => [key, String(value)] as const)
    : settings.strings("log-opt").map((text) => {
        const [key, value] = splitOnce(text, "=");
        if (!text.includes("="))
          throw new InvalidParameterError(`invalid argument "${text}" for "--log-opt" flag: want key=value`);
        return [key, value] as const;
      });
  return Object.fromEntries(entries);
}

const UNITS: Readonly<Record<string, number>> = { "": 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };

/** go-units' RAMInBytes: `64m`, `64MB`, `64MiB` are the same. */
function toBytes(value: unknown): number {
  const [, digits, unit = ""] = /^(\d+(?:\.\d+)?) ?([kmgt]?)(?:i?b)?$/i.exec(String(value)) ?? [];
  const bytes = Math.floor(Number(digits) * (UNITS[unit.toLowerCase()] ?? Number.NaN));
  if (!Number.isSafeInteger(bytes)) throw new InvalidParameterError(`invalid size: '${value}'`);
  return bytes;
}
