/**
 * File calls that Node's API lacks: exact times, device nodes, extended attributes, write-back, blocking pipes.
 * Paths are resolved by the kernel where the calling process stands: whoever handles hostile names enters their
 * root first (`enterRoot`).
 */
import { ftruncateSync, writeSync } from "node:fs";
import { constants } from "node:os";
import { check, cString, LinuxError, lastErrno, libc } from "./libc.ts";

const SYNC_FILE_RANGE_WRITE = 2;

/** Asks the kernel to begin writing a range of a file to disk, and does not wait. A hint: failures are ignored. */
export function startWriteback(descriptor: number, offset: number, length: number): void {
  libc.sync_file_range(descriptor, BigInt(offset), BigInt(length), SYNC_FILE_RANGE_WRITE);
}

const FALLOC_FL_KEEP_SIZE = 1;
const FALLOC_FL_PUNCH_HOLE = 2;

/** Gives a range of a file back to the file system: it reads as zeros. False where the file system cannot. */
export function punchHole(descriptor: number, offset: number, length: number): boolean {
  const mode = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE;
  return libc.fallocate(descriptor, mode, BigInt(offset), BigInt(length)) === 0;
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

const O = { WRONLY: 0o1, CREAT: 0o100, EXCL: 0o200, NOFOLLOW: 0o400000 } as const;
const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const S_IFCHR = 0o020000;
const S_IFBLK = 0o060000;
const S_IFIFO = 0o010000;

/**
 * Makes files of every kind, by names that are byte strings (one character for each byte). Synchronous and without
 * allocations on the way: for helper processes that write thousands of files. Nothing ever follows a final link.
 *
 * @throws LinuxError from every method
 */
export class FileMaker {
  readonly #path = Buffer.alloc(8192);
  readonly #second = Buffer.alloc(8192);
  readonly #times = new BigInt64Array(4);

  /** Modes are to be what is asked for. */
  constructor() {
    libc.umask(0);
  }

  /** A new file for writing; it must not exist. The descriptor is the caller's. */
  create(path: string, mode: number): number {
    const flags = O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW | O_CLOEXEC;
    return check(libc.open(this.#encode(path), flags, mode), "open", path);
  }

  write(descriptor: number, bytes: Uint8Array): void {
    let rest = bytes;
    while (rest.byteLength > 0) {
      const written = check(libc.write(descriptor, rest, rest.byteLength), "write");
      rest = written === rest.byteLength ? NOTHING : rest.subarray(written);
    }
  }

  /** Leaves a hole where nothing was written before. */
  writeAt(descriptor: number, bytes: Uint8Array, position: number): void {
    for (let done = 0; done < bytes.byteLength; ) {
      done += writeSync(descriptor, bytes, done, bytes.byteLength - done, position + done);
    }
  }

  setSize(descriptor: number, size: number): void {
    ftruncateSync(descriptor, size);
  }

  close(descriptor: number): void {
    check(libc.close(descriptor), "close");
  }

  setOwner(descriptor: number, uid: number, gid: number): void {
    check(libc.fchown(descriptor, uid, gid), "fchown");
  }

  setMode(descriptor: number, mode: number): void {
    check(libc.fchmod(descriptor, mode), "fchmod");
  }

  /** Of access and modification, nanoseconds since the epoch. */
  setTimes(descriptor: number, mtime: bigint): void {
    check(libc.futimens(descriptor, this.#encodeTimes(mtime)), "futimens");
  }

  makeDirectory(path: string, mode: number): void {
    check(libc.mkdir(this.#encode(path), mode), "mkdir", path);
  }

  makeLink(existing: string, path: string): void {
    check(libc.link(this.#encode(existing), encodeInto(this.#second, path)), "link", path);
  }

  makeSymbolicLink(target: string, path: string): void {
    check(libc.symlink(this.#encode(target), encodeInto(this.#second, path)), "symlink", path);
  }

  makeNode(
    kind: "character-device" | "block-device" | "fifo",
    path: string,
    mode: number,
    device: { major: number; minor: number } = { major: 0, minor: 0 },
  ): void {
    const type = kind === "fifo" ? S_IFIFO : kind === "block-device" ? S_IFBLK : S_IFCHR;
    check(libc.mknod(this.#encode(path), type | mode, deviceNumber(device)), "mknod", path);
  }

  remove(path: string): void {
    check(libc.unlink(this.#encode(path)), "unlink", path);
  }

  setOwnerAt(path: string, uid: number, gid: number): void {
    check(libc.lchown(this.#encode(path), uid, gid), "lchown", path);
  }

  /** Follows a final link: only for what is known to be none. */
  setModeAt(path: string, mode: number): void {
    check(libc.chmod(this.#encode(path), mode), "chmod", path);
  }

  setTimesAt(path: string, mtime: bigint): void {
    const times = this.#encodeTimes(mtime);
    check(libc.utimensat(AT_FDCWD, this.#encode(path), times, AT_SYMLINK_NOFOLLOW), "utimensat", path);
  }

  /** @param value a byte string */
  setAttribute(descriptor: number, name: string, value: string): void {
    const bytes = Buffer.from(value, "latin1");
    const pointer = bytes.byteLength > 0 ? bytes : NUL;
    const result = libc.fsetxattr(descriptor, encodeInto(this.#second, name), pointer, bytes.byteLength, 0);
    check(result, "fsetxattr", name);
  }

  /** @param value a byte string */
  setAttributeAt(path: string, name: string, value: string): void {
    const bytes = Buffer.from(value, "latin1");
    // A pointer to no bytes must still be one.
    const pointer = bytes.byteLength > 0 ? bytes : NUL;
    const result = libc.lsetxattr(
      this.#encode(path),
      encodeInto(this.#second, name),
      pointer,
      bytes.byteLength,
      0,
    );
    check(result, "setxattr", `${name} of ${path}`);
  }

  #encode(path: string): Buffer {
    return encodeInto(this.#path, path);
  }

  #encodeTimes(mtime: bigint): BigInt64Array {
    const nanoseconds = ((mtime % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
    const seconds = (mtime - nanoseconds) / 1_000_000_000n;
    this.#times[0] = seconds;
    this.#times[1] = nanoseconds;
    this.#times[2] = seconds;
    this.#times[3] = nanoseconds;
    return this.#times;
  }
}

const NOTHING = new Uint8Array(0);
const NUL = Buffer.alloc(1);

function encodeInto(buffer: Buffer, text: string): Buffer {
  if (text.length >= buffer.length || text.includes("\0"))
    throw new LinuxError("path", constants.errno.ENAMETOOLONG);
  buffer[buffer.write(text, 0, "latin1")] = 0;
  return buffer;
}

/** glibc's makedev. */
function deviceNumber({ major, minor }: { major: number; minor: number }): bigint {
  const [high, low] = [BigInt(major), BigInt(minor)];
  return (low & 0xffn) | ((high & 0xfffn) << 8n) | ((low & ~0xffn) << 12n) | ((high & ~0xfffn) << 32n);
}

/** Reads what is there, waiting for at least one byte; 0 at the end. Blocks: only for helper processes. @throws LinuxError */
export function readBlocking(descriptor: number, into: Uint8Array): number {
  for (;;) {
    const count = libc.read(descriptor, into, into.byteLength);
    if (count >= 0) return Number(count);
    const error = new LinuxError("read", lastErrno());
    if (error.code !== "EINTR") throw error;
  }
}

/** An extended attribute as a byte string; undefined if it is not there. Does not follow a final link. @throws LinuxError */
export function readAttribute(path: string, name: string): string | undefined {
  const value = Buffer.alloc(64 << 10);
  const length = libc.lgetxattr(cString(path), cString(name), value, value.length);
  if (length >= 0) return value.toString("latin1", 0, Number(length));
  const error = new LinuxError("getxattr", lastErrno(), `${name} of ${path}`);
  if (error.code === "ENODATA") return undefined;
  throw error;
}

/** The same of an open file. @throws LinuxError */
export function readAttributeOf(descriptor: number, name: string): string | undefined {
  const value = Buffer.alloc(64 << 10);
  const length = libc.fgetxattr(descriptor, cString(name), value, value.length);
  if (length >= 0) return value.toString("latin1", 0, Number(length));
  const error = new LinuxError("fgetxattr", lastErrno(), name);
  if (error.code === "ENODATA" || error.code === "EOPNOTSUPP") return undefined;
  throw error;
}
