/**
 * The one place that opens paths which somebody else wrote, beneath a directory that is ours. The kernel resolves them
 * (openat2), so neither `..` nor a symbolic link, however it changes meanwhile, leads out; magic links (/proc/…/fd) are
 * refused. What is opened only names the file (O_PATH) until it is known to be what was wanted: device nodes and
 * fifos that somebody planted are never opened. Never look a path up twice: go on by descriptor, by `pathOf(fd)` where a
 * path is needed.
 *
 * Every descriptor that is returned is the caller's to close. Paths are text; link targets may be any bytes.
 */
import { closeSync, fstatSync, openSync, readlinkSync } from "node:fs";
import { constants } from "node:os";
import { hasCode } from "../base/error-codes.ts";
import { addressOf, check, LinuxError, lastErrno, libc } from "./libc.ts";

const SYS_openat2 = 437n;
const RESOLVE_NO_MAGICLINKS = 0x02;
const RESOLVE_BENEATH = 0x08;
const RESOLVE_IN_ROOT = 0x10;

export const O = {
  RDONLY: 0,
  WRONLY: 0o1,
  RDWR: 0o2,
  CREAT: 0o100,
  EXCL: 0o200,
  NOCTTY: 0o400,
  TRUNC: 0o1000,
  APPEND: 0o2000,
  NONBLOCK: 0o4000,
  DIRECTORY: 0o200000,
  NOFOLLOW: 0o400000,
  CLOEXEC: 0o2000000,
  PATH: 0o10000000,
} as const;

const AT_REMOVEDIR = 0x200;
const BILLION = 1_000_000_000n;

/** So many links are followed on the way to one file, as by the kernel. */
const MOST_LINKS = 40;
/** How often the kernel is asked again when names were being moved while it was resolving (EAGAIN). */
const MOST_ATTEMPTS = 1000;

export interface FindOptions {
  /**
   * `root` (default): absolute links and `..` are resolved as if the root were `/`, as inside of a container.
   * `beneath`: whatever leads out is an error (EXDEV).
   */
  readonly links?: "root" | "beneath";
  /** ENOTDIR if it is anything else. */
  readonly directory?: boolean;
  /** False: of a symbolic link at the end the link itself. */
  readonly follow?: boolean;
}

/** Text, or bytes where a name may be none. */
export type ForeignPath = string | Uint8Array;

/** Of what is made on the way; the umask has no part in it. */
export interface Ownership {
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
}

/** What is there is not what was asked for. */
export class WrongKindError extends Error {
  override readonly name = "WrongKindError";
  readonly path: string;

  constructor(path: string, wanted: "a regular file" | "a directory") {
    super(`${path} is not ${wanted}`);
    this.path = path;
  }
}

/** A directory that stands for `/` in what is looked up in it. @throws LinuxError from every method */
export class ForeignRoot implements Disposable {
  /** O_PATH. */
  readonly descriptor: number;

  /** @param directory a path of the host's, or an open descriptor, which becomes this object's own */
  constructor(directory: string | number) {
    this.descriptor =
      typeof directory === "number" ? directory : openSync(directory, O.PATH | O.DIRECTORY | O.CLOEXEC);
  }

  /** Names what is at a path (O_PATH). */
  open(path: ForeignPath, options: FindOptions = {}): number {
    const { links = "root", directory = false, follow = true } = options;
    const flags = O.PATH | (directory ? O.DIRECTORY : 0) | (follow ? 0 : O.NOFOLLOW);
    // A slash at the end would have the last link followed after all.
    const name = follow ? toBytes(path) : toBytes(path).replace(/\/+$/, "");
    return openat2(this.descriptor, name, flags, { links });
  }

  /** As `open`; undefined if nothing is there. */
  find(path: ForeignPath, options: FindOptions = {}): number | undefined {
    try {
      return this.open(path, options);
    } catch (error) {
      if (hasCode(error, "ENOENT", "ENOTDIR")) return undefined;
      throw error;
    }
  }

