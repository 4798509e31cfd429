/** What the container use cases need, composed once in `roles/daemon`. Each takes its part of it as first argument. */
import type { KeyedLock } from "../../base/keyed-lock.ts";
import type { ContainerDefaults, EnginePaths } from "../../core/config.ts";
import type { ContainerRecord } from "../../core/container.ts";
import type { ContainerFiles } from "../../core/container-files.ts";
import type { EventSink } from "../../core/events.ts";
import type { ContainerImages } from "../../core/image.ts";
import type { ContainerLogs } from "../../core/logs.ts";
import type { ContainerSandbox, ContainerSandboxes } from "../../core/networking.ts";
import type { RootFiles } from "../../core/rootfs.ts";
import type { Runtime, Task } from "../../core/runtime.ts";
import type { RuntimeSpec } from "../../core/runtime-spec.ts";
import type { Snapshotter } from "../../core/snapshots.ts";
import type { ContainerVolumes } from "../../core/storage.ts";
import type { PreparedMounts } from "./mounts/prepare.ts";
import type { JoinedContainers } from "./state/joined.ts";
import type { RunningContainers } from "./state/running.ts";
import type { ContainerStore } from "./state/store.ts";
import type { StdioClient } from "./streams/stdio.ts";

/** What the kernel of this host offers, as far as container settings depend on it. */
export interface HostFacts {
  readonly cpus: number;
  readonly cgroupVersion: 1 | 2;
  /** Memory and swap can be limited together. */
  readonly swapLimit: boolean;
  /** The kernel shares block devices by weight. */
  readonly blockIoWeight: boolean;
  /** Time can be given to real-time processes by cgroup. */
  readonly cpuRealtime: boolean;
  /** As the kernel writes it: `0-1`. */
  readonly memoryNodes: string;
  readonly apparmor: boolean;
  readonly selinux: boolean;
}

export interface SpecInput {
  readonly container: ContainerRecord;
  readonly rootfs: string;
  readonly sandbox: ContainerSandbox;
  readonly prepared: PreparedMounts;
  /** Host paths of the files to mount in /etc; undefined leaves what the image has. */
  readonly files: { readonly hostname?: string; readonly hosts?: string; readonly resolvConf?: string };
  readonly joined: JoinedContainers;
}

/** What containers ask of the processes that are added to them. `engine/exec` does it, which knows containers. */
export interface ContainerExecs {
  /** Those that did not end yet: inspect's `ExecIDs`. */
  idsOf(containerId: string): string[];
  /** The container's process ended: those that were never started never will be. Others end by themselves, now. */
  endOf(containerId: string): void;
  /** The container is gone, and all that is known of them with it. */
  deleteOf(containerId: string): void;
  /** Boot: those in containers that still run, by container id, go on being looked after. */
  recover(running: ReadonlyMap<string, Task>): Promise<void>;
  /**
   * Runs a program to its end, for the engine itself; both its streams go to `output`. Gives its exit code, or
   * undefined if it took longer than `timeout` milliseconds: then it was killed.
   * @throws EngineError when it cannot be run
   */
  runToEnd(
    containerId: string,
    command: readonly string[],
    options: { output: StdioClient; timeout: number },
  ): Promise<number | undefined>;
}

export interface ContainerDeps {
  readonly store: ContainerStore;
  readonly running: RunningContainers;
  readonly execs: ContainerExecs;
  /** By container id: who holds it may start, release and remove. Never held while waiting for a process to end. */
  readonly locks: KeyedLock;
  readonly images: ContainerImages;
  readonly snapshots: Snapshotter;
  readonly sandboxes: ContainerSandboxes;
  readonly volumes: ContainerVolumes;
  readonly runtime: Runtime;
  readonly logs: ContainerLogs;
  /** Files of containers, for clients. */
  readonly files: ContainerFiles;
  /** Files of containers, for the engine itself. */
  readonly rootFiles: RootFiles;
  readonly toSpec: (input: SpecInput) => Promise<RuntimeSpec>;
  readonly events: EventSink;
  readonly paths: EnginePaths;
  readonly defaults: ContainerDefaults;
  readonly host: HostFacts;
}

/** What one use case needs of all that: a test gives it no more, and its reader sees what it can touch. */
export type Needs<Keys extends keyof ContainerDeps> = Pick<ContainerDeps, Keys>;
