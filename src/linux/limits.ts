/** Resource limits of this process. */
import { closeSync, openSync } from "node:fs";
import { hasCode } from "../base/error-codes.ts";
import { addressOf, check, libc } from "./libc.ts";

/** By architecture; where there is a generic table, it is that one's. @see asm/unistd.h */
const SYS_prlimit64 = process.arch === "x64" ? 302 : process.arch === "ia32" ? 340 : 261;
const RLIMIT_NOFILE = 7;

/** Raises the soft limit of open files to the hard one, and returns it. @throws LinuxError */
export function raiseOpenFiles(): number {
  const { limit, address } = readOpenFiles();
  const hard = limit[1] ?? 0n;
  if (limit[0] !== hard) {
    limit[0] = hard;
    check(libc.syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, address, 0, 0, 0), "prlimit");
  }
  return Number(hard);
}

/**
 * How many more files this process may open, or fewer: a new descriptor is the lowest that is free. A process that runs
 * out of them cannot start another one.
 */
export function openFilesLeft(): number {
  const soft = Number(readOpenFiles().limit[0]);
  try {
    const lowest = openSync("/dev/null", "r");
    closeSync(lowest);
    return soft - lowest;
  } catch (error) {
    if (hasCode(error, "EMFILE")) return 0;
    throw error;
  }
}

/** Soft and hard limit, and where they lie for the kernel. */
function readOpenFiles(): { limit: BigUint64Array; address: bigint } {
  const limit = new BigUint64Array(2);
  const address = addressOf(new Uint8Array(limit.buffer));
  check(libc.syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, address, 0, 0), "prlimit");
  return { limit, address };
}
