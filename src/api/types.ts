/** Docker's own generated API types (API 1.52), under one roof. Types only: nothing of the package runs. */
export type {
  AuthConfig,
  ContainerConfig,
  ContainerCreateResponse,
  ContainerInspectResponse,
  ContainerState,
  ContainerSummary,
  ContainerUpdateRequest,
  ContainerWaitResponse,
  EndpointIPAMConfig,
  EndpointResource,
  EndpointSettings,
  EventMessage,
  ExecConfig,
  ExecStartConfig,
  HealthConfig,
  HostConfig,
  ImageInspect,
  ImageSummary,
  IPAM,
  IPAMConfig,
  Mount,
  MountPoint,
  Network,
  NetworkConnectRequest,
  NetworkCreateRequest,
  NetworkDisconnectRequest,
  NetworkInspect,
  NetworkSettings,
  PortBinding,
  ProcessConfig,
  Resources,
  RestartPolicy,
  SystemInfo,
  SystemVersion,
  Volume,
  VolumeCreateOptions,
} from "@docker/node-sdk";

import type { PortBinding } from "@docker/node-sdk";

/** `80/tcp` → its host bindings; `null` where the port is exposed and not published. */
export type PortMap = Record<string, PortBinding[] | null>;