  /**
   * Opens a regular file and nothing else; undefined if nothing is there.
   * @throws WrongKindError for anything else; it was not opened
   */
  findRegularFile(path: string, access: number = O.RDONLY, options: FindOptions = {}): number | undefined {
    const found = this.find(path, options);
    if (found === undefined) return undefined;
    try {
      if (!fstatSync(found).isFile()) throw new WrongKindError(path, "a regular file");
      return reopen(found, access | O.NONBLOCK | O.NOCTTY);
    } finally {
      closeSync(found);
    }
  }

  /**
   * A directory, made with those above it where they are missing, as `mkdir -p` inside of the root would; a link
   * that leads nowhere has its target made. What is there stays as it is.
   * @throws WrongKindError if something else is in the way
   */
  makeDirectories(path: ForeignPath, ownership: Ownership): number {
    return new Walk(this, path, ownership).toDirectory();
  }

  /**
   * A regular file for something to be mounted on: the one that is there, or a new and empty one, with the
   * directories above it; a link that leads nowhere has its target made. O_PATH.
   * @throws WrongKindError if a directory is there or something is in the way
   */
  makeFile(path: ForeignPath, ownership: Ownership): number {
    return new Walk(this, path, ownership).toFile();
  }

  /**
   * The directory that holds what a path names, links in between resolved, and the last part of its name: for who
   * makes, replaces or removes it by `…at(2)`. The root itself is `.` in itself.
   * @returns the name as a byte string
   */
  openParent(path: ForeignPath): { readonly parent: number; readonly name: string } {
    const parts = partsOf(toBytes(path));
    const last = parts.at(-1);
    if (last === undefined || last === "..")
      return { parent: this.open(path, { directory: true }), name: "." };
    const above = Buffer.from(parts.slice(0, -1).join("/"), "latin1");
    return { parent: this.open(above, { directory: true }), name: last };
  }

  /** Removes an empty file or directory, itself and never where it leads; the directory around it keeps its times. */
  removeIfEmpty(path: string): void {
    const found = this.find(path, { follow: false });
    if (found === undefined) return;
    const facts = fstatSync(found);
    closeSync(found);
    if (!facts.isDirectory() && !(facts.isFile() && facts.size === 0)) return;
    const { parent, name } = this.openParent(path);
    try {
      const { atimeNs, mtimeNs } = fstatSync(parent, { bigint: true });
      const flags = facts.isDirectory() ? AT_REMOVEDIR : 0;
      if (libc.unlinkat(parent, cBytes(name), flags) < 0) {
        const error = new LinuxError("unlinkat", lastErrno(), path);
        if (["ENOTEMPTY", "ENOENT", "EBUSY"].includes(error.code)) return;
        throw error;
      }
      const times = new BigInt64Array([atimeNs, mtimeNs].flatMap((ns) => [ns / BILLION, ns % BILLION]));
      check(libc.utimensat(parent, cBytes("."), times, 0), "utimensat", path);
    } finally {
      closeSync(parent);
    }
  }

  /**
   * Where a path leads in the end, as text, links followed as far as there is something. For what is told to somebody, not
   * for opening it.
   */
  evaluate(path: string): string {
    const ahead = partsOf(toBytes(path)).reverse();
    const way: string[] = [];
    let links = 0;
    for (let name = ahead.pop(); name !== undefined; name = ahead.pop()) {
      if (name === "..") {
        way.pop();
        continue;
      }
      const target = this.#linkAt(`/${[...way, name].join("/")}`);
      if (target === undefined) {
        way.push(name);
        continue;
      }
      if (++links > MOST_LINKS) throw new LinuxError("open", constants.errno.ELOOP, path);
      if (target.startsWith("/")) way.length = 0;
      ahead.push(...partsOf(target).reverse());
    }
    return Buffer.from(`/${way.join("/")}`, "latin1").toString();
  }

