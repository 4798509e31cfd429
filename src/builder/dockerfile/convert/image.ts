/**
 * The image configuration that a stage builds up. Fields and their order are those of the image specification, with
 * Docker's additions (Healthcheck, OnBuild, Shell). The exporter fills in what only it knows: layers and dates.
 *
 * @see https://github.com/opencontainers/image-spec/blob/main/config.md
 */
import type { Platform } from "../../../core/content.ts";
import { splitVariable } from "../shell/environment.ts";
import { DockerfileError } from "../source/errors.ts";
import { messageOf } from "../source/ranges.ts";

export const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

export interface ImageSettings {
  User?: string;
  ExposedPorts?: Record<string, object>;
  Env?: string[];
  Entrypoint?: string[];
  Cmd?: string[];
  Volumes?: Record<string, object>;
  WorkingDir?: string;
  Labels?: Record<string, string>;
  StopSignal?: string;
  ArgsEscaped?: boolean;
  Healthcheck?: ImageHealthcheck;
  OnBuild?: string[];
  Shell?: string[];
}

/** Durations in nanoseconds; absent: inherited. */
export interface ImageHealthcheck {
  Test?: string[];
  Interval?: number;
  Timeout?: number;
  StartPeriod?: number;
  StartInterval?: number;
  Retries?: number;
}

export interface ImageHistory {
  created?: string;
  created_by?: string;
  author?: string;
  comment?: string;
  empty_layer?: boolean;
}

export interface ImageDocument {
  created?: string;
  author?: string;
  architecture: string;
  os: string;
  "os.version"?: string;
  "os.features"?: string[];
  variant?: string;
  config: ImageSettings;
  rootfs: { type: string; diff_ids: string[] };
  history?: ImageHistory[];
}

/** What FROM scratch starts with. */
export function emptyImage(platform: Platform): ImageDocument {
  return {
    architecture: platform.architecture,
    os: platform.os,
    ...(platform["os.version"] === undefined ? {} : { "os.version": platform["os.version"] }),
    ...(platform["os.features"] === undefined ? {} : { "os.features": [...platform["os.features"]] }),
    ...(platform.variant === undefined ? {} : { variant: platform.variant }),
    config: { Env: [`PATH=${DEFAULT_PATH}`], WorkingDir: "/" },
    rootfs: { type: "layers", diff_ids: [] },
  };
}

/** Reads a configuration; what is no part of the specification is left out. @throws DockerfileError */
export function parseImage(bytes: Uint8Array): ImageDocument {
  let document: Partial<ImageDocument>;
  try {
    document = JSON.parse(new TextDecoder().decode(bytes)) as Partial<ImageDocument>;
  } catch (error) {
    throw new DockerfileError(`failed to parse image config: ${messageOf(error)}`, { cause: error });
  }
  const { config, rootfs } = document;
  return {
    ...document,
    architecture: document.architecture ?? "",
    os: document.os ?? "",
    config: config ?? {},
    rootfs: { type: rootfs?.type ?? "layers", diff_ids: rootfs?.diff_ids ?? [] },
  };
}

export function cloneImage(image: ImageDocument): ImageDocument {
  return structuredClone(image);
}

/** The platform that an image says it is for. */
export function platformOfImage(image: ImageDocument): Platform {
  return {
    os: image.os,
    architecture: image.architecture,
    ...(image.variant ? { variant: image.variant } : {}),
    ...(image["os.version"] ? { "os.version": image["os.version"] } : {}),
    ...(image["os.features"] ? { "os.features": image["os.features"] } : {}),
  };
}

/** Sets a variable where it stands, or adds it at the end. */
export function setVariable(env: readonly string[], name: string, value: string): string[] {
  const line = `${name}=${value}`;
  const at = env.findIndex((entry) => splitVariable(entry)[0] === name);
  return at < 0 ? [...env, line] : env.with(at, line);
}

/** The document's bytes: fields in the specification's order, empty ones left out, maps sorted. */
export function encodeImage(image: ImageDocument): Uint8Array {
  const { config, rootfs } = image;
  const ordered = {
    created: image.created,
    author: image.author || undefined,
    architecture: image.architecture,
    os: image.os,
    "os.version": image["os.version"] || undefined,
    "os.features": nonEmpty(image["os.features"]),
    variant: image.variant || undefined,
    config: {
      User: config.User || undefined,
      ExposedPorts: sortedMap(config.ExposedPorts),
      Env: nonEmpty(config.Env),
      Entrypoint: nonEmpty(config.Entrypoint),
      Cmd: nonEmpty(config.Cmd),
      Volumes: sortedMap(config.Volumes),
      WorkingDir: config.WorkingDir || undefined,
      Labels: sortedMap(config.Labels),
      StopSignal: config.StopSignal || undefined,
      ArgsEscaped: config.ArgsEscaped || undefined,
      Healthcheck: config.Healthcheck,
      OnBuild: nonEmpty(config.OnBuild),
      Shell: nonEmpty(config.Shell),
    },
    rootfs: { type: rootfs.type, diff_ids: rootfs.diff_ids },
    history: nonEmpty(image.history),
  };
  return new TextEncoder().encode(JSON.stringify(ordered));
}

function nonEmpty<T>(values: readonly T[] | null | undefined): readonly T[] | undefined {
  return values && values.length > 0 ? values : undefined;
}

function sortedMap<T>(map: Readonly<Record<string, T>> | null | undefined): Record<string, T> | undefined {
  const names = Object.keys(map ?? {}).sort();
  if (!map || names.length === 0) return undefined;
  return Object.fromEntries(names.map((name) => [name, map[name] as T]));
}
