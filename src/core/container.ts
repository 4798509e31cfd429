/**
 * The container record: what is persisted, and what lists and inspect are made from.
 * Immutable: a transition makes a new record, persists it, then publishes it (`engine/containers/state/store.ts`).
 * The request's own objects are kept in Docker's shape, so that inspect gives back what create was given.
 */
import type { ContainerConfig, EndpointSettings, HostConfig } from "../api/types.ts";
import type { Descriptor } from "./content.ts";
import type { ContainerId, Digest } from "./ids.ts";

export type ContainerStatus =
  | "created"
  | "running"
  | "paused"
  | "restarting"
  | "removing"
  | "exited"
  | "dead";

export interface ContainerState {
  readonly status: ContainerStatus;
  /** 0 while no process runs. */
  readonly pid: number;
  readonly pidStartTime: number;
  readonly exitCode: number;
  /** Why the last start failed, empty otherwise. */
  readonly error: string;
  readonly oomKilled: boolean;
  /** RFC 3339 with nanoseconds; Go's zero time before the first start. */
  readonly startedAt: string;
  readonly finishedAt: string;
  /** Undefined without a health check, and before the first start. */
  readonly health?: ContainerHealth;
}

export interface ContainerHealth {
  readonly status: "starting" | "healthy" | "unhealthy";
  /** Failures in a row. */
  readonly failingStreak: number;
  /** The last ones, oldest first. */
  readonly results: readonly HealthResult[];
}

/** One run of a health check. Times are RFC 3339. */
export interface HealthResult {
  readonly start: string;
  readonly end: string;
  /** 0 is healthy; −1 when it could not be run or took too long. */
  readonly exitCode: number;
  /** Both streams, at most 4096 bytes. */
  readonly output: string;
}

/** A mount as it was resolved at create: inspect's `Mounts`, and what start mounts. */
export interface ContainerMount {
  readonly type: "bind" | "volume" | "tmpfs" | "image" | "npipe" | "cluster";
  /** Volume name. */
  readonly name?: string;
  /** Host path; for a volume its mountpoint. */
  readonly source: string;
  readonly destination: string;
  readonly driver?: string;
  /** The options after the second colon of `-v`, as given. */
  readonly mode: string;
  readonly rw: boolean;
  readonly propagation: string;
  /** Nobody asked for it. */
  readonly propagationByDefault?: boolean;
  /** An anonymous volume, removed with `rm -v` and `--rm`. */
  readonly anonymous?: boolean;
  readonly noCopy?: boolean;
  readonly subpath?: string;
  readonly nonRecursive?: boolean;
  /** Read-only, but not the mounts below it. */
  readonly readOnlyNonRecursive?: boolean;
  readonly createMountpoint?: boolean;
  /** Of an image mount: what is mounted, lowest layer first. */
  readonly image?: { readonly id: Digest; readonly layers: readonly Digest[] };
  /** From `--mount`: tmpfs size in bytes and mode; from `--tmpfs`: raw options. */
  readonly tmpfs?: { readonly size?: number | bigint; readonly mode?: number; readonly options?: string };
}

/** A neighbour, and what the container that links calls it. */
export interface ContainerLink {
  readonly alias: string;
  readonly target: ContainerId;
}

export interface ContainerRecord {
  readonly id: ContainerId;
  /** Without the slash that the API puts in front. */
  readonly name: string;
  readonly created: string;
  readonly path: string;
  readonly args: readonly string[];
  /** The image as asked for, and what it resolved to then. */
  readonly image: string;
  readonly imageId: Digest;
  readonly imageManifest?: Descriptor;
  readonly platform: string;
  /** diffIDs chain, lowest first: chain ids of the snapshot's layers. */
  readonly layers: readonly Digest[];
  /** Merged with the image's config at create. */
  readonly config: ContainerConfig;
  readonly hostConfig: HostConfig;
  readonly mounts: readonly ContainerMount[];
  /** Keyed by network name. While it runs: the endpoints with their addresses; otherwise `requestedNetworks`. */
  readonly networks: Readonly<Record<string, EndpointSettings>>;
  /** `--link` on the default bridge: resolved at create, so that renames and namesakes change nothing. */
  readonly links?: readonly ContainerLink[];
  /** The endpoints as they were asked for, without what the last start added: what the next start begins with. */
  readonly requestedNetworks: Readonly<Record<string, EndpointSettings>>;
  readonly state: ContainerState;
  readonly restartCount: number;
  /** `docker stop` was the last word: policies leave it alone until it is started again. */
  readonly manuallyStopped: boolean;
  /** Intent, written before the first kernel resource is made: tells boot that a start was under way. */
  readonly starting: boolean;
  /** Its removal was asked for with its anonymous volumes: boot finishes a removal that was cut short. */
  readonly removeVolumes?: boolean;
}

/** A process is there, or is about to be again: what Docker calls running. */
export function isRunning(container: ContainerRecord): boolean {
  const { status } = container.state;
  return status === "running" || status === "paused" || status === "restarting";
}

/** Go's zero time: what Docker shows for "never". */
export const ZERO_TIME = "0001-01-01T00:00:00Z";
