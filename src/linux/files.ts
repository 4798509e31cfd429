/**
 * File calls that Node's API lacks: exact times, device nodes, extended attributes, write-back, blocking pipes.
 * Paths are resolved by the kernel where the calling process stands: whoever handles hostile names enters their
 * root first (`enterRoot`).
 */
import { check, cString, libc } from "./libc.ts";

const SYNC_FILE_RANGE_WRITE = 2;

/** Asks the kernel to begin writing a range of a file to disk, and does not wait. A hint: failures are ignored. */
export function startWriteback(descriptor: number, offset: number, length: number): void {
  libc.sync_file_range(descriptor, BigInt(offset), BigInt(length), SYNC_FILE_RANGE_WRITE);
}

const O_CLOEXEC = 0o2000000;
const F_SETPIPE_SZ = 1031;

/** A blocking pipe, its descriptors closed on exec. `capacity` in bytes is a wish. @throws LinuxError */
export function openPipe(capacity: number): { readEnd: number; writeEnd: number } {
  const ends = new Int32Array(2);
  check(libc.pipe2(ends, O_CLOEXEC), "pipe2");
  const [readEnd = -1, writeEnd = -1] = ends;
  libc.fcntl(readEnd, F_SETPIPE_SZ, BigInt(capacity));
  return { readEnd, writeEnd };
}

/** Makes a directory the root and the working directory of the whole process. There is no way back. @throws LinuxError */
export function enterRoot(path: string): void {
  process.chdir(path);
  check(libc.chroot(cString(".")), "chroot", path);
}
