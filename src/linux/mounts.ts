/** mount(2) and umount2(2). Flags are the kernel's; helpers name the combinations that are in use. */
import { readFileSync } from "node:fs";
import { check, cString, LinuxError, lastErrno, libc } from "./libc.ts";

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

/** Every mount point of this process's mount namespace, in the order of mounting; a stacked one comes once for each. */
export function mountPoints(): string[] {
  const points: string[] = [];
  for (const line of readFileSync("/proc/self/mountinfo", "utf8").split("\n")) {
    const point = line.split(" ", 5)[4];
    if (point)
      points.push(
        point.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8))),
      );
  }
  return points;
}
