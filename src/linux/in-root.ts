/**
 * Paths inside of a foreign root: openat2(2) with RESOLVE_IN_ROOT resolves them as if the root were `/`, absolute
 * and `..` links included, in one step that cannot be raced. Magic links (/proc/…/fd) are refused.
 */
import { closeSync, openSync } from "node:fs";
import { addressOf, check, cString, LinuxError, lastErrno, libc } from "./libc.ts";

const SYS_OPENAT2 = 437n;
const RESOLVE_NO_MAGICLINKS = 0x02n;
const RESOLVE_IN_ROOT = 0x10n;

export const O = {
  RDONLY: 0,
  NONBLOCK: 0o4000,
  DIRECTORY: 0o200000,
  NOFOLLOW: 0o400000,
  CLOEXEC: 0o2000000,
  PATH: 0o10000000,
} as const;

/** Opens the directory that stands for `/` in what follows. */
export function openRoot(path: string): number {
  return openSync(path, O.PATH | O.DIRECTORY | O.CLOEXEC);
}

/** @returns a descriptor, or undefined if nothing is there @throws LinuxError */
export function openInRoot(root: number, path: string, flags: number): number | undefined {
  const how = new BigUint64Array([BigInt(flags | O.CLOEXEC), 0n, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS]);
  const name = cString(path);
  for (let attempt = 0; ; attempt++) {
    const fd = Number(
      libc.syscall(
        SYS_OPENAT2,
        BigInt(root),
        addressOf(name),
        addressOf(new Uint8Array(how.buffer)),
        24n,
        0n,
        0n,
      ),
    );
    if (fd >= 0) return fd;
    const error = new LinuxError("openat2", lastErrno(), path);
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
    // EAGAIN: something was renamed while the kernel was resolving.
    if (error.code !== "EAGAIN" || attempt === 100) throw error;
  }
}

/** Makes one directory in an open one. @returns false if something of that name was there @throws LinuxError */
export function makeDirectoryAt(parent: number, name: string, mode: number): boolean {
  if (libc.mkdirat(parent, cString(name), mode) === 0) return true;
  const error = new LinuxError("mkdirat", lastErrno(), name);
  if (error.code === "EEXIST") return false;
  throw error;
}

/** Owner of what was just made there; a link that took its place meanwhile is not followed. */
export function changeOwnerAt(parent: number, name: string, uid: number, gid: number): void {
  const AT_SYMLINK_NOFOLLOW = 0x100;
  check(libc.fchownat(parent, cString(name), uid, gid, AT_SYMLINK_NOFOLLOW), "fchownat", name);
}

export function closeDescriptor(fd: number): void {
  closeSync(fd);
}
