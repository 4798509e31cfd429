/**
 * What the writable top of an overlay says about the layers below: a walk of the upper directory in lexical order,
 * each name looked up below as the kernel would (whiteouts and opaque directories end the search).
 *
 * A directory is told only if it differs itself or something in it does, and before what is in it. What overlayfs copied
 * up and nobody changed is left out. Opaque directories are expanded: each name that they hide is told as deleted.
 *
 * The top may belong to a running container. Every directory of it is opened by one name in its parent's descriptor,
 * without following links, so nothing that is swapped meanwhile leads out. Layers below never change.
 */
import {
  type BigIntStats,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
} from "node:fs";
import { hasCode } from "../../../base/error-codes.ts";
import { attributesOf } from "../../../linux/attributes.ts";

const OPAQUE_ATTRIBUTE = "trusted.overlay.opaque";
const OVERLAY_ATTRIBUTES = /^(?:trusted|user)\.overlay\./;
const COMPARE_SIZE = 1 << 20;

export interface Difference {
  readonly kind: "added" | "modified" | "deleted";
  /** A byte string below the root, without a slash in front; empty for the root itself. */
  readonly path: string;
  /** Of what is there now; absent if it was deleted. */
  readonly now?: {
    readonly stats: BigIntStats;
    /** Where this process reaches it, until the next step of the walk. Final links are not to be followed. */
    readonly location: string;
  };
}

/** @param lower the directories below, highest first @throws if something cannot be read */
export function* walkDifferences(upper: string, lower: readonly string[]): Generator<Difference> {
  const root = openDirectory(latin(upper));
  if (root === undefined) throw new Error(`${upper} is not a directory`);
  try {
    const location = `/proc/self/fd/${root}/.`;
    const stats = fstatSync(root, { bigint: true });
    const below = lower[0] === undefined ? undefined : latin(lower[0]);
    const rootBelow = below === undefined ? undefined : statsOf(below);
    const same = rootBelow ? isSameDirectory(stats, rootBelow, location, below ?? "") : isPlainRoot(stats);
    if (!same) yield { kind: "modified", path: "", now: { stats, location } };
    yield* walkDirectory(root, "", { lower: lower.map(latin), opaque: false });
  } finally {
    closeSync(root);
  }
}

interface Below {
  /** Directories of the same path in the layers below, highest first, as far as they show through or would. */
  readonly lower: readonly string[];
  /** They do not show through. */
  readonly opaque: boolean;
}

function* walkDirectory(directory: number, path: string, below: Below): Generator<Difference> {
  const names = new Set(readNames(`/proc/self/fd/${directory}`));
  const hidden = below.opaque ? namesBelow(below.lower).filter((name) => !names.has(name)) : [];
  const gone = new Set(hidden);
  for (const name of [...names, ...hidden].sort()) {
    const childPath = path === "" ? name : `${path}/${name}`;
    if (gone.has(name)) yield { kind: "deleted", path: childPath };
    else yield* walkEntry(directory, name, childPath, below);
  }
}

function* walkEntry(directory: number, name: string, path: string, below: Below): Generator<Difference> {
  const location = `/proc/self/fd/${directory}/${name}`;
  const stats = statsOf(location);
  // Gone since the directory was read.
  if (!stats) return;
  const before = findBelow(below.lower, name);
  if (isWhiteout(stats)) {
    if (before) yield { kind: "deleted", path };
    return;
  }
  const kind = before ? "modified" : "added";
  if (!stats.isDirectory()) {
    if (!before || !isSame(stats, before.stats, location, before.location)) {
      yield { kind, path, now: { stats, location } };
    }
    return;
  }
  const opened = openDirectory(location);
  // Something else took its place.
  if (opened === undefined) return;
  try {
    const opaque = below.opaque || isOpaque(location);
    const difference: Difference = { kind, path, now: { stats, location } };
    let told = !before || !isSameDirectory(stats, before.stats, location, before.location);
    if (told) yield difference;
    for (const inside of walkDirectory(opened, path, { lower: before?.directories ?? [], opaque })) {
      if (!told) yield difference;
      told = true;
      yield inside;
    }
  } finally {
    closeSync(opened);
  }
}

interface FoundBelow {
  readonly stats: BigIntStats;
  readonly location: string;
  /** If it is a directory: all that are merged into it. */
  readonly directories: readonly string[];
}

function findBelow(lower: readonly string[], name: string): FoundBelow | undefined {
  let found: { stats: BigIntStats; location: string; directories: string[] } | undefined;
  for (const directory of lower) {
    const location = `${directory}/${name}`;
    const stats = statsOf(location);
    if (!stats) continue;
    if (isWhiteout(stats)) break;
    if (!stats.isDirectory()) return found ?? { stats, location, directories: [] };
    found ??= { stats, location, directories: [] };
    found.directories.push(location);
    if (isOpaque(location)) break;
  }
  return found;
}

