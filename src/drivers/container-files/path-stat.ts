/** What Docker tells of a path: modes are Go's, paths are cleaned as Go's `path/filepath` does. */
import { type BigIntStats, closeSync, fstatSync } from "node:fs";
import { posix } from "node:path";
import type { PathStat } from "../../core/container-files.ts";
import type { ForeignRoot } from "../../linux/foreign-root.ts";

/** @see Go io/fs FileMode */
const GO = {
  directory: 2 ** 31,
  symlink: 1 << 27,
  device: 1 << 26,
  fifo: 1 << 25,
  socket: 1 << 24,
  setuid: 1 << 23,
  setgid: 1 << 22,
  characterDevice: 1 << 21,
  sticky: 1 << 20,
} as const;

/** Absolute and clean; a slash or a dot at the end, which say that a link is to be followed, are kept. */
export function absolutePath(path: string): string {
  const clean = posix.normalize(`/${path}`).replace(/(.)\/$/, "$1");
  if (/(^|\/)\.\/*$/.test(path)) return clean === "/" ? "/." : `${clean}/.`;
  if (clean === "/") return "/";
  return path.endsWith("/") ? `${clean}/` : clean;
}

/** Go's filepath.Base. */
export function baseName(path: string): string {
  const trimmed = path.replace(/\/+$/, "");
  if (trimmed === "") return path === "" ? "." : "/";
  return trimmed.slice(trimmed.lastIndexOf("/") + 1);
}

/** @throws LinuxError if nothing is there */
export function statPath(root: ForeignRoot, path: string): PathStat {
  const follow = path.endsWith("/") || path.endsWith("/.");
  const found = root.open(path, { follow, directory: follow });
  try {
    const stats = fstatSync(found, { bigint: true });
    return {
      name: baseName(path),
      size: Number(stats.size),
      mode: goMode(stats),
      mtime: formatTime(stats.mtimeNs),
      linkTarget: stats.isSymbolicLink() ? root.evaluate(path) : "",
    };
  } finally {
    closeSync(found);
  }
}

function goMode(stats: BigIntStats): number {
  const mode = Number(stats.mode);
  const kind = stats.isDirectory()
    ? GO.directory
    : stats.isSymbolicLink()
      ? GO.symlink
      : stats.isCharacterDevice()
        ? GO.device + GO.characterDevice
        : stats.isBlockDevice()
          ? GO.device
          : stats.isFIFO()
            ? GO.fifo
            : stats.isSocket()
              ? GO.socket
              : 0;
  const special =
    (mode & 0o4000 ? GO.setuid : 0) + (mode & 0o2000 ? GO.setgid : 0) + (mode & 0o1000 ? GO.sticky : 0);
  return kind + special + (mode & 0o777);
}

/** RFC 3339 as Go writes it: a fraction without zeros at its end. */
function formatTime(nanoseconds: bigint): string {
  const fraction = ((nanoseconds % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
  const seconds = (nanoseconds - fraction) / 1_000_000_000n;
  const whole = new Date(Number(seconds) * 1000).toISOString().slice(0, 19);
  const digits = fraction.toString().padStart(9, "0").replace(/0+$/, "");
  return `${whole}${digits && `.${digits}`}Z`;
}
