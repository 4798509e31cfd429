/**
 * Processes by pid *and* start time: a pid alone may have been given to someone else. Signals go through a pidfd,
 * so that they reach the process that was checked or nobody.
 */
import { closeSync, readdirSync, readFileSync } from "node:fs";
import { constants } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { check, LinuxError, lastErrno, libc } from "./libc.ts";

export interface ProcessIdentity {
  readonly pid: number;
  /** Field 22 of /proc/pid/stat: clock ticks since boot. */
  readonly startTime: number;
}

const SYS_PIDFD_SEND_SIGNAL = 424n;
const SYS_PIDFD_OPEN = 434n;

/** State letter and start time, or undefined if there is no such process. */
function readStat(pid: number): { state: string; startTime: number } | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch {
    return undefined;
  }
  // The command (field 2) may hold spaces and parentheses: count from the last closing one.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return { state: fields[0] ?? "", startTime: Number(fields[19]) };
}

/** Start time of a process that exists (a zombie too). */
export function startTimeOf(pid: number): number | undefined {
  return readStat(pid)?.startTime;
}

/** True while that very process runs; a zombie has ended. */
export function isAlive({ pid, startTime }: ProcessIdentity): boolean {
  const stat = readStat(pid);
  return stat !== undefined && stat.startTime === startTime && stat.state !== "Z" && stat.state !== "X";
}

/** Signals that very process. False if it is gone. @throws LinuxError when it is not allowed */
export function signalProcess(process: ProcessIdentity, signal: number): boolean {
  const fd = Number(libc.syscall(SYS_PIDFD_OPEN, BigInt(process.pid), 0n, 0n, 0n, 0n, 0n));
  if (fd < 0) {
    const error = new LinuxError("pidfd_open", lastErrno(), String(process.pid));
    if (error.code === "ESRCH") return false;
    throw error;
  }
  try {
    if (startTimeOf(process.pid) !== process.startTime) return false;
    const result = libc.syscall(SYS_PIDFD_SEND_SIGNAL, BigInt(fd), BigInt(signal), 0n, 0n, 0n, 0n);
    if (Number(result) < 0) {
      const error = new LinuxError("pidfd_send_signal", lastErrno(), String(process.pid));
      if (error.code === "ESRCH") return false;
      throw error;
    }
    return true;
  } finally {
    closeSync(fd);
  }
}

/** Waits until that very process has ended, at most `timeout` ms. False if it still runs then. */
export async function waitUntilGone(process: ProcessIdentity, timeout: number): Promise<boolean> {
  const deadline = performance.now() + timeout;
  for (let pause = 0; isAlive(process); pause = Math.min(pause + 1, 20)) {
    if (performance.now() > deadline) return false;
    await sleep(pause);
  }
  return true;
}

/** Every process of the host with its arguments; kernel threads and those that end meanwhile are left out. */
export function* processArguments(): Generator<{ pid: number; args: readonly string[] }> {
  for (const name of readdirSync("/proc")) {
    if (!/^[0-9]+$/.test(name)) continue;
    let text: string;
    try {
      text = readFileSync(`/proc/${name}/cmdline`, "utf8");
    } catch {
      continue;
    }
    if (text !== "") yield { pid: Number(name), args: text.replace(/\0$/, "").split("\0") };
  }
}

const PR_SET_PDEATHSIG = 1;

/**
 * Ties a helper to the process that started it: it is killed when that one ends, however that is. Ends at once if
 * that has happened already.
 */
export function endWithParent(parent: number): void {
  check(
    libc.prctl(PR_SET_PDEATHSIG, BigInt(constants.signals.SIGKILL), 0n, 0n, 0n),
    "prctl",
    "PR_SET_PDEATHSIG",
  );
  if (process.ppid !== parent) process.kill(process.pid, "SIGKILL");
}
