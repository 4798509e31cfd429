/**
 * Namespaces, entered on the JavaScript thread alone. setns and unshare act on the calling thread, so a
 * synchronous function can run inside of another namespace and come back before anything else happens:
 * sockets that it opens and processes that it spawns stay there. Other threads (file system calls of
 * `node:fs/promises`) never leave the host's namespaces.
 *
 * Mount namespaces need a thread whose fs_struct is its own: `ownThreadFs()` once, at the start of the process.
 */
import { closeSync, openSync } from "node:fs";
import { check, LinuxError, lastErrno, libc } from "./libc.ts";

const CLONE = { FS: 0x200, NEWNS: 0x20000, NEWNET: 0x40000000 } as const;

/** Ends sharing of cwd, root and umask between the JavaScript thread and the others. Idempotent. */
export function ownThreadFs(): void {
  check(libc.unshare(CLONE.FS), "unshare", "CLONE_FS");
}

/** Runs a synchronous function with this thread in the given namespace, and returns to the one before. */
export function withNamespace<T>(kind: "net" | "mnt", path: string, work: () => T): T {
  const target = openSync(path, "r");
  try {
    return inNamespace(kind, () => check(libc.setns(target, flagOf(kind)), "setns", path), work);
  } finally {
    closeSync(target);
  }
}

/** Runs a synchronous function with this thread in a new namespace, which lives on in what the function keeps of it. */
export function withNewNamespace<T>(kind: "net" | "mnt", work: () => T): T {
  return inNamespace(kind, () => check(libc.unshare(flagOf(kind)), "unshare", kind), work);
}

/** The file by which the thread's current namespace can be bound or opened. */
export function currentNamespacePath(kind: "net" | "mnt"): string {
  return `/proc/thread-self/ns/${kind}`;
}

function flagOf(kind: "net" | "mnt"): number {
  return kind === "net" ? CLONE.NEWNET : CLONE.NEWNS;
}

function inNamespace<T>(kind: "net" | "mnt", enter: () => void, work: () => T): T {
  const home = openSync(currentNamespacePath(kind), "r");
  try {
    enter();
    try {
      return work();
    } finally {
      // A thread that cannot come home must not go on: every later call would act in the wrong namespace.
      if (libc.setns(home, flagOf(kind)) !== 0) {
        console.error(String(new LinuxError("setns", lastErrno(), `back to the daemon's ${kind} namespace`)));
        process.abort();
      }
    }
  } finally {
    closeSync(home);
  }
}

/** For a process that does one thing: the JavaScript thread gets a mount namespace of its own, for good. @throws LinuxError */
export function enterNewMountNamespace(): void {
  check(libc.unshare(CLONE.FS | CLONE.NEWNS), "unshare", "mnt");
}
