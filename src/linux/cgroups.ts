/**
 * Control groups of all three layouts: v1 (a tree for each controller), hybrid (v1, with a v2 tree beside) and
 * v2. A *group* is named by its path below the root, the same in every tree: `/gantry-1a2b3c4d/<id>`.
 */
import { readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { hasCode } from "../base/error-codes.ts";

export type CgroupLayout = "v1" | "hybrid" | "v2";

export interface CgroupHost {
  readonly layout: CgroupLayout;
  /** Mount points of every tree, v1 controllers and the v2 tree. */
  readonly trees: readonly string[];
  /** The tree that the freezer, the memory counters and the list of processes are read from, by controller. */
  readonly controllers: ReadonlyMap<string, string>;
  /** The hybrid layout's v2 tree, `/sys/fs/cgroup/unified`. */
  readonly unified: string | undefined;
}

/** Reads /proc/self/mountinfo: what is mounted decides, not what the kernel could do. */
export function detectCgroups(): CgroupHost {
  const trees: string[] = [];
  const controllers = new Map<string, string>();
  let unified: string | undefined;
  for (const line of readFileSync("/proc/self/mountinfo", "utf8").split("\n")) {
    const [before, after] = line.split(" - ");
    const mountPoint = before?.split(" ")[4];
    const [type, , options = ""] = after?.split(" ") ?? [];
    if (!mountPoint?.startsWith("/sys/fs/cgroup")) continue;
    if (type === "cgroup2") {
      trees.push(mountPoint);
      unified = mountPoint;
    } else if (type === "cgroup") {
      trees.push(mountPoint);
      for (const option of options.split(",")) controllers.set(option, mountPoint);
    }
  }
  const layout = controllers.size === 0 ? "v2" : unified === undefined ? "v1" : "hybrid";
  return { layout, trees, controllers, unified };
}

/** One group in every tree. All calls are safe on a group that is gone. */
export class Cgroup {
  readonly path: string;
  readonly #host: CgroupHost;

  constructor(host: CgroupHost, path: string) {
    this.#host = host;
    this.path = path;
  }

  /** Ids of all processes in the group and below. */
  processIds(): number[] {
    const tree = this.#treeOf("pids") ?? this.#treeOf("memory");
    return tree === undefined ? [] : processesBelow(join(tree, this.path));
  }

  /** Takes the limit of processes away. @throws when the kernel refuses */
  allowAnyProcesses(): void {
    const tree = this.#treeOf("pids");
    if (tree !== undefined) writeFileSync(join(tree, this.path, "pids.max"), "max");
  }

  /** Takes the quota of CPU time away; the period stays. @throws when the kernel refuses */
  allowAnyCpuTime(): void {
    const tree = this.#treeOf("cpu");
    if (tree === undefined) return;
    const [file, value] = this.#host.layout === "v2" ? ["cpu.max", "max"] : ["cpu.cfs_quota_us", "-1"];
    writeFileSync(join(tree, this.path, file as string), value as string);
  }

  /** How many processes of the group the kernel has killed for want of memory. */
  oomKills(): number {
    const tree = this.#treeOf("memory");
    if (tree === undefined) return 0;
    const file = this.#host.layout === "v2" ? "memory.events" : "memory.oom_control";
    const match = /^oom_kill (\d+)$/m.exec(readOrEmpty(join(tree, this.path, file)));
    return Number(match?.[1] ?? 0);
  }

  /** Stops or continues all processes; resolves when the kernel has done it. @throws Error after `timeout` ms */
  async freeze(frozen: boolean, timeout = 10_000): Promise<void> {
    const v2 = this.#host.layout === "v2";
    const tree = this.#treeOf("freezer");
    if (tree === undefined) throw new Error("the host has no freezer cgroup");
    const directory = join(tree, this.path);
    const file = join(directory, v2 ? "cgroup.freeze" : "freezer.state");
    writeFileSync(file, v2 ? (frozen ? "1" : "0") : frozen ? "FROZEN" : "THAWED");
    const deadline = performance.now() + timeout;
    while (this.isFrozen() !== frozen) {
      if (performance.now() > deadline) {
        if (frozen) writeFileSync(file, v2 ? "0" : "THAWED");
        throw new Error(`the kernel did not ${frozen ? "freeze" : "thaw"} ${this.path} within ${timeout} ms`);
      }
      await sleep(1);
      // v1: tasks that were forked while freezing are caught by asking again.
      if (!v2 && frozen) writeFileSync(file, "FROZEN");
    }
  }

  isFrozen(): boolean {
    const tree = this.#treeOf("freezer");
    if (tree === undefined) return false;
    const directory = join(tree, this.path);
    return this.#host.layout === "v2"
      ? /^frozen 1$/m.test(readOrEmpty(join(directory, "cgroup.events")))
      : readOrEmpty(join(directory, "freezer.state")).trim() === "FROZEN";
  }

  /** Without waiting: for what was killed. */
  thaw(): void {
    const tree = this.#treeOf("freezer");
    if (tree === undefined || !this.isFrozen()) return;
    const [file, thawed] = this.#host.layout === "v2" ? ["cgroup.freeze", "0"] : ["freezer.state", "THAWED"];
    tryWrite(join(tree, this.path, file as string), thawed as string);
  }

  /** SIGKILL to every process, frozen or not, until none is left. @returns false if some were left after `timeout` ms */
  async killAll(timeout: number): Promise<boolean> {
    const deadline = performance.now() + timeout;
    const tree = this.#treeOf("freezer");
    for (let pause = 0; ; pause = Math.min(pause + 1, 20)) {
      const alive = this.processIds();
      if (alive.length === 0) return true;
      if (this.#host.layout !== "v2" || !tryWrite(join(tree ?? "", this.path, "cgroup.kill"), "1")) {
        for (const pid of alive) signalIgnoringGone(pid, 9);
        this.thaw();
      }
      if (performance.now() > deadline) return false;
      await sleep(pause);
    }
  }

  /** Signals every process that is in the group now. */
  signalAll(signal: number): void {
    for (const pid of this.processIds()) signalIgnoringGone(pid, signal);
  }

  /**
   * Removes the group and all below it from every tree. The last processes may take a moment to leave it.
   * @returns what could not be removed within `timeout` ms
   */
  async remove(timeout = 1000): Promise<string[]> {
    const deadline = performance.now() + timeout;
    for (let pause = 0; ; pause = Math.min(pause + 1, 20)) {
      const left = this.#host.trees.map((tree) => join(tree, this.path)).filter((path) => !removeGroup(path));
      if (left.length === 0 || performance.now() > deadline) return left;
      await sleep(pause);
    }
  }

  /** Removes the group from the trees where nothing is in it. */
  removeIfEmpty(): void {
    for (const tree of this.#host.trees) {
      try {
        rmdirSync(join(tree, this.path));
      } catch (error) {
        if (!hasCode(error, "ENOENT", "EBUSY", "ENOTEMPTY")) throw error;
      }
    }
  }

  #treeOf(controller: string): string | undefined {
    return this.#host.layout === "v2" ? this.#host.unified : this.#host.controllers.get(controller);
  }
}

