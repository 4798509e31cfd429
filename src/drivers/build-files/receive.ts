/**
 * Makes the directory that this process has entered the same as a client's: what is there and looks the same stays, the
 * content of other files is asked for, what the client does not have goes. Whatever a client sends, all names are
 * resolved beneath the root; a transfer that is cut short leaves files whose times tell that they are not whole.
 */
import { type BigIntStats, lstatSync, readlinkSync, rmSync } from "node:fs";
import type { FileMaker } from "../../linux/files.ts";
import { resolveName } from "./extract.ts";
import type { ContentIndex } from "./index-file.ts";
import type { WireEntry } from "./protocol.ts";
import { MisfitError, namesIn } from "./roots.ts";

const S_IFMT = 0o170000;
const KINDS = {
  file: 0o100000,
  directory: 0o040000,
  link: 0o120000,
  fifo: 0o010000,
  block: 0o060000,
  character: 0o020000,
};
const MOST_ENTRIES = 2_000_000;

interface Incoming {
  readonly path: string;
  readonly entry: WireEntry;
  readonly hash: Bun.CryptoHasher;
  descriptor: number | undefined;
  size: number;
}

export class TreeReceiver {
  readonly #files: FileMaker;
  readonly #known: ContentIndex;
  /** Of the tree as it will be. */
  readonly index: ContentIndex = new Map();
  /** By path: what the client has. */
  readonly #offered = new Set<string>([""]);
  readonly #offeredDirectories = new Set<string>();
  readonly #directories: { path: string; entry: WireEntry }[] = [];
  readonly #links: { path: string; target: string }[] = [];
  readonly #wanted = new Map<number, Incoming>();
  #count = 0;
  #size = 0;

  constructor(files: FileMaker, known: ContentIndex) {
    this.#files = files;
    this.#known = known;
  }

  /** The next entries in the client's order. @returns whose content is wanted */
  offer(entries: readonly WireEntry[]): number[] {
    const wanted: number[] = [];
    for (const entry of entries) {
      const index = this.#count++;
      if (this.#count > MOST_ENTRIES)
        throw new MisfitError(`the client sends more than ${MOST_ENTRIES} entries`);
      const path = resolveName(entry.path);
      if (path === "") continue;
      const parent = path.slice(0, path.lastIndexOf("/"));
      if (!this.#offered.has(parent)) throw new MisfitError(`${entry.path} comes before its directory`);
      this.#offered.add(path);
      if (this.#take(path, entry)) {
        this.#wanted.set(index, {
          ...{ path, entry, descriptor: undefined, size: 0 },
          hash: new Bun.CryptoHasher("sha256"),
        });
        wanted.push(index);
      }
    }
    return wanted;
  }

