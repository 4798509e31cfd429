/** flock(2): a lock that the kernel gives back when its holder dies, however it dies. */
import { closeSync, openSync } from "node:fs";
import { hasCode } from "../base/error-codes.ts";
import { check, libc } from "./libc.ts";

const LOCK_EX = 2;
const LOCK_NB = 4;

/** Locks the file, making it if it is not there; undefined if another process holds it. @throws LinuxError */
export function tryLockFile(path: string): Disposable | undefined {
  const fd = openSync(path, "a", 0o600);
  try {
    check(libc.flock(fd, LOCK_EX | LOCK_NB), "flock", path);
  } catch (error) {
    closeSync(fd);
    if (hasCode(error, "EAGAIN", "EWOULDBLOCK")) return undefined;
    throw error;
  }
  return { [Symbol.dispose]: () => closeSync(fd) };
}
