/**
 * An archive's entries, written below a directory of a container. The way to each entry is resolved in the container's root
 * once, and the entry itself is made by one name in an open directory: links of the container and of the archive lead
 * where they lead for the container's own programs, and nowhere else, whatever is swapped meanwhile.
 * @see moby go-archive (Unpack), whose rules these are
 */
import { closeSync, fstatSync, rmSync, type Stats } from "node:fs";
import { readable, type SparsePiece, type TarEntry, TarError, type TarReader } from "../../base/tar/index.ts";
import type { TreeWriteOptions } from "../../base/tree-files.ts";
import type { FileMaker } from "../../linux/files.ts";
import { type ForeignRoot, findAt, O, pathOf, reopen } from "../../linux/foreign-root.ts";
import { LinuxError } from "../../linux/libc.ts";

const CAPABILITY = "security.capability";
const PARENTS = { uid: 0, gid: 0, mode: 0o755 };
/** PATH_MAX: no system call takes a longer one. */
const LONGEST_PATH = 4096;

type Options = Pick<TreeWriteOptions, "noOverwriteDirNonDir" | "owner" | "keepOwner" | "rename">;

export class TreeExtractor {
  readonly #archive: TarReader;
  readonly #root: ForeignRoot;
  /** Where it goes, as a path in the root by which no link is passed. */
  readonly #target: string;
  readonly #options: Options;
  readonly #files: FileMaker;
  /** Of directories: writing into them changes them, so they are set at the end. */
  readonly #times = new Map<string, bigint>();
  /** The directory that the last entry went into stays open for the next. */
  #parent: { readonly path: string; readonly descriptor: number } | undefined;

  constructor(
    archive: TarReader,
    {
      root,
      target,
      options,
      files,
    }: { root: ForeignRoot; target: string; options: Options; files: FileMaker },
  ) {
    this.#archive = archive;
    this.#root = root;
    this.#target = target;
    this.#options = options;
    this.#files = files;
  }

  /** @throws TarError if the archive is malformed or would overwrite what it must not; LinuxError */
  extract(): void {
    try {
      const { rename } = this.#options;
      for (let entry = this.#archive.next(); entry; entry = this.#archive.next()) {
        this.#write(rename ? renamed(entry, rename) : entry);
      }
      this.#archive.drain();
      for (const [path, mtime] of this.#times) this.#setTimes(path, mtime);
    } finally {
      this.#leaveParent();
    }
  }

  #write(entry: TarEntry): void {
    const path = cleanName(entry.name);
    if (path === "") {
      // Of the directory itself Docker takes the times alone.
      if (entry.type === "directory") this.#times.set("", entry.mtime);
      return;
    }
    const slash = path.lastIndexOf("/");
    const parent = this.#enterParent(path.slice(0, Math.max(slash, 0)));
    const name = path.slice(slash + 1);
    const found = this.#makeWay(parent, name, entry);
    if (entry.type === "directory") this.#writeDirectory(parent, name, found, entry, path);
    else this.#writeOther(parent, name, entry);
  }

