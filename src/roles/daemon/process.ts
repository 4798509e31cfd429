/** What the daemon does as a process of the host: pid file, limits, signals, and errors that nobody caught. */
import { readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { log } from "../../base/log.ts";
import { ConflictError, messageOf } from "../../core/errors.ts";
import { raiseOpenFiles } from "../../linux/limits.ts";
import { releaseCodePages } from "../../linux/memory.ts";

/** Removed when disposed, if it is still ours. @throws ConflictError if the process that it names is an engine */
export function writePidFile(path: string): Disposable {
  const other = Number.parseInt(readIfThere(path) ?? "", 10);
  if (other > 0 && other !== process.pid && isEngine(other)) {
    throw new ConflictError(
      `failed to start daemon, ensure docker is not running or delete ${path}: process with PID ${other} is still running`,
      { subject: path },
    );
  }
  writeFileSync(path, `${process.pid}\n`, { mode: 0o644 });
  return {
    [Symbol.dispose]: () => {
      if (readIfThere(path)?.trim() === String(process.pid)) rmSync(path, { force: true });
    },
  };
}

/** A running container takes a few; with less than this, fewer than a hundred run side by side. */
const FEW_FILES = 1024;

/** What the engine itself needs besides what it does for clients: state, netlink, logs, monitors. */
const OWN_FILES = 128;
const MOST_CONNECTIONS = 4096;
const FEWEST_CONNECTIONS = 8;

/** Of the descriptors that are left, clients get half: what they ask for needs as many again. */
export function connectionsFor(openFiles: number): number {
  const half = Math.floor((openFiles - OWN_FILES) / 2);
  return Math.max(FEWEST_CONNECTIONS, Math.min(MOST_CONNECTIONS, half));
}

/**
 * As many open files as the host allows, whose number it returns; and a machine short of memory shall not begin with
 * the engine.
 */
export function claimResources(): number {
  // As dockerd: whoever starts it with another umask must not get directories that others cannot pass, or can write.
  process.umask(0o022);
  const files = raiseOpenFiles();
  try {
    writeFileSync("/proc/self/oom_score_adj", "-500");
  } catch (error) {
    // Needs CAP_SYS_RESOURCE: a systemd unit sets it from outside.
    log("debug", "OOM score is left as it is", { error });
  }
  log(files < FEW_FILES ? "warn" : "debug", "open files are limited", { limit: files });
  return files;
}

/**
 * Errors that no caller caught are logged and the daemon goes on. The alternative, to die and be started again,
 * would lose nothing (state is durable before it is published, locks are released by `using`), but it would let
 * one malformed request or image take the API away from everybody, again and again; and not every engine has
 * somebody who starts it again.
 */
export function surviveErrors(): void {
  process.on("uncaughtException", (error) => {
    log("error", "uncaught exception", { error, stack: error.stack });
  });
  process.on("unhandledRejection", (reason) => {
    log("error", "unhandled rejection", {
      error: messageOf(reason),
      stack: reason instanceof Error ? reason.stack : undefined,
    });
  });
}

/**
 * Gives back what boot, or the last burst of work, touched once: now, and whenever the daemon has been quiet for a
 * while since it last worked. What is still needed comes back page by page, from the page cache.
 */
export function keepMemorySmall(): void {
  let before = release();
  /** The collector's own code was touched by collecting: the next quiet interval lets go of that as well. */
  let toRelease: "all" | "code" | "nothing" = "code";
  const check = () => {
    const { user, system } = process.cpuUsage(before);
    if (user + system >= QUIET_MICROSECONDS) {
      toRelease = "all";
    } else if (toRelease === "all") {
      release();
      toRelease = "code";
    } else if (toRelease === "code") {
      releaseCodePages();
      toRelease = "nothing";
    }
    before = process.cpuUsage();
  };
  setInterval(check, QUIET_CHECK_MS).unref();
}

/** Of work in one interval: what an idle daemon stays below. */
const QUIET_MICROSECONDS = 50_000;
const QUIET_CHECK_MS = 10_000;

function release(): NodeJS.CpuUsage {
  Bun.gc(true);
  Bun.shrink();
  releaseCodePages();
  return process.cpuUsage();
}

/** Settles with the first SIGTERM or SIGINT; a later one ends the process at once. */
export function untilToldToStop(): Promise<NodeJS.Signals> {
  const { promise, resolve } = Promise.withResolvers<NodeJS.Signals>();
  let asked = false;
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      if (asked) {
        log("warn", "told to stop again: not waiting", { signal });
        process.exit(128);
      }
      asked = true;
      resolve(signal);
    });
  }
  return promise;
}

function isEngine(pid: number): boolean {
  try {
    return readlinkSync(`/proc/${pid}/exe`) === readlinkSync("/proc/self/exe");
  } catch {
    // No such process any more.
    return false;
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