/** What a directory of the layers below shows. */
function namesBelow(lower: readonly string[]): string[] {
  const names = new Set(lower.flatMap((directory) => readNames(directory)));
  return [...names].filter((name) => findBelow(lower, name) !== undefined);
}

function isSame(a: BigIntStats, b: BigIntStats, aAt: string, bAt: string): boolean {
  if (a.mode !== b.mode || a.uid !== b.uid || a.gid !== b.gid || a.rdev !== b.rdev) return false;
  if (a.mtimeNs !== b.mtimeNs || a.size !== b.size) return false;
  if (!haveSameAttributes(aAt, bAt)) return false;
  // Time and size can be set: what was copied up and looks the same is compared.
  if (a.isSymbolicLink()) return readLink(aAt) === readLink(bAt);
  return !a.isFile() || haveSameContent(aAt, bAt);
}

/** Its times change with what is in it: they make no difference. */
function isSameDirectory(a: BigIntStats, b: BigIntStats, aAt: string, bAt: string): boolean {
  return a.mode === b.mode && a.uid === b.uid && a.gid === b.gid && haveSameAttributes(aAt, bAt);
}

function isPlainRoot(stats: BigIntStats): boolean {
  return (stats.mode & 0o7777n) === 0o755n && stats.uid === 0n && stats.gid === 0n;
}

function haveSameAttributes(a: string, b: string): boolean {
  const [left, right] = [layerAttributesOf(a), layerAttributesOf(b)];
  return left.size === right.size && [...left].every(([name, value]) => right.get(name) === value);
}

/** Without those of the file system that stacks the layers. */
export function layerAttributesOf(location: string): Map<string, string> {
  return new Map([...attributesOf(location)].filter(([name]) => !OVERLAY_ATTRIBUTES.test(name)));
}

function haveSameContent(a: string, b: string): boolean {
  const left = openFile(a);
  if (left === undefined) return false;
  const right = openFile(b);
  try {
    if (right === undefined) return false;
    const [one, other] = [Buffer.allocUnsafe(COMPARE_SIZE), Buffer.allocUnsafe(COMPARE_SIZE)];
    for (;;) {
      const count = readSync(left, one);
      if (count !== readFully(right, other, count) || one.compare(other, 0, count, 0, count) !== 0)
        return false;
      if (count === 0) return true;
    }
  } finally {
    closeSync(left);
    if (right !== undefined) closeSync(right);
  }
}

/** `count` bytes, or as many as there are; one more read at the end tells that there are no more. */
function readFully(descriptor: number, into: Buffer, count: number): number {
  if (count === 0) return readSync(descriptor, into, 0, 1, null);
  let read = 0;
  while (read < count) {
    const step = readSync(descriptor, into, read, count - read, null);
    if (step === 0) break;
    read += step;
  }
  return read;
}

/**
 * A regular file for reading, and nothing else: looked at before it is opened, because opening a device or a fifo does
 * something. Undefined if it is anything else, or gone.
 */
export function openFile(location: string): number | undefined {
  const O_PATH = 0o10000000;
  const looked = tryOpen(location, O_PATH | constants.O_NOFOLLOW);
  if (looked === undefined) return undefined;
  try {
    if (!fstatSync(looked).isFile()) return undefined;
    return openSync(`/proc/self/fd/${looked}`, constants.O_RDONLY | constants.O_NONBLOCK);
  } finally {
    closeSync(looked);
  }
}

function openDirectory(location: string): number | undefined {
  return tryOpen(location, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
}

function tryOpen(location: string, flags: number): number | undefined {
  try {
    return openSync(bytesOf(location), flags);
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENOTDIR", "ELOOP")) return undefined;
    throw error;
  }
}

function statsOf(location: string): BigIntStats | undefined {
  return lstatSync(bytesOf(location), { bigint: true, throwIfNoEntry: false });
}

/** The target as a byte string. */
export function readLink(location: string): string {
  return readlinkSync(bytesOf(location), { encoding: "buffer" }).toString("latin1");
}

function readNames(location: string): string[] {
  return readdirSync(bytesOf(location), { encoding: "buffer" }).map((name) => name.toString("latin1"));
}

function isWhiteout(stats: BigIntStats): boolean {
  return stats.isCharacterDevice() && stats.rdev === 0n;
}

function isOpaque(location: string): boolean {
  return attributesOf(location).get(OPAQUE_ATTRIBUTE) === "y";
}

function bytesOf(location: string): Buffer {
  return Buffer.from(location, "latin1");
}

/** A path of ours as a byte string. */
function latin(path: string): string {
  return Buffer.from(path, "utf8").toString("latin1");
}
