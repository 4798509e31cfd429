/**
 * What the image says where the request says nothing. The rules are those of moby's `merge` (daemon/commit.go):
 * an entrypoint given by the user makes the image's command void; lists of ports, volumes and labels are united.
 */
import type { ContainerConfig } from "../../../api/types.ts";
import { log } from "../../../base/log.ts";
import { InvalidParameterError } from "../../../core/errors.ts";
import type { ImageDefaults } from "../../../core/image.ts";
import { expandPortSpec } from "./ports.ts";

/** @throws InvalidParameterError "no command specified" when neither says what to run */
export function withImageDefaults(
  requested: ContainerConfig,
  image: ImageDefaults | undefined,
): ContainerConfig {
  const config = image ? mergeConfig(requested, image) : { ...requested };
  // `--entrypoint ""` takes the image's entrypoint away.
  if (config.Entrypoint?.length === 1 && config.Entrypoint[0] === "") config.Entrypoint = undefined;
  if (!config.Entrypoint?.length && !config.Cmd?.length) {
    throw new InvalidParameterError("no command specified");
  }
  return config;
}

/** The request first; what it leaves out is the image's. @see moby `daemon/commit.go`, merge */
export function mergeConfig(requested: ContainerConfig, image: ImageDefaults): ContainerConfig {
  const config: ContainerConfig = { ...requested };
  config.User ||= image.User;
  config.WorkingDir ||= image.WorkingDir;
  config.StopSignal ||= image.StopSignal;
  config.Env = mergeEnvironment(requested.Env ?? [], image.Env ?? []);
  config.Labels = { ...image.Labels, ...requested.Labels };
  if (image.ExposedPorts)
    config.ExposedPorts = { ...exposedBy(image.ExposedPorts), ...requested.ExposedPorts };
  if (image.Volumes) config.Volumes = { ...requested.Volumes, ...image.Volumes };
  if (!config.Entrypoint?.length) {
    if (!config.Cmd?.length) {
      config.Cmd = image.Cmd ? [...image.Cmd] : undefined;
      if (image.ArgsEscaped) config.ArgsEscaped = true;
    }
    // An empty list that was given on purpose stays; only absence is filled.
    if (config.Entrypoint === undefined && image.Entrypoint) config.Entrypoint = [...image.Entrypoint];
  }
  if (image.Healthcheck) config.Healthcheck = mergeHealthcheck(requested.Healthcheck, image.Healthcheck);
  return config;
}

/**
 * Images of the world are taken as they are: a range stands for each of its ports, and what is no port at all does not
 * keep the image from being run.
 */
function exposedBy(ports: NonNullable<ImageDefaults["ExposedPorts"]>): Record<string, object> {
  const specs = Object.keys(ports).flatMap((text) => {
    try {
      return expandPortSpec(text);
    } catch (error) {
      log("warn", "an image exposes what is no port", { port: text, error });
      return [];
    }
  });
  return Object.fromEntries(specs.map(({ port, protocol }) => [`${port}/${protocol}`, {}]));
}

function mergeEnvironment(requested: readonly string[], image: readonly string[]): string[] {
  const given = new Set(requested.map(variableName));
  return [...requested, ...image.filter((entry) => !given.has(variableName(entry)))];
}

function variableName(entry: string): string {
  const [name = ""] = entry.split("=", 1);
  return name;
}

function mergeHealthcheck(
  requested: ContainerConfig["Healthcheck"],
  image: NonNullable<ImageDefaults["Healthcheck"]>,
): ContainerConfig["Healthcheck"] {
  if (!requested) return { ...image };
  return {
    ...requested,
    Test: requested.Test?.length ? requested.Test : image.Test,
    Interval: requested.Interval || image.Interval,
    Timeout: requested.Timeout || image.Timeout,
    StartPeriod: requested.StartPeriod || image.StartPeriod,
    StartInterval: requested.StartInterval || image.StartInterval,
    Retries: requested.Retries || image.Retries,
  };
}
