/**
 * A create request in the terms of its API version: fields that the version did not know yet mean nothing, defaults
 * are those of its day. Pure.
 * @see moby container_routes.go, postContainersCreate
 */
import type { ContainerCreateBody } from "../../api/bodies/container.ts";
import type { ContainerConfig, EndpointSettings, HostConfig, Mount } from "../../api/types.ts";
import { InvalidParameterError } from "../../core/errors.ts";
import type { Call } from "../call.ts";

export type ApiLine = Pick<Call, "atLeast">;

export interface VersionedCreate {
  readonly config: ContainerConfig;
  readonly hostConfig: HostConfig;
  readonly endpoints: Readonly<Record<string, EndpointSettings | null>>;
  readonly warnings: readonly string[];
}

/**
 * @param cgroupVersion the host's: on version 1 the default of old clients was the host's cgroup namespace
 * @throws InvalidParameterError for what the version cannot say
 */
export function createFor(
  api: ApiLine,
  { config, hostConfig, networkingConfig }: ContainerCreateBody & { readonly config: ContainerConfig },
  cgroupVersion: 1 | 2,
): VersionedCreate {
  const endpoints = networkingConfig.EndpointsConfig ?? {};
  checkMounts(api, hostConfig.Mounts ?? []);
  checkEndpoints(api, endpoints);
  if (api.atLeast([1, 52]) && config.MacAddress) {
    throw new InvalidParameterError(
      "container-wide MAC address no longer supported; use endpoint-specific MAC address instead",
    );
  }
  return {
    config: configFor(api, config),
    hostConfig: hostConfigFor(api, hostConfig, cgroupVersion),
    endpoints: api.atLeast([1, 48]) ? endpoints : withoutPriorities(endpoints),
    warnings: warningsFor(api, hostConfig),
  };
}

/** The body of `POST /containers/{id}/update`. */
export function updateFor<T extends HostConfig>(api: ApiLine, change: T): T {
  return {
    ...change,
    ...(!api.atLeast([1, 40]) && { PidsLimit: undefined }),
    ...(api.atLeast([1, 52]) && { KernelMemoryTCP: undefined }),
    ...(!api.atLeast([1, 55]) && {
      BlkioWeightDevice: undefined,
      BlkioDeviceReadBps: undefined,
      BlkioDeviceWriteBps: undefined,
      BlkioDeviceReadIOps: undefined,
      BlkioDeviceWriteIOps: undefined,
    }),
  };
}

function configFor(api: ApiLine, config: ContainerConfig): ContainerConfig {
  if (api.atLeast([1, 44]) || !config.Healthcheck) return config;
  return { ...config, Healthcheck: { ...config.Healthcheck, StartInterval: 0 } };
}

function hostConfigFor(api: ApiLine, hostConfig: HostConfig, cgroupVersion: 1 | 2): HostConfig {
  return {
    ...hostConfig,
    // The client removed the container itself.
    ...(!api.atLeast([1, 25]) && { AutoRemove: false }),
    ...(!api.atLeast([1, 40]) && { KernelMemoryTCP: 0, IpcMode: hostConfig.IpcMode || "shareable" }),
    ...(!api.atLeast([1, 41]) &&
      cgroupVersion === 1 && { CgroupnsMode: hostConfig.CgroupnsMode || ("host" as const) }),
    ...(!api.atLeast([1, 42]) && { ConsoleSize: [0, 0] as number[] }),
    ...(!api.atLeast([1, 43]) && { Annotations: undefined }),
    ...(api.atLeast([1, 52]) && { KernelMemoryTCP: undefined }),
    ...(hostConfig.Mounts && { Mounts: hostConfig.Mounts.map((mount) => mountFor(api, mount)) }),
    ...(hostConfig.PortBindings && { PortBindings: withEmptyBindings(hostConfig.PortBindings) }),
  };
}

