/**
 * A tree of a container as a tar archive. Every directory is opened by one name in its parent's descriptor and no link is
 * followed, so nothing that is swapped meanwhile leads out; a file is looked at before it is opened, so devices
 * and fifos never are. What vanishes before it is reached is left out. Synchronous: for a helper process.
 */
import { type BigIntStats, closeSync, fstatSync, readdirSync, readSync } from "node:fs";
import type { TarHeader, TarWriter } from "../../base/tar/index.ts";
import { readAttributeOf } from "../../linux/files.ts";
import { findAt, O, pathOf, readLink, reopen } from "../../linux/foreign-root.ts";

const SECOND = 1_000_000_000n;
const READ_SIZE = 1 << 20;
/** The only attribute that Docker carries. */
const CAPABILITY = "security.capability";

export class TreePacker {
  readonly #archive: TarWriter;
  readonly #buffer = Buffer.allocUnsafeSlow(READ_SIZE);
  /** Names of files with more than one link, by inode. */
  readonly #linked = new Map<string, string>();

  constructor(archive: TarWriter) {
    this.#archive = archive;
  }

  /**
   * One file, or a directory with everything in it.
   * @param name in the archive, a byte string; undefined: what is in the directory, by names without a slash in front
   * @param found names it (O_PATH)
   */
  pack(name: string | undefined, found: number): void {
    if (name === undefined) this.#children("", found);
    else this.#entry(name, found);
  }

  #entry(name: string, found: number): void {
    const stats = fstatSync(found, { bigint: true });
    // Nobody can connect to one that was unpacked: Docker leaves them out, too.
    if (stats.isSocket()) return;
    const first = this.#firstNameOf(stats, name);
    if (first !== undefined) {
      this.#archive.entry({ ...factsOf(stats), name, type: "hard-link", linkName: first });
    } else if (stats.isFile()) this.#file(name, found, stats);
    else this.#archive.entry(this.#header(name, found, stats));
    if (stats.isDirectory()) this.#children(name.endsWith("/") ? name : `${name}/`, found);
  }

  #children(prefix: string, directory: number): void {
    const names = readdirSync(`${pathOf(directory)}/.`, { encoding: "buffer" }).map((each) =>
      each.toString("latin1"),
    );
    for (const name of names.sort()) {
      const child = findAt(directory, name);
      if (child === undefined) continue;
      try {
        this.#entry(prefix + name, child);
      } finally {
        closeSync(child);
      }
    }
  }

  /** Of a hard-linked file that was written under another name before. */
  #firstNameOf(stats: BigIntStats, name: string): string | undefined {
    if (stats.isDirectory() || stats.nlink < 2n) return undefined;
    const inode = `${stats.dev}:${stats.ino}`;
    const first = this.#linked.get(inode);
    if (first === undefined) this.#linked.set(inode, name);
    return first;
  }

  #file(name: string, found: number, stats: BigIntStats): void {
    const descriptor = reopen(found, O.RDONLY | O.NONBLOCK | O.NOCTTY);
    try {
      const size = Number(fstatSync(descriptor, { bigint: true }).size);
      const extendedAttributes = capabilityOf(descriptor);
      this.#archive.entry({ ...factsOf(stats), name, type: "file", size, extendedAttributes });
      for (let left = size; left > 0; ) {
        const count = readSync(descriptor, this.#buffer, 0, Math.min(left, READ_SIZE), null);
        if (count === 0) throw new Error(`${readable(name)} became shorter while it was read`);
        this.#archive.content(this.#buffer.subarray(0, count));
        left -= count;
      }
    } finally {
      closeSync(descriptor);
    }
  }

  #header(name: string, found: number, stats: BigIntStats): TarHeader {
    const facts = { ...factsOf(stats), name };
    if (stats.isDirectory()) return { ...facts, type: "directory" };
    if (stats.isSymbolicLink()) return { ...facts, type: "symbolic-link", linkName: readLink(found) };
    if (stats.isFIFO()) return { ...facts, type: "fifo" };
    return {
      ...facts,
      type: stats.isBlockDevice() ? "block-device" : "character-device",
      // glibc's major and minor.
      deviceMajor: Number(((stats.rdev >> 8n) & 0xfffn) | ((stats.rdev >> 32n) & ~0xfffn)),
      deviceMinor: Number((stats.rdev & 0xffn) | ((stats.rdev >> 12n) & ~0xffn)),
    };
  }
}

function capabilityOf(descriptor: number): ReadonlyMap<string, string> {
  const value = readAttributeOf(descriptor, CAPABILITY);
  return new Map(value === undefined ? [] : [[CAPABILITY, value]]);
}

function factsOf(stats: BigIntStats): { mode: number; uid: number; gid: number; mtime: bigint } {
  const { mode, uid, gid, mtimeNs } = stats;
  // Whole seconds, as Docker's archives have them: a fraction would take a header of its own for each file.
  const mtime = mtimeNs - (((mtimeNs % SECOND) + SECOND) % SECOND);
  return { mode: Number(mode & 0o7777n), uid: Number(uid), gid: Number(gid), mtime };
}

function readable(name: string): string {
  return JSON.stringify(Buffer.from(name, "latin1").toString());
}
