/**
 * Containers in Docker's JSON: rows of `docker ps` and the whole of `docker inspect`. Pure. Go writes zero values
 * where TypeScript has nothing, and clients count on the fields being there; nulls are where Go has nil.
 */
import type {
  ContainerConfig,
  ContainerInspectResponse,
  EndpointSettings,
  HostConfig,
  PortMap,
} from "../../api/types.ts";
import {
  type ContainerHealth,
  type ContainerMount,
  type ContainerRecord,
  isRunning,
} from "../../core/container.ts";
import { MASKED_PATHS, READONLY_PATHS } from "../../engine/containers/oci-spec/filesystems.ts";
import type { ContainerDetails, ContainerView } from "../../engine/containers/queries/inspect.ts";
import { toStatusText } from "./status-text.ts";

/** As the newest API version has it; `versions/` takes away what others have not. */
export interface ContainerSummaryJson {
  readonly HostConfig: {
    readonly NetworkMode: string;
    readonly Annotations?: Readonly<Record<string, string>>;
  };
  readonly ImageManifestDescriptor?: object;
  readonly [field: string]: unknown;
}

/** The same of `inspect`. */
export interface ContainerInspectJson {
  readonly Config: Readonly<Record<string, unknown>>;
  readonly NetworkSettings: Readonly<Record<string, unknown>>;
  readonly [field: string]: unknown;
}

/** One element of `GET /containers/json`. @param now ms since the epoch */
export function toSummary(view: ContainerView, now: number): ContainerSummaryJson {
  const { record, sizes } = view;
  return {
    Id: record.id,
    Names: [record.name, ...view.linkNames].map((name) => `/${name}`),
    Image: view.imageName,
    ImageID: record.imageId,
    ...(record.imageManifest && { ImageManifestDescriptor: record.imageManifest }),
    Command: toCommandText(record),
    Created: Math.floor(Date.parse(record.created) / 1000),
    Ports: toPortList(view.ports ?? {}),
    ...(sizes && { SizeRw: sizes.rw, SizeRootFs: sizes.rootFs }),
    Labels: record.config.Labels ?? {},
    State: record.state.status,
    Status: toStatusText(record.state, now),
    HostConfig: {
      NetworkMode: record.hostConfig.NetworkMode ?? "",
      ...(record.hostConfig.Annotations && { Annotations: record.hostConfig.Annotations }),
    },
    NetworkSettings: { Networks: toEndpoints(view.endpoints) },
    Mounts: record.mounts.map(toMountPoint),
  };
}

/** `GET /containers/{id}/json` */
export function toInspect(details: ContainerDetails): ContainerInspectJson {
  const { record, sizes } = details;
  const inspect: Record<keyof ContainerInspectResponse, unknown> = {
    Id: record.id,
    Created: record.created,
    Path: record.path,
    Args: record.args,
    State: toState(record),
    Image: record.imageId,
    ResolvConfPath: details.files?.resolvConf ?? "",
    HostnamePath: details.files?.hostname ?? "",
    HostsPath: details.files?.hosts ?? "",
    LogPath: details.logPath,
    Name: `/${record.name}`,
    RestartCount: record.restartCount,
    Driver: details.graphDriver.name,
    Platform: record.platform,
    ImageManifestDescriptor: record.imageManifest,
    MountLabel: "",
    ProcessLabel: "",
    AppArmorProfile: details.apparmorProfile,
    ExecIDs: details.execIds.length > 0 ? details.execIds : null,
    HostConfig: toHostConfig({
      ...record.hostConfig,
      Ulimits: details.ulimits,
      Links: [...(record.hostConfig.Links ?? []), ...details.links],
    }),
    GraphDriver: { Name: details.graphDriver.name, Data: { ID: record.id, ...details.graphDriver.data } },
    SizeRw: sizes?.rw,
    SizeRootFs: sizes?.rootFs,
    Mounts: record.mounts.map(toMountPoint),
    Config: toConfig({ ...record.config, MacAddress: macAskedFor(record) }),
    NetworkSettings: toNetworkSettings(details),
  };
  return inspect as ContainerInspectJson & typeof inspect;
}