  /** True if the content is wanted. */
  #take(path: string, entry: WireEntry): boolean {
    const there = statOf(path);
    switch (entry.mode & S_IFMT) {
      case KINDS.directory:
        if (there && !there.isDirectory()) this.#files.remove(path);
        if (!there?.isDirectory()) this.#files.makeDirectory(path, 0o700);
        this.#directories.push({ path, entry });
        this.#offeredDirectories.add(path);
        return false;
      case KINDS.link:
        if (there?.isSymbolicLink() && readLink(path) === entry.linkname && isSame(there, entry))
          return false;
        this.#clear(path, there);
        this.#files.makeSymbolicLink(entry.linkname, path);
        this.#finish(path, entry);
        return false;
      case KINDS.file:
        return this.#takeFile(path, entry, there);
      case KINDS.fifo:
      case KINDS.character:
      case KINDS.block:
        this.#clear(path, there);
        this.#makeNode(path, entry);
        return false;
      default:
        // Sockets and what else there may be mean nothing elsewhere.
        this.#clear(path, there);
        return false;
    }
  }

  #takeFile(path: string, entry: WireEntry, there: BigIntStats | undefined): boolean {
    if (entry.linkname !== "") {
      const target = resolveName(entry.linkname);
      if (!this.#offered.has(target)) throw new MisfitError(`${entry.path} is a link to what was not sent`);
      this.#links.push({ path, target });
      return false;
    }
    this.#size += entry.size;
    const known = this.#known.get(path.slice(1));
    const same =
      there?.isFile() === true &&
      isSame(there, entry) &&
      there.nlink === 1n &&
      Number(there.size) === entry.size &&
      known?.size === entry.size &&
      known.mtime === BigInt(entry.mtime);
    if (same && known) this.index.set(path.slice(1), known);
    return !same;
  }

  #makeNode(path: string, entry: WireEntry): void {
    const type = entry.mode & S_IFMT;
    const kind = type === KINDS.fifo ? "fifo" : type === KINDS.block ? "block-device" : "character-device";
    this.#files.makeNode(kind, path, 0o600, { major: entry.devmajor, minor: entry.devminor });
    this.#finish(path, entry);
  }

  #clear(path: string, there: BigIntStats | undefined): void {
    if (!there) return;
    if (there.isDirectory()) rmSync(Buffer.from(path, "latin1"), { recursive: true });
    else this.#files.remove(path);
  }

  /** Owner, mode and times of what is no regular file. */
  #finish(path: string, entry: WireEntry): void {
    if (entry.uid !== 0 || entry.gid !== 0) this.#files.setOwnerAt(path, entry.uid, entry.gid);
    if ((entry.mode & S_IFMT) !== KINDS.link) this.#files.setModeAt(path, entry.mode & 0o7777);
    this.#files.setTimesAt(path, BigInt(entry.mtime));
  }

  write(index: number, bytes: Uint8Array): void {
    const incoming = this.#incoming(index);
    const descriptor = this.#open(incoming);
    incoming.hash.update(bytes);
    incoming.size += bytes.length;
    this.#files.write(descriptor, bytes);
  }

  end(index: number): void {
    const incoming = this.#incoming(index);
    const descriptor = this.#open(incoming);
    const { path, entry, size, hash } = incoming;
    if (entry.uid !== 0 || entry.gid !== 0) this.#files.setOwner(descriptor, entry.uid, entry.gid);
    this.#files.setMode(descriptor, entry.mode & 0o7777);
    this.#files.setTimes(descriptor, BigInt(entry.mtime));
    this.#files.close(descriptor);
    this.#wanted.delete(index);
    this.index.set(path.slice(1), { size, mtime: BigInt(entry.mtime), digest: hash.digest("hex") });
  }

  #incoming(index: number): Incoming {
    const incoming = this.#wanted.get(index);
    if (!incoming) throw new MisfitError(`content that nobody asked for (${index})`);
    return incoming;
  }

  /** A new file in place of the old one: somebody may still read that. */
  #open(incoming: Incoming): number {
    if (incoming.descriptor === undefined) {
      this.#clear(incoming.path, statOf(incoming.path));
      incoming.descriptor = this.#files.create(incoming.path, 0o600);
    }
    return incoming.descriptor;
  }

  finish(): { entries: number; size: number } {
    if (this.#wanted.size > 0) throw new MisfitError("the transfer ended before all files were sent");
    for (const { path, target } of this.#links) {
      this.#clear(path, statOf(path));
      this.#files.makeLink(target, path);
      const known = this.index.get(target.slice(1));
      if (known) this.index.set(path.slice(1), known);
    }
    this.#removeOthers("");
    for (const { path, entry } of this.#directories.reverse()) this.#finish(path, entry);
    return { entries: this.#count, size: this.#size };
  }

  #removeOthers(directory: string): void {
    for (const name of namesIn(directory || "/")) {
      const path = `${directory}/${name}`;
      if (!this.#offered.has(path)) rmSync(Buffer.from(path, "latin1"), { recursive: true, force: true });
      else if (this.#offeredDirectories.has(path)) this.#removeOthers(path);
    }
  }
}

function isSame(there: BigIntStats, entry: WireEntry): boolean {
  const mode =
    (entry.mode & S_IFMT) === KINDS.link || (Number(there.mode) & 0o7777) === (entry.mode & 0o7777);
  const owner = Number(there.uid) === entry.uid && Number(there.gid) === entry.gid;
  return mode && owner && there.mtimeNs === BigInt(entry.mtime);
}

function statOf(path: string): BigIntStats | undefined {
  return lstatSync(Buffer.from(path, "latin1"), { bigint: true, throwIfNoEntry: false });
}

function readLink(path: string): string {
  return readlinkSync(Buffer.from(path, "latin1"), "latin1");
}
