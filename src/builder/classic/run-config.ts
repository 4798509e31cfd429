/** The configuration that steps of a classic build change, and how two of them are compared for the cache. */
import type { ImageConfig } from "../../core/image.ts";

/** Docker's `container.Config`, as far as images keep it. Treated as immutable. */
export interface RunConfig {
  readonly Hostname: string;
  readonly Domainname: string;
  readonly User: string;
  readonly AttachStdin: boolean;
  readonly AttachStdout: boolean;
  readonly AttachStderr: boolean;
  readonly ExposedPorts?: Readonly<Record<string, object>>;
  readonly Tty: boolean;
  readonly OpenStdin: boolean;
  readonly StdinOnce: boolean;
  readonly Env: readonly string[] | null;
  readonly Cmd: readonly string[] | null;
  readonly Healthcheck?: HealthConfig;
  readonly Image: string;
  readonly Volumes: Readonly<Record<string, object>> | null;
  readonly WorkingDir: string;
  readonly Entrypoint: readonly string[] | null;
  readonly OnBuild: readonly string[] | null;
  readonly Labels: Readonly<Record<string, string>> | null;
  readonly StopSignal?: string;
  readonly Shell?: readonly string[];
}

export interface HealthConfig {
  readonly Test?: readonly string[];
  readonly Interval?: number;
  readonly Timeout?: number;
  readonly StartPeriod?: number;
  readonly StartInterval?: number;
  readonly Retries?: number;
}

/** An image's configuration with what the classic builder adds to it. */
export interface ClassicImageConfig extends ImageConfig {
  readonly container_config?: RunConfig;
}

const EMPTY: RunConfig = {
  Hostname: "",
  Domainname: "",
  User: "",
  AttachStdin: false,
  AttachStdout: false,
  AttachStderr: false,
  Tty: false,
  OpenStdin: false,
  StdinOnce: false,
  Env: null,
  Cmd: null,
  Image: "",
  Volumes: null,
  WorkingDir: "",
  Entrypoint: null,
  OnBuild: null,
  Labels: null,
};

const DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** What a stage begins with. */
export function initialConfig(base: ImageConfig | undefined): RunConfig {
  const config: RunConfig = { ...EMPTY, ...(base?.config as Partial<RunConfig> | undefined) };
  const env = config.Env ?? [];
  const hasPath = env.some((entry) => entry.startsWith("PATH="));
  return { ...config, OpenStdin: false, StdinOnce: false, Env: hasPath ? env : [DEFAULT_PATH, ...env] };
}

const SHELL = ["/bin/sh", "-c"];

export function shellOf({ Shell }: RunConfig): readonly string[] {
  return Shell && Shell.length > 0 ? Shell : SHELL;
}

/** The command that stands in the history for a step that runs nothing. */
export function withComment(config: RunConfig, comment: string): RunConfig {
  return { ...config, Cmd: [...shellOf(config), "#(nop) ", comment] };
}

/** The older form, in one argument: COPY, ADD and WORKDIR. */
export function withCommentText(config: RunConfig, comment: string): RunConfig {
  return { ...config, Cmd: [...shellOf(config), `#(nop) ${comment}`] };
}

/** Whether a step that was made with one configuration is the one that the other would make. @see moby image/cache/compare.go */
export function isSameStep(a: RunConfig, b: RunConfig): boolean {
  return comparable(a) === comparable(b);
}

function comparable(config: RunConfig): string {
  const health = config.Healthcheck;
  return JSON.stringify([
    config.Env ?? [],
    config.Cmd ?? [],
    config.Entrypoint ?? [],
    sortedEntries(config.Labels),
    Object.keys(config.ExposedPorts ?? {}).sort(),
    Object.keys(config.Volumes ?? {}).sort(),
    config.OnBuild ?? [],
    config.Shell ?? [],
    config.User,
    config.WorkingDir,
    config.StopSignal ?? "",
    config.Tty,
    config.OpenStdin,
    config.StdinOnce,
    health && [
      health.Test ?? [],
      health.Interval ?? 0,
      health.Timeout ?? 0,
      health.StartPeriod ?? 0,
      health.StartInterval ?? 0,
      health.Retries ?? 0,
    ],
  ]);
}

function sortedEntries(map: Readonly<Record<string, string>> | null | undefined): [string, string][] {
  return Object.entries(map ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Sets variables: one of a name takes the place of the earlier one. */
export function withVariables(
  env: readonly string[],
  variables: readonly (readonly [string, string])[],
): string[] {
  const result = [...env];
  for (const [name, value] of variables) {
    const at = result.findIndex((entry) => entry.split("=", 1)[0] === name);
    if (at < 0) result.push(`${name}=${value}`);
    else result[at] = `${name}=${value}`;
  }
  return result;
}