function toState(record: ContainerRecord): object {
  const { state } = record;
  return {
    Status: state.status,
    Running: isRunning(record),
    Paused: state.status === "paused",
    Restarting: state.status === "restarting",
    OOMKilled: state.oomKilled,
    Dead: state.status === "dead",
    Pid: state.pid,
    ExitCode: state.exitCode,
    Error: state.error,
    StartedAt: state.startedAt,
    FinishedAt: state.finishedAt,
    ...(state.health && { Health: toHealth(state.health) }),
  };
}

function toHealth({ status, failingStreak, results }: ContainerHealth): object {
  return {
    Status: status,
    FailingStreak: failingStreak,
    Log: results.map(({ start, end, exitCode, output }) => ({
      Start: start,
      End: end,
      ExitCode: exitCode,
      Output: output,
    })),
  };
}

function toCommandText({ path, args }: ContainerRecord): string {
  return [path, ...args.map((arg) => (arg.includes(" ") ? `'${arg}'` : arg))].join(" ");
}

function toPortList(ports: PortMap): object[] {
  return Object.entries(ports).flatMap(([port, bindings]): object[] => {
    const [number, Type = "tcp"] = port.split("/");
    const PrivatePort = Number(number);
    if (!bindings || bindings.length === 0) return [{ PrivatePort, Type }];
    return bindings.map(({ HostIp, HostPort }) => ({
      ...(HostIp && { IP: HostIp }),
      PrivatePort,
      PublicPort: Number(HostPort),
      Type,
    }));
  });
}

function toMountPoint(mount: ContainerMount): object {
  return {
    Type: mount.type,
    ...(mount.name !== undefined && { Name: mount.name }),
    Source: mount.source,
    Destination: mount.destination,
    ...(mount.driver !== undefined && { Driver: mount.driver }),
    Mode: mount.mode,
    RW: mount.rw,
    Propagation: mount.propagation,
  };
}

function toEndpoints(endpoints: Readonly<Record<string, EndpointSettings>>): Record<string, object> {
  return Object.fromEntries(
    Object.entries(endpoints).map(([name, endpoint]) => [name, toEndpoint(endpoint)]),
  );
}

function toEndpoint(endpoint: EndpointSettings): Required<Record<keyof EndpointSettings, unknown>> {
  return {
    IPAMConfig: endpoint.IPAMConfig ?? null,
    Links: endpoint.Links ?? null,
    Aliases: endpoint.Aliases ?? null,
    MacAddress: endpoint.MacAddress ?? "",
    DriverOpts: endpoint.DriverOpts ?? null,
    GwPriority: endpoint.GwPriority ?? 0,
    NetworkID: endpoint.NetworkID ?? "",
    EndpointID: endpoint.EndpointID ?? "",
    Gateway: endpoint.Gateway ?? "",
    IPAddress: endpoint.IPAddress ?? "",
    IPPrefixLen: endpoint.IPPrefixLen ?? 0,
    IPv6Gateway: endpoint.IPv6Gateway ?? "",
    GlobalIPv6Address: endpoint.GlobalIPv6Address ?? "",
    GlobalIPv6PrefixLen: endpoint.GlobalIPv6PrefixLen ?? 0,
    DNSNames: endpoint.DNSNames ?? null,
  };
}

/** Clients before API 1.44 know no other place for it. */
function macAskedFor({ config, hostConfig, requestedNetworks }: ContainerRecord): string | undefined {
  return config.MacAddress || requestedNetworks[hostConfig.NetworkMode ?? ""]?.MacAddress;
}

/** With the old fields that describe the endpoint on the default bridge. */
function toNetworkSettings({ record, ports, sandbox, endpoints }: ContainerView): object {
  const main = toEndpoint(record.networks.bridge ?? {});
  return {
    Bridge: "",
    SandboxID: sandbox?.id ?? "",
    SandboxKey: sandbox?.path ?? "",
    Ports: ports ?? {},
    HairpinMode: false,
    LinkLocalIPv6Address: "",
    LinkLocalIPv6PrefixLen: 0,
    SecondaryIPAddresses: null,
    SecondaryIPv6Addresses: null,
    EndpointID: main.EndpointID,
    Gateway: main.Gateway,
    GlobalIPv6Address: main.GlobalIPv6Address,
    GlobalIPv6PrefixLen: main.GlobalIPv6PrefixLen,
    IPAddress: main.IPAddress,
    IPPrefixLen: main.IPPrefixLen,
    IPv6Gateway: main.IPv6Gateway,
    MacAddress: main.MacAddress,
    Networks: toEndpoints(endpoints),
  };
}