/** Names of the groups directly below a path, in any tree. */
export function groupsBelow(host: CgroupHost, path: string): Set<string> {
  const names = new Set<string>();
  for (const tree of host.trees) {
    for (const name of directoriesIn(join(tree, path))) names.add(name);
  }
  return names;
}

function processesBelow(directory: string): number[] {
  const own = readOrEmpty(join(directory, "cgroup.procs")).split("\n").filter(Boolean).map(Number);
  return [...own, ...directoriesIn(directory).flatMap((name) => processesBelow(join(directory, name)))];
}

/** True if it is gone. */
function removeGroup(directory: string): boolean {
  try {
    rmdirSync(directory);
    return true;
  } catch (error) {
    if (hasCode(error, "ENOENT")) return true;
    if (!hasCode(error, "EBUSY", "ENOTEMPTY")) throw error;
  }
  for (const name of directoriesIn(directory)) removeGroup(join(directory, name));
  try {
    rmdirSync(directory);
    return true;
  } catch (error) {
    return hasCode(error, "ENOENT");
  }
}

function directoriesIn(directory: string): string[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENODEV")) return [];
    throw error;
  }
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    // ENODEV: the group was removed while the file was open.
    if (hasCode(error, "ENOENT", "ENODEV")) return "";
    throw error;
  }
}

/** True if the file was there and took it. */
function tryWrite(path: string, text: string): boolean {
  try {
    writeFileSync(path, text, { flag: "r+" });
    return true;
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENODEV")) return false;
    throw error;
  }
}

function signalIgnoringGone(pid: number, signal: number): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (!hasCode(error, "ESRCH")) throw error;
  }
}