function mountFor(api: ApiLine, mount: Mount): Mount {
  const { BindOptions, VolumeOptions, TmpfsOptions, ...rest } = mount;
  const old = !api.atLeast([1, 42]);
  const bind = BindOptions && {
    ...BindOptions,
    ...(!api.atLeast([1, 40]) && { NonRecursive: false }),
    ...(old && { CreateMountpoint: false }),
  };
  // Options of another type were not looked at.
  return {
    ...rest,
    ...(bind && { BindOptions: bind }),
    ...(VolumeOptions && !(old && mount.Type !== "volume") && { VolumeOptions }),
    ...(TmpfsOptions && !(old && mount.Type !== "tmpfs") && { TmpfsOptions }),
  };
}

function checkMounts(api: ApiLine, mounts: readonly Mount[]): void {
  for (const { Type: type, BindOptions, VolumeOptions, TmpfsOptions } of mounts) {
    if (!api.atLeast([1, 44]) && type === "bind" && BindOptions?.ReadOnlyForceRecursive) {
      throw new InvalidParameterError("BindOptions.ReadOnlyForceRecursive needs API v1.44 or newer");
    }
    if (!api.atLeast([1, 45]) && VolumeOptions?.Subpath) {
      throw new InvalidParameterError("VolumeOptions.Subpath needs API v1.45 or newer");
    }
    if (!api.atLeast([1, 48]) && type === "image") {
      throw new InvalidParameterError('Mount type "Image" needs API v1.48 or newer');
    }
    if (!api.atLeast([1, 42])) continue;
    if (VolumeOptions && type !== "volume") throw foreignOptions("VolumeOptions", type);
    if (BindOptions && type !== "bind") throw foreignOptions("BindOptions", type);
    if (TmpfsOptions && type !== "tmpfs") throw foreignOptions("TmpfsOptions", type);
  }
}

function foreignOptions(options: string, type: string | undefined): InvalidParameterError {
  return new InvalidParameterError(
    `${options} must not be specified on mount type ${JSON.stringify(type ?? "")}`,
  );
}

function checkEndpoints(api: ApiLine, endpoints: Readonly<Record<string, unknown>>): void {
  const names = Object.keys(endpoints);
  if (api.atLeast([1, 44]) || names.length <= 1) return;
  throw new InvalidParameterError(
    `Container cannot be created with multiple network endpoints: ${names.join(", ")}`,
  );
}

function withoutPriorities(
  endpoints: Readonly<Record<string, EndpointSettings | null>>,
): Record<string, EndpointSettings | null> {
  const entries = Object.entries(endpoints);
  return Object.fromEntries(
    entries.map(([name, settings]) => [name, settings && { ...settings, GwPriority: 0 }]),
  );
}

type PortBindings = NonNullable<HostConfig["PortBindings"]>;

/** A port with an empty list of bindings is published on a port of the engine's choice. */
function withEmptyBindings(bindings: PortBindings): PortBindings {
  const entries = Object.entries(bindings);
  return Object.fromEntries(
    entries.map(([port, list]) => [port, (list ?? []).length > 0 ? list : [{ HostIp: "", HostPort: "" }]]),
  );
}

function warningsFor(api: ApiLine, { VolumeDriver, Mounts, PortBindings }: HostConfig): string[] {
  const warnings: string[] = [];
  const ambiguous = (Mounts ?? []).some(
    ({ Type, VolumeOptions }) => Type === "volume" && !VolumeOptions?.DriverConfig?.Name,
  );
  if (VolumeDriver && ambiguous && api.atLeast([1, 48])) {
    warnings.push(
      "WARNING: the container-wide volume-driver configuration is ignored for volumes specified via 'mount'. Use '--mount type=volume,volume-driver=...' instead",
    );
  }
  const empty = Object.entries(PortBindings ?? {}).filter(([, list]) => (list ?? []).length === 0);
  if (empty.length > 0 && api.atLeast([1, 52])) {
    warnings.push(
      `Following container port(s) have an empty list of port-bindings: ${empty.map(([port]) => port).join(", ")}. Such bindings will be discarded in a future version.`,
    );
  }
  return warnings;
}