export function toConfig(config: ContainerConfig): object {
  return {
    Hostname: config.Hostname ?? "",
    Domainname: config.Domainname ?? "",
    User: config.User ?? "",
    AttachStdin: config.AttachStdin ?? false,
    AttachStdout: config.AttachStdout ?? false,
    AttachStderr: config.AttachStderr ?? false,
    ...(config.ExposedPorts && { ExposedPorts: config.ExposedPorts }),
    Tty: config.Tty ?? false,
    OpenStdin: config.OpenStdin ?? false,
    StdinOnce: config.StdinOnce ?? false,
    Env: config.Env ?? [],
    Cmd: config.Cmd ?? null,
    ...(config.Healthcheck && { Healthcheck: config.Healthcheck }),
    ...(config.ArgsEscaped && { ArgsEscaped: true }),
    Image: config.Image ?? "",
    Volumes: orNull(config.Volumes),
    WorkingDir: config.WorkingDir ?? "",
    Entrypoint: config.Entrypoint ?? null,
    ...(config.NetworkDisabled && { NetworkDisabled: true }),
    ...(config.MacAddress && { MacAddress: config.MacAddress }),
    OnBuild: config.OnBuild ?? null,
    Labels: config.Labels ?? {},
    ...(config.StopSignal && { StopSignal: config.StopSignal }),
    ...(config.StopTimeout !== undefined &&
      config.StopTimeout !== null && { StopTimeout: config.StopTimeout }),
    ...(config.Shell?.length && { Shell: config.Shell }),
  };
}

/** Go's nil where the request said nothing. */
function orNull<T extends object>(value: T | null | undefined): T | null {
  return value && Object.keys(value).length > 0 ? value : null;
}

function toHostConfig(hostConfig: HostConfig): object {
  const defaults: Partial<Record<keyof HostConfig, unknown>> = {
    Binds: null,
    ContainerIDFile: "",
    LogConfig: { Type: "", Config: {} },
    NetworkMode: "",
    PortBindings: {},
    RestartPolicy: { Name: "no", MaximumRetryCount: 0 },
    AutoRemove: false,
    VolumeDriver: "",
    VolumesFrom: null,
    ConsoleSize: [0, 0],
    CapAdd: null,
    CapDrop: null,
    CgroupnsMode: "",
    Dns: [],
    DnsOptions: [],
    DnsSearch: [],
    ExtraHosts: null,
    GroupAdd: null,
    IpcMode: "",
    Cgroup: "",
    Links: null,
    OomScoreAdj: 0,
    PidMode: "",
    Privileged: false,
    PublishAllPorts: false,
    ReadonlyRootfs: false,
    SecurityOpt: null,
    UTSMode: "",
    UsernsMode: "",
    ShmSize: 0,
    Runtime: "",
    Isolation: "",
    CpuShares: 0,
    Memory: 0,
    NanoCpus: 0,
    CgroupParent: "",
    BlkioWeight: 0,
    BlkioWeightDevice: [],
    BlkioDeviceReadBps: [],
    BlkioDeviceWriteBps: [],
    BlkioDeviceReadIOps: [],
    BlkioDeviceWriteIOps: [],
    CpuPeriod: 0,
    CpuQuota: 0,
    CpuRealtimePeriod: 0,
    CpuRealtimeRuntime: 0,
    CpusetCpus: "",
    CpusetMems: "",
    Devices: [],
    DeviceCgroupRules: null,
    DeviceRequests: null,
    MemoryReservation: 0,
    MemorySwap: 0,
    MemorySwappiness: null,
    OomKillDisable: null,
    PidsLimit: null,
    Ulimits: [],
    CpuCount: 0,
    CpuPercent: 0,
    IOMaximumIOps: 0,
    IOMaximumBandwidth: 0,
  };
  const given = Object.entries(hostConfig).filter(
    ([, value]) => value !== undefined && !(Array.isArray(value) && value.length === 0),
  );
  const open = hostConfig.Privileged ?? false;
  return {
    ...defaults,
    ...Object.fromEntries(given),
    // An empty list says that nothing is masked, its absence that the usual is.
    MaskedPaths: hostConfig.MaskedPaths ?? (open ? null : MASKED_PATHS),
    ReadonlyPaths: hostConfig.ReadonlyPaths ?? (open ? null : READONLY_PATHS),
  };
}