  /** @param path a byte string */
  #linkAt(path: string): string | undefined {
    const found = this.find(Buffer.from(path, "latin1"), { follow: false });
    if (found === undefined) return undefined;
    try {
      return fstatSync(found).isSymbolicLink() ? readLink(found) : undefined;
    } finally {
      closeSync(found);
    }
  }

  /** The path in this root of what was opened in it: no link is in it. For what is looked at, not for opening again. */
  nameOf(fd: number): string {
    const root = readlinkSync(pathOf(this.descriptor));
    const path = readlinkSync(pathOf(fd));
    if (path === root) return "/";
    const prefix = root === "/" ? "" : root;
    // Moved out of the root, or deleted, since it was opened.
    if (!path.startsWith(`${prefix}/`)) throw new LinuxError("readlink", constants.errno.ENOENT, path);
    return path.slice(prefix.length);
  }

  [Symbol.dispose](): void {
    closeSync(this.descriptor);
  }
}

/**
 * What one name in an open directory names, itself and never where it leads (O_PATH); undefined if nothing is there.
 * @param name a byte string, a single name
 */
export function findAt(directory: number, name: string): number | undefined {
  try {
    return openat2(directory, name, O.PATH | O.NOFOLLOW, { links: "beneath" });
  } catch (error) {
    if (error instanceof LinuxError && error.code === "ENOENT") return undefined;
    throw error;
  }
}

/** Runs with a root that is open as long. */
export function withRoot<T>(directory: string, work: (root: ForeignRoot) => T): T {
  using root = new ForeignRoot(directory);
  return work(root);
}

/** The path by which this process, and only this one, reaches an open descriptor's file. */
export function pathOf(fd: number): string {
  return `/proc/self/fd/${fd}`;
}

/** The same file, opened for real: of what is known to be harmless. @throws LinuxError */
export function reopen(fd: number, flags: number): number {
  return retrying(() => libc.open(cBytes(pathOf(fd)), flags | O.CLOEXEC, 0), "open", pathOf(fd));
}

/**
 * One way through a root, a step at a time, that makes what is missing. Each step opens one name in a directory that is
 * held open and never follows a link by itself: links are read from their own descriptor and put in front of
 * what is left of the way. `..` leads back to the directory that was come from.
 */
class Walk {
  readonly #path: string;
  readonly #ownership: Ownership;
  /** From the root to where the walk is. The first one is the root's own and stays open. */
  readonly #trail: number[];
  /** Names still to go, as byte strings; the next one is the last element. */
  readonly #ahead: string[];
  #links = 0;

  constructor(root: ForeignRoot, path: ForeignPath, ownership: Ownership) {
    this.#path = typeof path === "string" ? path : Buffer.from(path).toString();
    this.#ownership = ownership;
    this.#trail = [root.descriptor];
    this.#ahead = partsOf(toBytes(path)).reverse();
  }

