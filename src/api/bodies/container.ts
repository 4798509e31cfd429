/** Decoders of a container's configuration, every field of Docker's types. What the values may be is the engine's. */
import {
  array,
  bool,
  type Decoder,
  duration,
  exactInt64,
  exactUint64,
  int,
  int64,
  map,
  mapped,
  nullable,
  string,
  stringOrArray,
  struct,
  tuple,
  uint,
  uint16,
  uint32,
  uint64,
  uncheckedWord,
} from "../decode.ts";
import type {
  ContainerConfig,
  ContainerUpdateRequest,
  EndpointSettings,
  ExecConfig,
  ExecStartConfig,
  HealthConfig,
  HostConfig,
  Int64,
  Mount,
  PortBinding,
  Resources,
  RestartPolicy,
  ThrottleDevice,
} from "../types.ts";
import { endpointSettings } from "./network.ts";

/** `struct{}`: only the key matters. */
const nothing: Decoder<object> = struct<object>("struct {}", {});

const healthConfig = struct<HealthConfig>("container.HealthConfig", {
  Test: array(string),
  Interval: duration,
  Timeout: duration,
  StartPeriod: duration,
  StartInterval: duration,
  Retries: int,
});

const configFields = {
  Hostname: string,
  Domainname: string,
  User: string,
  AttachStdin: bool,
  AttachStdout: bool,
  AttachStderr: bool,
  ExposedPorts: map(nothing),
  Tty: bool,
  OpenStdin: bool,
  StdinOnce: bool,
  Env: array(string),
  Cmd: stringOrArray,
  Healthcheck: healthConfig,
  ArgsEscaped: bool,
  Image: string,
  Volumes: map(nothing),
  WorkingDir: string,
  Entrypoint: stringOrArray,
  NetworkDisabled: bool,
  MacAddress: string,
  OnBuild: array(string),
  Labels: map(string),
  StopSignal: string,
  StopTimeout: int,
  Shell: stringOrArray,
};

/** Alone: the body of `POST /commit`. */
export const containerConfig: Decoder<ContainerConfig> = struct<ContainerConfig>(
  "container.Config",
  configFields,
);

const throttleDevices = array(
  struct<ThrottleDevice>("blkiodev.ThrottleDevice", { Path: string, Rate: exactUint64 }),
);

const resourceFields = {
  CpuShares: int64,
  Memory: exactInt64,
  CgroupParent: string,
  BlkioWeight: uint16,
  BlkioWeightDevice: array(
    struct<{ Path: string; Weight: number }>("blkiodev.WeightDevice", { Path: string, Weight: uint16 }),
  ),
  BlkioDeviceReadBps: throttleDevices,
  BlkioDeviceWriteBps: throttleDevices,
  BlkioDeviceReadIOps: throttleDevices,
  BlkioDeviceWriteIOps: throttleDevices,
  CpuPeriod: int64,
  CpuQuota: int64,
  CpuRealtimePeriod: int64,
  CpuRealtimeRuntime: int64,
  CpusetCpus: string,
  CpusetMems: string,
  Devices: array(
    struct<{ PathOnHost: string; PathInContainer: string; CgroupPermissions: string }>(
      "container.DeviceMapping",
      { PathOnHost: string, PathInContainer: string, CgroupPermissions: string },
    ),
  ),
  DeviceCgroupRules: array(string),
  DeviceRequests: array(
    struct<{
      Driver: string;
      Count: number;
      DeviceIDs: string[];
      Capabilities: string[][];
      Options: Record<string, string>;
    }>("container.DeviceRequest", {
      Driver: string,
      Count: int,
      DeviceIDs: array(string),
      Capabilities: array(array(string)),
      Options: map(string),
    }),
  ),
  KernelMemoryTCP: exactInt64,
  MemoryReservation: exactInt64,
  MemorySwap: exactInt64,
  MemorySwappiness: int64,
  NanoCpus: int64,
  OomKillDisable: bool,
  Init: bool,
  PidsLimit: int64,
  Ulimits: array(
    struct<{ Name: string; Soft: Int64; Hard: Int64 }>("units.Ulimit", {
      Name: string,
      Soft: exactInt64,
      Hard: exactInt64,
    }),
  ),
  CpuCount: int64,
  CpuPercent: int64,
  IOMaximumIOps: uint64,
  IOMaximumBandwidth: uint64,
} satisfies Record<keyof Resources, Decoder<unknown>>;

const restartPolicy = struct<RestartPolicy>("container.RestartPolicy", {
  Name: uncheckedWord(),
  MaximumRetryCount: int,
});

