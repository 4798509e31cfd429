/** mount(2) and umount2(2). Flags are the kernel's; helpers name the combinations that are in use. */
import { readFileSync } from "node:fs";
import { addressOf, check, cString, LinuxError, lastErrno, libc } from "./libc.ts";

export const MS = {
  RDONLY: 0x1,
  NOSUID: 0x2,
  NODEV: 0x4,
  NOEXEC: 0x8,
  REMOUNT: 0x20,
  BIND: 0x1000,
  REC: 0x4000,
  UNBINDABLE: 0x20000,
  PRIVATE: 0x40000,
  SLAVE: 0x80000,
  SHARED: 0x100000,
} as const;

const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;

export interface MountRequest {
  readonly source: string;
  readonly target: string;
  readonly type?: string;
  readonly flags?: number;
  /** The file system's own options, comma-separated; at most one page. */
  readonly data?: string;
}

/** @throws LinuxError */
export function mount({ source, target, type, flags = 0, data }: MountRequest): void {
  const result = libc.mount(
    cString(source),
    cString(target),
    type === undefined ? null : cString(type),
    BigInt(flags),
    data === undefined ? null : cString(data),
  );
  check(result, "mount", target);
}

/** Unmounts; false if nothing was mounted there. Lazy: a holder keeps its view, the name is free at once. */
export function unmount(target: string, options: { lazy?: boolean } = {}): boolean {
  const flags = UMOUNT_NOFOLLOW | (options.lazy ? MNT_DETACH : 0);
  if (libc.umount2(cString(target), flags) === 0) return true;
  const errno = lastErrno();
  const error = new LinuxError("umount", errno, target);
  if (error.code === "EINVAL" || error.code === "ENOENT") return false;
  throw error;
}

/** Bind-mounts a path on another one. */
export function bindMount(source: string, target: string, options: { recursive?: boolean } = {}): void {
  mount({ source, target, flags: MS.BIND | (options.recursive ? MS.REC : 0) });
}

const SYS_MOUNT_SETATTR = 442;
const AT_FDCWD = -100;
const AT_RECURSIVE = 0x8000;
const MOUNT_ATTR = { RDONLY: 0x1, NODEV: 0x4 } as const;

/**
 * For a mount namespace of one's own: makes every mount private, read-only and without devices, but for the one at
 * `writable`. Through whatever links a path leads, nothing is written elsewhere. The links of /proc lead into other
 * namespaces, so every /proc is taken down. @throws LinuxError; ENOSYS before Linux 5.12
 */
export function allowWritesOnlyIn(writable: string): void {
  const set = MOUNT_ATTR.RDONLY | MOUNT_ATTR.NODEV;
  setMountAttributes("/", { set, propagation: MS.PRIVATE, recursive: true });
  bindMount(writable, writable);
  setMountAttributes(writable, { clear: MOUNT_ATTR.RDONLY });
  for (const { point, type } of mountTable().reverse()) if (type === "proc") unmount(point, { lazy: true });
}

const SYS_open_tree = 428;
const SYS_move_mount = 429;
const OPEN_TREE_CLONE = 0x1;
const OPEN_TREE_CLOEXEC = 0o2000000;
const AT_EMPTY_PATH = 0x1000;
const MOVE_MOUNT_F_EMPTY_PATH = 0x4;
const MOVE_MOUNT_T_EMPTY_PATH = 0x40;

/**
 * Bind-mounts what one descriptor names on what another one does: no path is looked up again. The copy is private, and
 * read-only before anybody can reach it. @throws LinuxError
 */
export function bindDescriptor(
  source: number,
  target: number,
  options: { readonly recursive: boolean; readonly readOnly: boolean },
): void {
  const recursive = options.recursive ? AT_RECURSIVE : 0;
  const nothing = cString("");
  const flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | recursive;
  const copy = check(libc.syscall(SYS_open_tree, source, addressOf(nothing), flags, 0, 0, 0), "open_tree");
  try {
    const set = options.readOnly ? MOUNT_ATTR.RDONLY : 0;
    const words = new BigUint64Array([BigInt(set), 0n, BigInt(MS.PRIVATE), 0n]);
    const structure = new Uint8Array(words.buffer);
    check(
      libc.syscall(
        SYS_MOUNT_SETATTR,
        copy,
        addressOf(nothing),
        AT_EMPTY_PATH | recursive,
        addressOf(structure),
        structure.byteLength,
        0,
      ),
      "mount_setattr",
    );
    const move = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
    const moved = libc.syscall(SYS_move_mount, copy, addressOf(nothing), target, addressOf(nothing), move, 0);
    check(moved, "move_mount");
  } finally {
    libc.close(copy);
  }
}

/** @see mount_setattr(2) */
function setMountAttributes(
  path: string,
  attributes: { set?: number; clear?: number; propagation?: number; recursive?: boolean },
): void {
  const { set = 0, clear = 0, propagation = 0, recursive = false } = attributes;
  const name = cString(path);
  const words = new BigUint64Array([BigInt(set), BigInt(clear), BigInt(propagation), 0n]);
  const structure = new Uint8Array(words.buffer);
  const flags = recursive ? AT_RECURSIVE : 0;
  const { byteLength } = structure;
  check(
    libc.syscall(SYS_MOUNT_SETATTR, AT_FDCWD, addressOf(name), flags, addressOf(structure), byteLength, 0),
    "mount_setattr",
    path,
  );
}

/** Every mount point of this process's mount namespace, in the order of mounting; a stacked one comes once for each. */
export function mountPoints(): string[] {
  return mountTable().map(({ point }) => point);
}

/** Keeps what is mounted and unmounted in the mount that holds a path from passing on to other namespaces, and only that. */
export function stopPropagationAt(path: string): void {
  const holds = ({ point }: { point: string }) => point === "/" || path.startsWith(`${point}/`);
  const deepest = mountTable()
    .filter(holds)
    .reduce((a, b) => (b.point.length >= a.point.length ? b : a));
  mount({ source: "none", target: deepest.point, flags: MS.PRIVATE });
}

/** @see proc_pid_mountinfo(5) */
function mountTable(): { readonly point: string; readonly type: string }[] {
  return readFileSync("/proc/thread-self/mountinfo", "utf8")
    .split("\n")
    .flatMap((line) => {
      const [mount = "", system = ""] = line.split(" - ");
      const point = mount.split(" ", 5)[4];
      return point ? [{ point: unescaped(point), type: system.split(" ", 1)[0] ?? "" }] : [];
    });
}

function unescaped(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8)));
}
