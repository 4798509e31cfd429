/** Resource limits of this process. */
import { addressOf, check, libc } from "./libc.ts";

const SYS_prlimit64 = 302;
const RLIMIT_NOFILE = 7;

/** Raises the soft limit of open files to the hard one, and returns it. @throws LinuxError */
export function raiseOpenFiles(): number {
  const limit = new BigUint64Array(2);
  const address = addressOf(new Uint8Array(limit.buffer));
  check(libc.syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, address, 0, 0), "prlimit");
  const hard = limit[1] ?? 0n;
  if (limit[0] !== hard) {
    limit[0] = hard;
    check(libc.syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, address, 0, 0, 0), "prlimit");
  }
  return Number(hard);
}
