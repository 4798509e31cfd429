/**
 * Opens paths that somebody else wrote, beneath a directory that is ours: the kernel resolves them (openat2), so
 * neither `..` nor a symbolic link, however it changes meanwhile, leads out. Never re-resolve the path afterwards:
 * use the descriptor, by `pathOf(fd)` where a path is needed.
 */
import { constants } from "node:fs";
import { addressOf, check, cString, libc } from "./libc.ts";

const SYS_openat2 = 437;
const O_PATH = 0o10000000;
const O_CLOEXEC = 0o2000000;
const RESOLVE_NO_MAGICLINKS = 0x02;
const RESOLVE_BENEATH = 0x08;
const RESOLVE_IN_ROOT = 0x10;

export interface OpenBeneathOptions {
  /**
   * `root`: absolute links and `..` are resolved as if `directory` were `/`, as inside of a container.
   * `beneath`: whatever leads out is an error (EXDEV).
   */
  readonly links: "root" | "beneath";
  /** ENOTDIR if it is anything else. */
  readonly directory?: boolean;
}

/** A descriptor that only names the file (O_PATH); the caller closes it. @throws LinuxError */
export function openBeneath(directory: string, path: string, options: OpenBeneathOptions): number {
  const root = cString(directory);
  const rootFd = check(libc.open(root, O_PATH | O_CLOEXEC | constants.O_DIRECTORY, 0), "open", directory);
  try {
    const relative = path.replace(/^\/+/, "") || ".";
    const name = cString(relative);
    const flags = O_PATH | O_CLOEXEC | (options.directory ? constants.O_DIRECTORY : 0);
    const resolve = RESOLVE_NO_MAGICLINKS | (options.links === "root" ? RESOLVE_IN_ROOT : RESOLVE_BENEATH);
    const how = new BigUint64Array([BigInt(flags), 0n, BigInt(resolve)]);
    const bytes = new Uint8Array(how.buffer);
    const fd = libc.syscall(SYS_openat2, rootFd, addressOf(name), addressOf(bytes), bytes.byteLength, 0, 0);
    return check(fd, "openat2", `${directory} ${path}`);
  } finally {
    libc.close(rootFd);
  }
}

/** The path by which this process, and only this one, reaches an open descriptor's file. */
export function pathOf(fd: number): string {
  return `/proc/self/fd/${fd}`;
}
