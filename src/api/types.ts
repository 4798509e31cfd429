/** Docker's own generated API types (API 1.52), under one roof. Types only: nothing of the package runs. */
export type {
  AuthConfig,
  ContainerConfig,
  ContainerCreateResponse,
  ContainerState,
  ContainerSummary,
  ContainerWaitResponse,
  EndpointIPAMConfig,
  EndpointResource,
  EndpointSettings,
  EventMessage,
  ExecConfig,
  ExecStartConfig,
  HealthConfig,
  ImageInspect,
  ImageSummary,
  IPAM,
  IPAMConfig,
  MountPoint,
  Network,
  NetworkConnectRequest,
  NetworkCreateRequest,
  NetworkDisconnectRequest,
  NetworkInspect,
  NetworkSettings,
  PortBinding,
  ProcessConfig,
  RestartPolicy,
  SystemInfo,
  SystemVersion,
  Volume,
  VolumeCreateOptions,
} from "@docker/node-sdk";

import type { PortBinding } from "@docker/node-sdk";

/** `80/tcp` → its host bindings; `null` where the port is exposed and not published. */
export type PortMap = Record<string, PortBinding[] | null>;

import type * as docker from "@docker/node-sdk";

/** A whole number of 64 bits: a bigint where a double would lose digits. Compare as you like, calculate by `base/int64.ts`. */
export type Int64 = number | bigint;

type Exact<T, K extends keyof T> = Omit<T, K> & { [P in K]?: Int64 };

/** Fields that carry byte counts, which users set to the ends of their range. */
type ByteCounts = "Memory" | "MemorySwap" | "MemoryReservation" | "KernelMemoryTCP";

type Limits<T extends docker.Resources> = Omit<
  Exact<T, ByteCounts>,
  "Ulimits" | "BlkioDeviceReadBps" | "BlkioDeviceWriteBps" | "BlkioDeviceReadIOps" | "BlkioDeviceWriteIOps"
> & {
  Ulimits?: { Name?: string; Soft?: Int64; Hard?: Int64 }[];
  BlkioDeviceReadBps?: ThrottleDevice[];
  BlkioDeviceWriteBps?: ThrottleDevice[];
  BlkioDeviceReadIOps?: ThrottleDevice[];
  BlkioDeviceWriteIOps?: ThrottleDevice[];
};

export interface ThrottleDevice {
  Path?: string;
  Rate?: Int64;
}

export type Resources = Limits<docker.Resources>;
export type Mount = Omit<docker.Mount, "TmpfsOptions"> & {
  TmpfsOptions?: Exact<NonNullable<docker.Mount["TmpfsOptions"]>, "SizeBytes">;
};
export type HostConfig = Omit<Exact<Limits<docker.HostConfig>, "ShmSize">, "Mounts"> & { Mounts?: Mount[] };
export type ContainerUpdateRequest = Limits<docker.ContainerUpdateRequest>;
export type ContainerInspectResponse = Omit<docker.ContainerInspectResponse, "HostConfig"> & {
  HostConfig?: HostConfig;
};