  /** @returns true if a directory is there already, for a directory @throws TarError */
  #makeWay(parent: number, name: string, entry: TarEntry): boolean {
    const found = statAt(parent, name);
    if (found === undefined) return false;
    const directory = entry.type === "directory";
    if (this.#options.noOverwriteDirNonDir && found.isDirectory() !== directory) {
      const path = JSON.stringify(
        `${this.#target === "/" ? "" : this.#target}/${text(cleanName(entry.name))}`,
      );
      throw new TarError(
        directory
          ? `cannot overwrite non-directory ${path} with directory ${JSON.stringify(this.#target)}`
          : `cannot overwrite directory ${path} with non-directory ${JSON.stringify(this.#target)}`,
      );
    }
    if (directory && found.isDirectory()) return true;
    if (found.isDirectory())
      rmSync(Buffer.from(at(parent, name), "latin1"), { recursive: true, force: true });
    else this.#files.remove(at(parent, name));
    return false;
  }

  #writeDirectory(parent: number, name: string, found: boolean, entry: TarEntry, path: string): void {
    if (!found) this.#files.makeDirectory(at(parent, name), 0o700);
    const named = findAt(parent, name);
    if (named === undefined) throw new TarError(`${readable(entry.name)} vanished while it was written`);
    try {
      const opened = reopen(named, O.RDONLY | O.DIRECTORY);
      try {
        this.#own(opened, entry);
      } finally {
        closeSync(opened);
      }
    } finally {
      closeSync(named);
    }
    this.#times.set(path, entry.mtime);
  }

  #writeOther(parent: number, name: string, entry: TarEntry): void {
    const path = at(parent, name);
    switch (entry.type) {
      case "file":
        this.#writeFile(path, entry);
        return;
      case "hard-link":
        this.#writeLink(path, entry);
        return;
      case "symbolic-link":
        this.#files.makeSymbolicLink(entry.linkName, path);
        break;
      default: {
        const { deviceMajor: major, deviceMinor: minor } = entry;
        this.#files.makeNode(entry.type as "fifo", path, entry.mode & 0o777, { major, minor });
      }
    }
    const { uid, gid } = this.#options.owner ?? entry;
    if (!this.#options.keepOwner) this.#files.setOwnerAt(path, uid, gid);
    this.#files.setTimesAt(path, entry.mtime);
  }

  #writeFile(path: string, entry: TarEntry): void {
    const descriptor = this.#files.create(path, 0o600);
    try {
      if (entry.sparse) this.#writeSparse(descriptor, entry.size, entry.sparse);
      else {
        for (let piece = this.#archive.content(); piece; piece = this.#archive.content()) {
          this.#files.write(descriptor, piece);
        }
      }
      this.#own(descriptor, entry);
      const capability = entry.extendedAttributes.get(CAPABILITY);
      if (capability !== undefined && !this.#options.keepOwner)
        this.#files.setAttribute(descriptor, CAPABILITY, capability);
      this.#files.setTimes(descriptor, entry.mtime);
    } finally {
      this.#files.close(descriptor);
    }
  }

  /** The archive has the data alone, piece after piece. */
  #writeSparse(descriptor: number, size: number, pieces: readonly SparsePiece[]): void {
    let index = 0;
    let written = 0;
    for (let bytes = this.#archive.content(); bytes; bytes = this.#archive.content()) {
      for (let rest = bytes; rest.byteLength > 0; ) {
        const { offset, length } = pieces[index] as SparsePiece;
        const now = rest.subarray(0, length - written);
        this.#files.writeAt(descriptor, now, offset + written);
        written += now.byteLength;
        rest = rest.subarray(now.byteLength);
        if (written === length) [index, written] = [index + 1, 0];
      }
    }
    this.#files.setSize(descriptor, size);
  }

  /** The target is a name of the archive like any other; a link is linked to, not followed. */
  #writeLink(path: string, entry: TarEntry): void {
    const target = this.#root.openParent(this.#below(cleanName(entry.linkName)));
    try {
      this.#files.makeLink(at(target.parent, target.name), path);
    } catch (error) {
      if (!(error instanceof LinuxError) || error.code !== "ENOENT") throw error;
      throw new TarError(
        `hard link ${readable(entry.name)} to ${readable(entry.linkName)}, which is not there`,
      );
    } finally {
      closeSync(target.parent);
    }
  }

  #own(descriptor: number, entry: TarEntry): void {
    const { uid, gid } = this.#options.owner ?? entry;
    if (!this.#options.keepOwner) this.#files.setOwner(descriptor, uid, gid);
    // A change of owner takes set-user-id away.
    this.#files.setMode(descriptor, entry.mode);
  }

  /** @param path below the target, a byte string */
  #enterParent(path: string): number {
    if (this.#parent?.path === path) return this.#parent.descriptor;
    this.#leaveParent();
    const descriptor = this.#root.makeDirectories(this.#below(path), PARENTS);
    this.#parent = { path, descriptor };
    return descriptor;
  }

  /** @param path below the target, a byte string */
  #below(path: string): Buffer {
    return Buffer.concat([Buffer.from(`${this.#target}/`), Buffer.from(path, "latin1")]);
  }

  #leaveParent(): void {
    if (this.#parent) closeSync(this.#parent.descriptor);
    this.#parent = undefined;
  }

  #setTimes(path: string, mtime: bigint): void {
    const found = this.#root.find(this.#below(path), { directory: true });
    // Somebody took it away.
    if (found === undefined) return;
    try {
      const opened = reopen(found, O.RDONLY | O.DIRECTORY);
      this.#files.setTimes(opened, mtime);
      closeSync(opened);
    } finally {
      closeSync(found);
    }
  }
}

/** With the first occurrence in its name replaced, and in that of the file that it is a hard link to. */
export function renamed(
  entry: TarEntry,
  { from, to }: { readonly from: string; readonly to: string },
): TarEntry {
  const [old, fresh] = [from, to].map((name) => Buffer.from(name).toString("latin1")) as [string, string];
  const replaced = (name: string) => (old === "" ? fresh + name : name.replace(old, () => fresh));
  const linkName = entry.type === "hard-link" ? replaced(entry.linkName) : entry.linkName;
  return { ...entry, name: replaced(entry.name), linkName };
}

/** Where a file of one name in an open directory is made; the name is the last on the way, so no link is followed to it. */
function at(parent: number, name: string): string {
  return `${pathOf(parent)}/${name}`;
}

function statAt(parent: number, name: string): Stats | undefined {
  const found = findAt(parent, name);
  if (found === undefined) return undefined;
  try {
    return fstatSync(found);
  } finally {
    closeSync(found);
  }
}

/**
 * A name without dots and slashes around it; empty for the directory itself.
 * @throws TarError if it climbs out
 */
function cleanName(name: string): string {
  if (name.includes("\0") || name.length >= LONGEST_PATH) {
    throw new TarError(`invalid name in archive: ${readable(name.slice(0, LONGEST_PATH))}`);
  }
  const parts: string[] = [];
  for (const part of name.split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== "..") parts.push(part);
    else if (parts.pop() === undefined) {
      throw new TarError(`name in archive leads out of where it is unpacked: ${readable(name)}`);
    }
  }
  return parts.join("/");
}

function text(name: string): string {
  return Buffer.from(name, "latin1").toString();
}
