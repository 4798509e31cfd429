/** Where everything of a task lies: names derived from its id alone, below the engine's exec root. */
import { join } from "node:path";

/** The files of one task. */
export class TaskPaths {
  readonly id: string;
  /** The OCI bundle and the monitor's working directory. */
  readonly directory: string;
  /** Written by the monitor when the task ended: the exit code, by the file's own time. */
  readonly exitFile: string;
  /** The OCI runtime's state. */
  readonly runtimeState: string;

  constructor(execRoot: string, id: string) {
    this.id = id;
    this.directory = join(tasksDirectory(execRoot), id);
    this.exitFile = join(exitsDirectory(execRoot), id);
    this.runtimeState = join(runtimeRoot(execRoot), id);
  }

  get config(): string {
    return join(this.directory, "config.json");
  }
  get initPid(): string {
    return join(this.directory, "init.pid");
  }
  get monitorPid(): string {
    return join(this.directory, "conmon.pid");
  }
  /** What the monitor says before it detaches. */
  get monitorLog(): string {
    return join(this.directory, "conmon.log");
  }
  /** What must be known of the task after the daemon died: `TaskState`. Its presence means that create was complete. */
  get state(): string {
    return join(this.directory, "task.json");
  }
  /** A fifo: `1 H W` resizes, `2 0 0` reopens the log. */
  get control(): string {
    return join(this.directory, "ctl");
  }
  /** Left by the monitor when the kernel told it of an out-of-memory kill. */
  get oom(): string {
    return join(this.directory, "oom");
  }
  /** crun's: the created init waits for a byte. It is gone once the task was started. */
  get execFifo(): string {
    return join(this.runtimeState, "exec.fifo");
  }
  /** A tmpfs, if others may share the container's /dev/shm. */
  get sharedMemory(): string {
    return join(this.directory, "shm");
  }
  get execs(): string {
    return join(this.directory, "execs");
  }
}

/** A directory for each task, named by its id. */
export function tasksDirectory(execRoot: string): string {
  return join(execRoot, "tasks");
}

/** Where monitors write exit codes. */
export function exitsDirectory(execRoot: string): string {
  return join(execRoot, "exits");
}

/** The runtime's own state. */
export function runtimeRoot(execRoot: string): string {
  return join(execRoot, "runtime");
}
