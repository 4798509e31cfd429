/**
 * Port: programs that run once in a root of the caller's and leave nothing behind: steps of a build, containers of a
 * frontend. No record is kept and nobody lists them; they get what `run` gives a container, and end with this daemon.
 * What a killed daemon leaves is named by the task's id, which no record owns, so boot destroys it.
 */
import type { Runtime, StdioChunk, TaskExit } from "./runtime.ts";
import type { RuntimeMount } from "./runtime-spec.ts";

export interface OneShotTask {
  /** From `randomId`. */
  readonly id: string;
  /** A mounted root. Mount points that are made in it for this task alone are taken away again. */
  readonly rootfs: string;
  readonly readonlyRoot?: boolean;
  readonly args: readonly string[];
  /** `NAME=value`. HOME and, if `dockerEnvironment`, PATH and HOSTNAME are added where they are missing. */
  readonly env: readonly string[];
  readonly dockerEnvironment?: boolean;
  readonly cwd: string;
  /** `user[:group]`, looked up in the root. */
  readonly user: string;
  readonly hostname: string;
  /** In order: what lies in another comes after it. Sources are host paths. */
  readonly mounts: readonly RuntimeMount[];
  /** `bridge`, `host`, `none`, `container:<id>`, or the name or id of a network. */
  readonly network: string;
  /** `name:address` */
  readonly extraHosts: readonly string[];
  /** All capabilities, no confinement. */
  readonly privileged: boolean;
  readonly ulimits?: readonly { readonly Name: string; readonly Soft: number; readonly Hard: number }[];
  readonly securityOptions?: readonly string[];
  readonly limits?: OneShotLimits;
  /** Bytes; undefined: the engine's default. */
  readonly shmSize?: number;
  /** Of `container:` modes and defaults; empty: the engine's own. */
  readonly cgroupParent?: string;
}

/** In the units of `HostConfig`. */
export interface OneShotLimits {
  readonly memory?: number;
  readonly memorySwap?: number;
  readonly cpuShares?: number;
  readonly cpuPeriod?: number;
  readonly cpuQuota?: number;
  readonly cpusetCpus?: string;
  readonly cpusetMems?: string;
}

export interface OneShotOptions {
  /** Aborted: everything in it is killed, and the call rejects with the signal's reason. */
  readonly signal: AbortSignal;
  /** Called in order as output comes; a promise holds up the program until it settles. */
  readonly onOutput: (chunk: StdioChunk) => void | Promise<void>;
}

export interface OneShotTasks {
  /** Resolves when the program has ended and nothing of it is left on the host. @throws EngineError if it could not be started */
  run(task: OneShotTask, options: OneShotOptions): Promise<Pick<TaskExit, "exitCode">>;
  /** A step will be run in a moment. Never throws. */
  expectStart(): void;
}

/** The part of the runtime that one-shot tasks stand on. */
export type OneShotRuntime = Pick<Runtime, "runOnce" | "expectStart">;
