/**
 * A program as a sealed copy in memory: nobody, not even root in a container, can write to what is executed
 * (CVE-2019-5736). crun and runc make such a copy of themselves at every call and then execute again; one that is
 * started from a sealed copy sees that and goes on at once, which saves 2.5 ms a call.
 */
import { closeSync, readFileSync, writeSync } from "node:fs";
import { hasCode } from "../base/error-codes.ts";
import { addressOf, check, cString, libc } from "./libc.ts";

const SYS_MEMFD_CREATE = process.arch === "arm64" ? 279n : 319n;
const MFD_CLOEXEC = 1n;
const MFD_ALLOW_SEALING = 2n;
/** Since Linux 6.3: says that it is to be executed. */
const MFD_EXEC = 0x10n;
const F_ADD_SEALS = 1033;
const F_SEAL_ALL = 1n | 2n | 4n | 8n;

/** @returns the path by which any process of the host can execute it, as long as this one lives @throws LinuxError */
export function sealedCopy(program: string): string {
  const fd = createMemoryFile(program);
  try {
    const bytes = readFileSync(program);
    for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
    check(libc.fcntl(fd, F_ADD_SEALS, F_SEAL_ALL), "fcntl", "F_ADD_SEALS");
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  return `/proc/${process.pid}/fd/${fd}`;
}

function createMemoryFile(program: string): number {
  const name = cString(program.slice(program.lastIndexOf("/") + 1));
  try {
    return create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
  } catch (error) {
    if (!hasCode(error, "EINVAL")) throw error;
    return create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  }
}

function create(name: Buffer, flags: bigint): number {
  return check(libc.syscall(SYS_MEMFD_CREATE, addressOf(name), flags, 0n, 0n, 0n, 0n), "memfd_create");
}