  toDirectory(): number {
    try {
      for (let name = this.#ahead.pop(); name !== undefined; name = this.#ahead.pop()) this.#enter(name);
      return reopen(this.#here, O.PATH | O.DIRECTORY);
    } finally {
      this.#close();
    }
  }

  toFile(): number {
    try {
      for (;;) {
        const name = this.#ahead.pop();
        if (name === undefined) throw new WrongKindError(this.#path, "a regular file");
        if (this.#ahead.length > 0 || name === "..") {
          this.#enter(name);
          continue;
        }
        const found = this.#step(name) ?? this.#createFile(name);
        if (this.#followLink(found)) continue;
        if (!fstatSync(found).isDirectory()) return found;
        closeSync(found);
        throw new WrongKindError(this.#path, "a regular file");
      }
    } finally {
      this.#close();
    }
  }

  get #here(): number {
    return this.#trail.at(-1) ?? -1;
  }

  #enter(name: string): void {
    if (name === "..") {
      if (this.#trail.length > 1) closeSync(this.#trail.pop() as number);
      return;
    }
    const found = this.#step(name) ?? this.#createDirectory(name);
    if (this.#followLink(found)) return;
    if (!fstatSync(found).isDirectory()) {
      closeSync(found);
      throw new WrongKindError(this.#path, "a directory");
    }
    this.#trail.push(found);
  }

  /** What the next name names, itself and never where it leads; undefined if nothing is there. */
  #step(name: string): number | undefined {
    return findAt(this.#here, name);
  }

  /** If it is a link, its target is the way from here on. */
  #followLink(found: number): boolean {
    if (!fstatSync(found).isSymbolicLink()) return false;
    const target = readLink(found);
    closeSync(found);
    if (++this.#links > MOST_LINKS) throw new LinuxError("open", constants.errno.ELOOP, this.#path);
    if (target.startsWith("/")) while (this.#trail.length > 1) closeSync(this.#trail.pop() as number);
    this.#ahead.push(...partsOf(target).reverse());
    return true;
  }

  #createDirectory(name: string): number {
    const { mode } = this.#ownership;
    const made = libc.mkdirat(this.#here, cBytes(name), mode) === 0;
    if (!made) return this.#createdByAnother("mkdirat", name);
    const opened = openat2(this.#here, name, O.RDONLY | O.DIRECTORY | O.NOFOLLOW, { links: "beneath" });
    return this.#own(opened);
  }

  #createFile(name: string): number {
    const flags = O.CREAT | O.EXCL | O.WRONLY | O.NOFOLLOW;
    try {
      return this.#own(openat2(this.#here, name, flags, { links: "beneath", mode: this.#ownership.mode }));
    } catch (error) {
      if (!hasCode(error, "EEXIST")) throw error;
      return this.#step(name) ?? fail(error);
    }
  }

  #createdByAnother(syscall: string, name: string): number {
    const error = new LinuxError(syscall, lastErrno(), this.#path);
    if (error.code !== "EEXIST") throw error;
    return this.#step(name) ?? fail(error);
  }

  /** Gives what was just made its owner and mode, by descriptor; what is handed on only names it. */
  #own(opened: number): number {
    const { uid, gid, mode } = this.#ownership;
    try {
      check(libc.fchown(opened, uid, gid), "fchown", this.#path);
      check(libc.fchmod(opened, mode), "fchmod", this.#path);
      return reopen(opened, O.PATH);
    } finally {
      closeSync(opened);
    }
  }

  #close(): void {
    for (const fd of this.#trail.slice(1)) closeSync(fd);
  }
}

/** Where a link that is open itself (O_PATH | O_NOFOLLOW) leads: a byte string. @throws LinuxError */
export function readLink(link: number): string {
  const target = Buffer.alloc(4096);
  const length = libc.readlinkat(link, cBytes(""), target, target.length);
  return target.toString("latin1", 0, check(length, "readlinkat"));
}

/** @param name a byte string */
function openat2(
  directory: number,
  name: string,
  flags: number,
  { links, mode = 0 }: { readonly links: "root" | "beneath"; readonly mode?: number },
): number {
  const resolve = RESOLVE_NO_MAGICLINKS | (links === "root" ? RESOLVE_IN_ROOT : RESOLVE_BENEATH);
  // Under a root that nothing leads out of, an absolute path is a path from it.
  const text = cBytes(name.replace(/^\/+/, "") || ".");
  const how = new BigUint64Array([BigInt(flags | O.CLOEXEC), BigInt(mode & 0o7777), BigInt(resolve)]);
  const bytes = new Uint8Array(how.buffer);
  return retrying(
    () =>
      Number(libc.syscall(SYS_openat2, BigInt(directory), addressOf(text), addressOf(bytes), 24n, 0n, 0n)),
    "openat2",
    Buffer.from(name, "latin1").toString(),
  );
}

/** EINTR: a signal came. EAGAIN: something was renamed or mounted while the kernel was resolving. */
function retrying(call: () => number, syscall: string, path: string): number {
  for (let attempt = 1; ; attempt++) {
    const result = call();
    if (result >= 0) return result;
    const error = new LinuxError(syscall, lastErrno(), path);
    if (error.code === "EINTR" || (error.code === "EAGAIN" && attempt < MOST_ATTEMPTS)) continue;
    throw error;
  }
}

function partsOf(path: string): string[] {
  return path.split("/").filter((part) => part !== "" && part !== ".");
}

/** As a byte string: one character for each byte. */
function toBytes(path: ForeignPath): string {
  return Buffer.from(path as string).toString("latin1");
}

/** A byte string for C. */
function cBytes(bytes: string): Buffer {
  if (bytes.includes("\0")) throw new LinuxError("path", constants.errno.EINVAL, JSON.stringify(bytes));
  return Buffer.from(`${bytes}\0`, "latin1");
}

function fail(error: unknown): never {
  throw error;
}
