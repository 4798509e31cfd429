/** What is kept of a task on disk, so that the next daemon can take it over. Gone with the reboot that ends the task. */
import { readFileSync } from "node:fs";
import { replaceFile } from "../../base/durable.ts";
import { hasCode } from "../../base/error-codes.ts";
import { log } from "../../base/log.ts";
import type { ProcessIdentity } from "../../linux/processes.ts";
import type { TaskPaths } from "./paths.ts";

export interface TaskState {
  /** Pids and start times mean something within one boot. */
  readonly bootId: string;
  readonly init: ProcessIdentity;
  readonly monitor: ProcessIdentity;
  /** The name of the configured runtime that made it. */
  readonly runtime: string;
  readonly cgroupPath: string;
  readonly tty: boolean;
  readonly stdin: boolean;
  readonly stdinOnce: boolean;
  readonly logPath: string | undefined;
}

/** Whole or not at all, by rename; no fsync, since the task does not outlive a power loss either. */
export function writeTaskState(paths: TaskPaths, state: TaskState): void {
  replaceFile(paths.state, JSON.stringify(state));
}

/** Undefined if create never got that far, or a power loss tore the file: its task is gone, too. */
export function readTaskState(paths: TaskPaths): TaskState | undefined {
  return readState<TaskState>(paths.state);
}

/** Undefined if it was never written, or only half. */
export function readState<T>(file: string): T | undefined {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as T;
  } catch (error) {
    if (hasCode(error, "ENOENT")) return undefined;
    if (!(error instanceof SyntaxError)) throw error;
    log("warn", "a state file is damaged: what it was of counts as half-made", { file });
    return undefined;
  }
}

let boot: string | undefined;

export function bootId(): string {
  boot ??= readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  return boot;
}
