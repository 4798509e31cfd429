/** Copying the content of files within the kernel. Synchronous: for helper processes. */
import { readSync, writeSync } from "node:fs";
import { check, LinuxError, lastErrno, libc } from "./libc.ts";

const SYS_copy_file_range = process.arch === "arm64" ? 285n : 326n;
const LARGEST_STEP = 1 << 30;
/** The kernel cannot do it between these two files, or at all. */
const UNABLE = ["ENOSYS", "EXDEV", "EPERM", "EIO", "EOPNOTSUPP", "EINVAL"];

/** From and to the descriptors' positions. What a file has beyond `size` bytes is left out. @throws LinuxError */
export function copyContent(from: number, to: number, size: number): void {
  for (let left = size; left > 0; ) {
    const step = BigInt(Math.min(left, LARGEST_STEP));
    const copied = Number(libc.syscall(SYS_copy_file_range, BigInt(from), 0n, BigInt(to), 0n, step, 0n));
    if (copied === 0) return;
    if (copied > 0) {
      left -= copied;
      continue;
    }
    const error = new LinuxError("copy_file_range", lastErrno());
    if (error.code === "EINTR") continue;
    if (left < size || !UNABLE.includes(error.code)) throw error;
    copyThroughMemory(from, to, size);
    return;
  }
}

function copyThroughMemory(from: number, to: number, size: number): void {
  const buffer = Buffer.allocUnsafe(Math.min(size, 1 << 20));
  for (let left = size; left > 0; ) {
    const count = readSync(from, buffer, 0, Math.min(left, buffer.length), null);
    if (count === 0) return;
    for (let written = 0; written < count; )
      written += check(writeSync(to, buffer, written, count - written), "write");
    left -= count;
  }
}
