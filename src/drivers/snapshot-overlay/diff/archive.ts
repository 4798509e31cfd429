/**
 * The layer archive of a walk: one entry for each difference, `.wh.` names for what was deleted, hard links within the
 * layer kept. The same tree gives the same bytes.
 * @see image-spec layer.md; times are whole seconds, as Docker's layers have them
 */
import { type BigIntStats, closeSync, fstatSync, readSync } from "node:fs";
import type { TarHeader, TarWriter } from "../../../base/tar/index.ts";
import { type Difference, layerAttributesOf, openFile, readLink } from "./walk.ts";

const READ_SIZE = 1 << 20;
const SECOND = 1_000_000_000n;

export interface Archived {
  /** Bytes of files, a hard-linked one once. */
  size: number;
  entries: number;
}

/** @throws Error if a file changes while it is read */
export function archiveDifferences(differences: Iterable<Difference>, archive: TarWriter): Archived {
  const writer = new DifferenceWriter(archive);
  for (const difference of differences) writer.write(difference);
  archive.finish();
  return writer.archived;
}

class DifferenceWriter {
  readonly archived: Archived = { size: 0, entries: 0 };
  readonly #archive: TarWriter;
  readonly #buffer = Buffer.allocUnsafeSlow(READ_SIZE);
  /** Names of files with more than one link, by inode. */
  readonly #linked = new Map<string, string>();

  constructor(archive: TarWriter) {
    this.#archive = archive;
  }

  write({ path, now }: Difference): void {
    if (!now) {
      this.#entry({ name: whiteoutOf(path), type: "file", mode: 0, size: 0 });
      return;
    }
    const { stats, location } = now;
    // Nobody can connect to one that was unpacked: Docker leaves them out, too.
    if (stats.isSocket()) return;
    const first = this.#firstNameOf(stats, path);
    if (first !== undefined) {
      this.#entry({ ...attributesFrom(stats), name: path, type: "hard-link", linkName: first });
    } else if (stats.isFile()) this.#file(path, stats, location);
    else this.#entry(headerOf(path, stats, location));
  }

  #entry(header: TarHeader): void {
    this.#archive.entry(header);
    this.archived.entries++;
  }

  /** Of a hard-linked file that was written under another name before. */
  #firstNameOf(stats: BigIntStats, path: string): string | undefined {
    if (stats.isDirectory() || stats.nlink < 2n) return undefined;
    const inode = `${stats.dev}:${stats.ino}`;
    const first = this.#linked.get(inode);
    if (first === undefined) this.#linked.set(inode, path);
    return first;
  }

  #file(path: string, stats: BigIntStats, location: string): void {
    const descriptor = openFile(location);
    if (descriptor === undefined) throw new Error(`${JSON.stringify(path)} changed while it was read`);
    try {
      const size = fstatSync(descriptor).size;
      this.#entry({
        ...attributesFrom(stats),
        name: path,
        type: "file",
        size,
        extendedAttributes: layerAttributesOf(location),
      });
      for (let left = size; left > 0; ) {
        const count = readSync(descriptor, this.#buffer, 0, Math.min(left, READ_SIZE), null);
        if (count === 0) throw new Error(`${JSON.stringify(path)} became shorter while it was read`);
        this.#archive.content(this.#buffer.subarray(0, count));
        left -= count;
      }
      this.archived.size += size;
    } finally {
      closeSync(descriptor);
    }
  }
}

function headerOf(path: string, stats: BigIntStats, location: string): TarHeader {
  const common = {
    ...attributesFrom(stats),
    name: path === "" ? "./" : path,
    extendedAttributes: layerAttributesOf(location),
  };
  if (stats.isDirectory()) return { ...common, type: "directory" };
  if (stats.isSymbolicLink()) return { ...common, type: "symbolic-link", linkName: readLink(location) };
  if (stats.isFIFO()) return { ...common, type: "fifo" };
  return {
    ...common,
    type: stats.isBlockDevice() ? "block-device" : "character-device",
    deviceMajor: majorOf(stats.rdev),
    deviceMinor: minorOf(stats.rdev),
  };
}

function attributesFrom(stats: BigIntStats): { mode: number; uid: number; gid: number; mtime: bigint } {
  return {
    mode: Number(stats.mode & 0o7777n),
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    mtime: floorToSecond(stats.mtimeNs),
  };
}

function floorToSecond(time: bigint): bigint {
  const fraction = ((time % SECOND) + SECOND) % SECOND;
  return time - fraction;
}

function whiteoutOf(path: string): string {
  const slash = path.lastIndexOf("/");
  return `${path.slice(0, slash + 1)}.wh.${path.slice(slash + 1)}`;
}

/** glibc's major and minor. */
function majorOf(device: bigint): number {
  return Number(((device >> 8n) & 0xfffn) | ((device >> 32n) & ~0xfffn));
}

function minorOf(device: bigint): number {
  return Number((device & 0xffn) | ((device >> 12n) & ~0xffn));
}
