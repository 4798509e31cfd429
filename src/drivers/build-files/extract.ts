/**
 * Writes the entries of an ordinary archive below `/`; the process has entered the target before, so that every name is
 * resolved beneath it. Unlike a layer, `.wh.` names are names like any other. What is there gives way, but a directory to
 * a directory.
 */
import { lstatSync, rmSync } from "node:fs";
import { readable, type TarEntry, TarError, type TarReader } from "../../base/tar/index.ts";
import type { FileMaker } from "../../linux/files.ts";
import { LinuxError } from "../../linux/libc.ts";
import type { ContentIndex } from "./index-file.ts";
import type { Ids } from "./metadata.ts";

const PARENT_MODE = 0o755;
const OVERLAY_ATTRIBUTES = /^(?:trusted|user)\.overlay\./;
/** More entries are not unpacked: a bomb of empty files. */
const MOST_ENTRIES = 2_000_000;

export interface Extracted {
  entries: number;
  size: number;
}

/** @throws TarError, LinuxError */
export function extractArchive(
  archive: TarReader,
  files: FileMaker,
  { owner, index }: { owner: Ids | "keep"; index: ContentIndex | undefined },
): Extracted {
  const writer = new ArchiveWriter(archive, files, owner, index);
  for (let entry = archive.next(); entry; entry = archive.next()) writer.write(entry);
  writer.finish();
  archive.drain();
  return writer.extracted;
}

class ArchiveWriter {
  readonly extracted: Extracted = { entries: 0, size: 0 };
  readonly #archive: TarReader;
  readonly #files: FileMaker;
  readonly #owner: Ids | "keep";
  readonly #index: ContentIndex | undefined;
  readonly #directories = new Map<string, TarEntry | undefined>([["", undefined]]);

  constructor(archive: TarReader, files: FileMaker, owner: Ids | "keep", index: ContentIndex | undefined) {
    this.#archive = archive;
    this.#files = files;
    this.#owner = owner;
    this.#index = index;
  }

  write(entry: TarEntry): void {
    const path = resolveName(entry.name);
    if (++this.extracted.entries > MOST_ENTRIES) throw new TarError(`more than ${MOST_ENTRIES} entries`);
    if (path === "") {
      if (entry.type !== "directory")
        throw new TarError(`the root must be a directory: ${readable(entry.name)}`);
      this.#directories.set("", entry);
      return;
    }
    this.#needDirectory(path.slice(0, path.lastIndexOf("/")));
    switch (entry.type) {
      case "directory":
        this.#directory(path, entry);
        break;
      case "file":
        this.#file(path, entry);
        break;
      case "hard-link":
        this.#link(path, entry);
        break;
      default:
        this.#special(path, entry);
    }
  }

