/**
 * Moving a process into a control group waits for an RCU grace period, 8 to 20 ms, unless another move ended less
 * than about 10 ms before (kernel/cgroup/cgroup.c: `cgroup_threadgroup_rwsem`, a percpu_rw_semaphore over rcu_sync).
 * The mount option `favordynmods` takes the wait away for good, for the whole host and at the price of slower forks.
 * Here it is waited for in advance, on another thread: who knows that a runtime will move a process in a moment makes
 * moves of its own until then, of the daemon into the group that it is in. Nothing moves, nothing is left.
 */
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { log } from "../base/log.ts";
import type { CgroupHost } from "./cgroups.ts";

/** Long enough for a client to send its next request and for a runtime to come up. Milliseconds. */
const AHEAD = 60;
/** Shorter than what the kernel stays ready for after a move. Milliseconds. */
const BETWEEN = 4;

/** Keeps the kernel ready for the next move of a process, while somebody expects one. */
export class CgroupMoves {
  readonly #host: CgroupHost;
  #until = 0;
  #busy = false;

  constructor(host: CgroupHost) {
    this.#host = host;
  }

  /** Moves within the next 60 ms will be quick. Costs a few microseconds; without effect where it is not allowed. */
  expect(): void {
    this.#until = performance.now() + AHEAD;
    if (!this.#busy) void this.#keepReady();
  }

  async #keepReady(): Promise<void> {
    this.#busy = true;
    let file: string | undefined;
    try {
      // Each time: somebody may have put the daemon into another group since, and it shall stay there.
      file = ownGroup(this.#host);
      while (file !== undefined && performance.now() < this.#until) {
        // 0: the process that writes.
        await writeFile(file, "0", { flag: "r+" });
        await sleep(BETWEEN);
      }
    } catch (error) {
      log("debug", "moves between control groups cannot be prepared", { file, error });
    } finally {
      this.#busy = false;
    }
  }
}

/** The list of processes of the group that the daemon is in, in any one tree: the lock is the same for all of them. */
export function ownGroup({ controllers, unified }: CgroupHost): string | undefined {
  for (const line of readFileSync("/proc/self/cgroup", "utf8").split("\n")) {
    const [, names = "", path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    const tree = names === "" ? unified : controllers.get(names.split(",")[0] ?? "");
    if (path !== undefined && tree !== undefined) return join(tree, path, "cgroup.procs");
  }
  return undefined;
}