const mount = struct<Mount>("mount.Mount", {
  Type: uncheckedWord(),
  Source: string,
  Target: string,
  ReadOnly: bool,
  Consistency: string,
  BindOptions: struct<NonNullable<Mount["BindOptions"]>>("mount.BindOptions", {
    Propagation: uncheckedWord(),
    NonRecursive: bool,
    CreateMountpoint: bool,
    ReadOnlyNonRecursive: bool,
    ReadOnlyForceRecursive: bool,
  }),
  VolumeOptions: struct<NonNullable<Mount["VolumeOptions"]>>("mount.VolumeOptions", {
    NoCopy: bool,
    Labels: map(string),
    Subpath: string,
    DriverConfig: struct<{ Name: string; Options: Record<string, string> }>("mount.Driver", {
      Name: string,
      Options: map(string),
    }),
  }),
  ImageOptions: struct<NonNullable<Mount["ImageOptions"]>>("mount.ImageOptions", { Subpath: string }),
  TmpfsOptions: struct<NonNullable<Mount["TmpfsOptions"]>>("mount.TmpfsOptions", {
    SizeBytes: exactInt64,
    Mode: uint32,
    Options: array(array(string)),
  }),
});

const portBinding = struct<PortBinding>("nat.PortBinding", { HostIp: string, HostPort: string });

const hostConfig: Decoder<HostConfig> = struct<HostConfig>("container.HostConfig", {
  ...resourceFields,
  Binds: array(string),
  ContainerIDFile: string,
  LogConfig: struct<NonNullable<HostConfig["LogConfig"]>>("container.LogConfig", {
    Type: uncheckedWord(),
    Config: map(string),
  }),
  NetworkMode: string,
  PortBindings: map(nullable(array(portBinding))),
  RestartPolicy: restartPolicy,
  AutoRemove: bool,
  VolumeDriver: string,
  VolumesFrom: array(string),
  Mounts: array(mount),
  ConsoleSize: tuple(uint, 2),
  Annotations: map(string),
  CapAdd: stringOrArray,
  CapDrop: stringOrArray,
  CgroupnsMode: uncheckedWord(),
  Dns: array(string),
  DnsOptions: array(string),
  DnsSearch: array(string),
  ExtraHosts: array(string),
  GroupAdd: array(string),
  IpcMode: string,
  Cgroup: string,
  Links: array(string),
  OomScoreAdj: int,
  PidMode: string,
  Privileged: bool,
  PublishAllPorts: bool,
  ReadonlyRootfs: bool,
  SecurityOpt: array(string),
  StorageOpt: map(string),
  Tmpfs: map(string),
  UTSMode: string,
  UsernsMode: string,
  ShmSize: exactInt64,
  Sysctls: map(string),
  Runtime: string,
  Isolation: uncheckedWord(),
  MaskedPaths: array(string),
  ReadonlyPaths: array(string),
});

/** Null endpoints are kept: the engine refuses them in Docker's words. */
export interface NetworkingConfig {
  EndpointsConfig?: Record<string, EndpointSettings | null>;
}

const networkingConfig: Decoder<NetworkingConfig> = struct<NetworkingConfig>("network.NetworkingConfig", {
  EndpointsConfig: map(nullable(endpointSettings)),
});

/** The body of `POST /containers/create`, taken apart. */
export interface ContainerCreateBody {
  /** undefined if the body has no field of it: "config cannot be empty in order to create a container". */
  readonly config: ContainerConfig | undefined;
  readonly hostConfig: HostConfig;
  readonly networkingConfig: NetworkingConfig;
}

interface FlatCreateBody extends ContainerConfig {
  HostConfig: HostConfig;
  NetworkingConfig: NetworkingConfig;
  /** Where docker-py writes the runtime that it is asked for. */
  Runtime: string;
}

export const containerCreateBody: Decoder<ContainerCreateBody> = mapped(
  struct<FlatCreateBody>("container.CreateRequest", {
    ...configFields,
    HostConfig: hostConfig,
    NetworkingConfig: networkingConfig,
    Runtime: string,
  }),
  ({ HostConfig, NetworkingConfig, Runtime, ...config }) => ({
    config: Object.keys(config).length > 0 ? config : undefined,
    hostConfig: Runtime && !HostConfig?.Runtime ? { ...HostConfig, Runtime } : (HostConfig ?? {}),
    networkingConfig: NetworkingConfig ?? {},
  }),
);

/** `POST /containers/{id}/update`. */
export const containerUpdateBody: Decoder<ContainerUpdateRequest> = struct<ContainerUpdateRequest>(
  "container.UpdateConfig",
  { ...resourceFields, RestartPolicy: restartPolicy },
);

/** `POST /containers/{id}/exec`. `Detach` is sent by old clients and means nothing there. */
export const execCreateBody: Decoder<ExecConfig> = struct<ExecConfig>("container.ExecOptions", {
  AttachStdin: bool,
  AttachStdout: bool,
  AttachStderr: bool,
  ConsoleSize: tuple(uint, 2),
  DetachKeys: string,
  Tty: bool,
  Env: array(string),
  Cmd: array(string),
  Privileged: bool,
  User: string,
  WorkingDir: string,
});

/** `POST /exec/{id}/start`. */
export const execStartBody: Decoder<ExecStartConfig> = struct<ExecStartConfig>("container.ExecStartOptions", {
  Detach: bool,
  Tty: bool,
  ConsoleSize: tuple(uint, 2),
});