  #ownerOf(entry: TarEntry): Ids {
    return this.#owner === "keep" ? entry : this.#owner;
  }

  #directory(path: string, entry: TarEntry): void {
    const there = statOf(path);
    if (there && !there.isDirectory()) this.#files.remove(path);
    if (!there?.isDirectory()) this.#files.makeDirectory(path, PARENT_MODE);
    this.#directories.set(path, entry);
  }

  #file(path: string, entry: TarEntry): void {
    this.#clear(path);
    const files = this.#files;
    const hash = this.#index && new Bun.CryptoHasher("sha256");
    const descriptor = files.create(path, entry.mode & 0o777);
    try {
      for (let piece = this.#archive.content(); piece; piece = this.#archive.content()) {
        hash?.update(piece);
        files.write(descriptor, piece);
      }
      const { uid, gid } = this.#ownerOf(entry);
      if (uid !== 0 || gid !== 0) files.setOwner(descriptor, uid, gid);
      if (entry.mode & 0o7000) files.setMode(descriptor, entry.mode);
      this.#attributes(path, entry);
      files.setTimes(descriptor, entry.mtime);
    } finally {
      files.close(descriptor);
    }
    this.extracted.size += entry.size;
    if (hash) {
      this.#index?.set(path.slice(1), { size: entry.size, mtime: entry.mtime, digest: hash.digest("hex") });
    }
  }

  #link(path: string, entry: TarEntry): void {
    const target = resolveName(entry.linkName);
    if (target === path) return;
    if (target === "") throw new TarError(`invalid hard link ${readable(entry.name)}`);
    this.#clear(path);
    try {
      this.#files.makeLink(target, path);
    } catch (error) {
      if (!(error instanceof LinuxError) || error.code !== "ENOENT") throw error;
      throw new TarError(
        `hard link ${readable(entry.name)} to ${readable(entry.linkName)}, which is not there`,
      );
    }
    const known = this.#index?.get(target.slice(1));
    if (known) this.#index?.set(path.slice(1), known);
  }

  #special(path: string, entry: TarEntry): void {
    this.#clear(path);
    const { type, mode, deviceMajor: major, deviceMinor: minor } = entry;
    if (type === "symbolic-link") this.#files.makeSymbolicLink(entry.linkName, path);
    else if (type === "fifo" || type === "character-device" || type === "block-device") {
      this.#files.makeNode(type, path, mode & 0o777, { major, minor });
    }
    const { uid, gid } = this.#ownerOf(entry);
    if (uid !== 0 || gid !== 0) this.#files.setOwnerAt(path, uid, gid);
    this.#attributes(path, entry);
    this.#files.setTimesAt(path, entry.mtime);
  }

  #clear(path: string): void {
    const there = statOf(path);
    if (!there) return;
    if (there.isDirectory()) {
      rmSync(Buffer.from(path, "latin1"), { recursive: true });
      for (const known of [...this.#directories.keys()]) {
        if (known === path || known.startsWith(`${path}/`)) this.#directories.delete(known);
      }
    } else this.#files.remove(path);
  }

  #needDirectory(path: string): void {
    if (this.#directories.has(path)) return;
    this.#needDirectory(path.slice(0, path.lastIndexOf("/")));
    try {
      this.#files.makeDirectory(path, PARENT_MODE);
    } catch (error) {
      if (!(error instanceof LinuxError) || error.code !== "EEXIST") throw error;
    }
    this.#directories.set(path, undefined);
  }

  #attributes(path: string, entry: TarEntry): void {
    for (const [name, value] of entry.extendedAttributes) {
      if (OVERLAY_ATTRIBUTES.test(name)) continue;
      try {
        this.#files.setAttributeAt(path, name, value);
      } catch (error) {
        if (!(error instanceof LinuxError) || !["EOPNOTSUPP", "EPERM"].includes(error.code)) throw error;
      }
    }
  }

  /** Writing into directories changes their times. */
  finish(): void {
    for (const [path, entry] of this.#directories) {
      if (!entry) continue;
      const target = path === "" ? "/" : path;
      if (statOf(target)?.isDirectory() !== true) continue;
      const { uid, gid } = this.#ownerOf(entry);
      if (path !== "") this.#files.setOwnerAt(target, uid, gid);
      if (path !== "") this.#files.setModeAt(target, entry.mode);
      this.#attributes(target, entry);
      this.#files.setTimesAt(target, entry.mtime);
    }
  }
}

function statOf(path: string) {
  return lstatSync(Buffer.from(path, "latin1"), { throwIfNoEntry: false });
}

/** A name as a path below `/`; the root itself is empty. @throws TarError if it climbs out */
export function resolveName(name: string): string {
  if (name.includes("\0")) throw new TarError(`invalid name: ${readable(name)}`);
  const parts: string[] = [];
  for (const part of name.split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== "..") parts.push(part);
    else if (parts.pop() === undefined)
      throw new TarError(`name leads out of the archive: ${readable(name)}`);
  }
  return parts.length === 0 ? "" : `/${parts.join("/")}`;
}
