/** Stopping before a file system is full: what somebody sends must not take the last bytes from everybody else. */
import { statfsSync } from "node:fs";
import { constants } from "node:os";
import { LinuxError } from "./libc.ts";

/** So much of the file system is left to the others, at most: a hundredth of it. */
const LARGEST_RESERVE = 1 << 30;

/** @throws LinuxError ENOSPC if the file system of that path has no more than what is left to others */
export function checkFreeSpace(path: string): void {
  const { bavail, blocks, bsize } = statfsSync(path);
  if (bavail * bsize < Math.min(LARGEST_RESERVE, (blocks * bsize) / 100)) {
    throw new LinuxError("write", constants.errno.ENOSPC, "it needs more than there is");
  }
}
