/** Docker's own generated API types (API 1.52), under one roof. Types only: nothing of the package runs. */
export type {
  AuthConfig,
  ContainerConfig,
  ContainerCreateResponse,
  ContainerInspectResponse,
  ContainerState,
  ContainerSummary,
  ContainerWaitResponse,
  EndpointIPAMConfig,
  EndpointSettings,
  EventMessage,
  HostConfig,
  ImageInspect,
  ImageSummary,
  IPAM,
  IPAMConfig,
  Mount,
  MountPoint,
  Network,
  NetworkCreateRequest,
  NetworkInspect,
  NetworkSettings,
  PortBinding,
  ProcessConfig,
  SystemInfo,
  SystemVersion,
  Volume,
} from "@docker/node-sdk";

import type { PortBinding } from "@docker/node-sdk";

/** `80/tcp` → its host bindings; `null` where the port is exposed and not published. */
export type PortMap = Record<string, PortBinding[] | null>;
