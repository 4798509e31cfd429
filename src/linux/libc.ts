/**
 * The one door to libc. Owns: symbols, errno, strings for C. Every other file in `linux/` calls through here,
 * and nothing outside of `linux/` sees `bun:ffi`.
 *
 * All calls run on the JavaScript thread and block it: only calls that return at once belong here.
 */
import { dlopen, FFIType, type Pointer, ptr, read } from "bun:ffi";
import { constants } from "node:os";

const { i32, i64, i64_fast, u32, u64, pointer } = { ...FFIType, pointer: FFIType.ptr };

/** Symbols are added here by whoever needs one. A pointer that may be null is passed as `null`. */
export const { symbols: libc } = dlopen("libc.so.6", {
  __errno_location: { args: [], returns: pointer },
  syscall: { args: [i64, i64, i64, i64, i64, i64, i64], returns: i64 },
  unshare: { args: [i32], returns: i32 },
  setns: { args: [i32, i32], returns: i32 },
  mount: { args: [pointer, pointer, pointer, u64, pointer], returns: i32 },
  umount2: { args: [pointer, i32], returns: i32 },
  socket: { args: [i32, i32, i32], returns: i32 },
  mkdirat: { args: [i32, pointer, u32], returns: i32 },
  fchownat: { args: [i32, pointer, u32, u32, i32], returns: i32 },
  socketpair: { args: [i32, i32, i32, pointer], returns: i32 },
  bind: { args: [i32, pointer, u32], returns: i32 },
  connect: { args: [i32, pointer, u32], returns: i32 },
  send: { args: [i32, pointer, u64, i32], returns: i64 },
  recv: { args: [i32, pointer, u64, i32], returns: i64 },
  shutdown: { args: [i32, i32], returns: i32 },
  accept4: { args: [i32, pointer, pointer, i32], returns: i32 },
  sendmsg: { args: [i32, pointer, i32], returns: i64_fast },
  recvmsg: { args: [i32, pointer, i32], returns: i64_fast },
  sendto: { args: [i32, pointer, u64, i32, pointer, u32], returns: i64_fast },
  recvfrom: { args: [i32, pointer, u64, i32, pointer, pointer], returns: i64_fast },
  getsockopt: { args: [i32, i32, i32, pointer, pointer], returns: i32 },
  splice: { args: [i32, pointer, i32, pointer, u64, u32], returns: i64_fast },
  epoll_create1: { args: [i32], returns: i32 },
  epoll_ctl: { args: [i32, i32, i32, pointer], returns: i32 },
  epoll_wait: { args: [i32, pointer, i32, i32], returns: i32 },
  ioctl: { args: [i32, u64, pointer], returns: i32 },
  setsockopt: { args: [i32, i32, i32, pointer, u32], returns: i32 },
  getsockname: { args: [i32, pointer, pointer], returns: i32 },
  listen: { args: [i32, i32], returns: i32 },
  close: { args: [i32], returns: i32 },
  flock: { args: [i32, i32], returns: i32 },
  mkfifo: { args: [pointer, u32], returns: i32 },
  chroot: { args: [pointer], returns: i32 },
  madvise: { args: [u64, u64, i32], returns: i32 },
  memfd_create: { args: [pointer, u32], returns: i32 },
  prctl: { args: [i32, u64, u64, u64, u64], returns: i32 },
  open: { args: [pointer, i32, u32], returns: i32 },
  read: { args: [i32, pointer, u64], returns: i64_fast },
  write: { args: [i32, pointer, u64], returns: i64_fast },
  pipe2: { args: [pointer, i32], returns: i32 },
  fcntl: { args: [i32, i32, i64], returns: i32 },
  mkdir: { args: [pointer, u32], returns: i32 },
  rmdir: { args: [pointer], returns: i32 },
  unlinkat: { args: [i32, pointer, i32], returns: i32 },
  unlink: { args: [pointer], returns: i32 },
  link: { args: [pointer, pointer], returns: i32 },
  symlink: { args: [pointer, pointer], returns: i32 },
  readlinkat: { args: [i32, pointer, pointer, u64], returns: i64_fast },
  mknod: { args: [pointer, u32, u64], returns: i32 },
  chmod: { args: [pointer, u32], returns: i32 },
  lchown: { args: [pointer, u32, u32], returns: i32 },
  fchmod: { args: [i32, u32], returns: i32 },
  fchown: { args: [i32, u32, u32], returns: i32 },
  futimens: { args: [i32, pointer], returns: i32 },
  utimensat: { args: [i32, pointer, pointer, i32], returns: i32 },
  lsetxattr: { args: [pointer, pointer, pointer, u64, i32], returns: i32 },
  lgetxattr: { args: [pointer, pointer, pointer, u64], returns: i64_fast },
  llistxattr: { args: [pointer, pointer, u64], returns: i64_fast },
  fsetxattr: { args: [i32, pointer, pointer, u64, i32], returns: i32 },
  fgetxattr: { args: [i32, pointer, pointer, u64], returns: i64_fast },
  umask: { args: [u32], returns: u32 },
  fallocate: { args: [i32, i32, i64, i64], returns: i32 },
  sync_file_range: { args: [i32, i64, i64, u32], returns: i32 },
});
export type { Pointer };

/** A system call failed; `code` is the symbolic errno as Node names it (`EBUSY`). */
export class LinuxError extends Error {
  readonly code: string;
  readonly errno: number;
  readonly syscall: string;

  constructor(syscall: string, errno: number, detail = "") {
    const code = errnoName(errno);
    super(`${syscall}${detail && ` ${detail}`}: ${code}`);
    this.name = "LinuxError";
    this.code = code;
    this.errno = errno;
    this.syscall = syscall;
  }
}

/** Of two names for one number the one that callers ask for: EAGAIN, not EWOULDBLOCK; EOPNOTSUPP, not ENOTSUP. */
const names = new Map(
  Object.entries(constants.errno)
    .filter(([name]) => name !== "EWOULDBLOCK" && name !== "ENOTSUP")
    .map(([name, value]) => [value, name]),
);

function errnoName(errno: number): string {
  return names.get(errno) ?? `errno ${errno}`;
}

/** errno of the last failed call on this thread. Read it before anything else. */
export function lastErrno(): number {
  return read.i32(libc.__errno_location() as Pointer, 0);
}

/** Passes a result through, or throws what errno says. */
export function check(result: unknown, syscall: string, detail?: string): number {
  if (Number(result) < 0) throw new LinuxError(syscall, lastErrno(), detail);
  return Number(result);
}

/** A NUL-terminated copy; the caller keeps it alive through the call by passing the buffer itself. */
export function cString(text: string): Buffer {
  if (text.includes("\0")) throw new LinuxError("path", constants.errno.EINVAL, JSON.stringify(text));
  return Buffer.from(`${text}\0`, "utf8");
}

/** The address of bytes, for structures that hold pointers. Keep the buffer referenced while it is used. */
export function addressOf(bytes: Uint8Array): bigint {
  return BigInt(ptr(bytes));
}
