/** Monitors and runtimes that work on a task or an exec: they run outside of its cgroup, and are found by their arguments. */
import {
  isAlive,
  type ProcessIdentity,
  processArguments,
  signalProcess,
  startTimeOf,
  waitUntilGone,
} from "../../linux/processes.ts";

/** The options by which conmon, crun and runc are told a directory or file of the task, or of one of its execs. */
const PLACE_OPTIONS = ["-b", "--bundle", "--process"];

/**
 * Kills what works on the task or exec in that directory, and waits until it is gone. Again and again: a monitor may
 * have forked, and called its runtime, after it was looked for.
 */
export async function endWorkers(directory: string): Promise<void> {
  const deadline = performance.now() + 2000;
  for (let workers = workersOf(directory); workers.length > 0; workers = workersOf(directory)) {
    for (const worker of workers) signalProcess(worker, 9);
    for (const worker of workers) await waitUntilGone(worker, 1000);
    if (performance.now() > deadline) return;
  }
}

function workersOf(directory: string): ProcessIdentity[] {
  const found: ProcessIdentity[] = [];
  for (const { pid, args } of processArguments()) {
    const places = args.filter((_, index) => PLACE_OPTIONS.includes(args[index - 1] ?? ""));
    if (!places.some((place) => `${place}/`.startsWith(`${directory}/`))) continue;
    const startTime = startTimeOf(pid);
    if (startTime !== undefined && isAlive({ pid, startTime })) found.push({ pid, startTime });
  }
  return found;
}
