/**
 * Writes the entries of one layer below `/`. The process has entered the layer's directory as its root before
 * (`enterRoot`): whatever links the archive makes, the kernel resolves every name beneath it, so no name needs to be
 * judged by its text. Absolute names and `./` are therefore harmless; names that climb out are refused all the same,
 * because no honest archive has them.
 *
 * Whiteouts become what overlayfs reads: `.wh.x` a device 0/0 named `x`, `.wh..wh..opq` an attribute of its directory.
 * Attributes of directories are set at the end: writing into them changes their times, and a set-group-id
 * directory would pass its group on.
 * @see image-spec layer.md
 */
import { lstatSync, rmSync } from "node:fs";
import { hasCode } from "../../../base/error-codes.ts";
import {
  readable,
  type SparsePiece,
  type TarEntry,
  TarError,
  type TarReader,
} from "../../../base/tar/index.ts";
import type { FileMaker } from "../../../linux/files.ts";

const WHITEOUT = ".wh.";
const OPAQUE = ".wh..wh..opq";
const RESERVED = ".wh..wh.";
const OPAQUE_ATTRIBUTE = "trusted.overlay.opaque";
/** Of the file system that stacks the layers: an archive could point it at other places with these. */
const OVERLAY_ATTRIBUTES = /^(?:trusted|user)\.overlay\./;
const PARENT_MODE = 0o755;
/** PATH_MAX: no system call takes a longer one. */
const LONGEST_PATH = 4096;

export interface Extracted {
  size: number;
  entries: number;
}

/** @throws TarError if the archive is malformed or hostile; LinuxError */
export function extractLayer(archive: TarReader, files: FileMaker): Extracted {
  const layer = new LayerWriter(archive, files);
  for (let entry = archive.next(); entry; entry = archive.next()) layer.write(entry);
  layer.finish();
  archive.drain();
  return layer.extracted;
}

class LayerWriter {
  readonly extracted: Extracted = { size: 0, entries: 0 };
  readonly #archive: TarReader;
  readonly #files: FileMaker;
  /** Directories that are known to be there. */
  readonly #directories = new Set<string>([""]);
  /** The entries of directories, by path: applied at the end, the last one of a name wins. */
  readonly #attributes = new Map<string, TarEntry>();

  constructor(archive: TarReader, files: FileMaker) {
    this.#archive = archive;
    this.#files = files;
  }

  write(entry: TarEntry): void {
    const path = resolveName(entry.name);
    this.extracted.entries++;
    if (path === "") {
      if (entry.type !== "directory")
        throw new TarError(`the root of a layer must be a directory: ${readable(entry.name)}`);
      this.#attributes.set("", entry);
      return;
    }
    const slash = path.lastIndexOf("/");
    const directory = path.slice(0, slash);
    const name = path.slice(slash + 1);
    this.#needDirectory(directory);
    if (name.startsWith(WHITEOUT)) this.#writeWhiteout(directory, name);
    else this.#writeEntry(path, entry);
  }

  #writeEntry(path: string, entry: TarEntry): void {
    switch (entry.type) {
      case "file":
        this.#writeFile(path, entry);
        return;
      case "directory":
        this.#writeDirectory(path, entry);
        return;
      case "hard-link":
        this.#writeLink(path, entry);
        return;
      case "symbolic-link":
        this.#replacing(path, () => this.#files.makeSymbolicLink(entry.linkName, path));
        break;
      default: {
        const { type, mode, deviceMajor: major, deviceMinor: minor } = entry;
        this.#replacing(path, () => this.#files.makeNode(type, path, mode, { major, minor }));
      }
    }
    if (entry.uid !== 0 || entry.gid !== 0) this.#files.setOwnerAt(path, entry.uid, entry.gid);
    // A change of owner takes set-user-id away, and links have no mode.
    if (entry.type !== "symbolic-link" && entry.mode & 0o6000) this.#files.setModeAt(path, entry.mode);
    this.#setExtendedAttributes(path, entry);
    this.#files.setTimesAt(path, entry.mtime);
  }

  #writeFile(path: string, entry: TarEntry): void {
    const files = this.#files;
    const descriptor = this.#replacing(path, () => files.create(path, entry.mode));
    try {
      if (entry.sparse) this.#writeSparse(descriptor, entry.size, entry.sparse);
      else this.#writeContent(descriptor);
      if (entry.uid !== 0 || entry.gid !== 0) files.setOwner(descriptor, entry.uid, entry.gid);
      if (entry.mode & 0o6000) files.setMode(descriptor, entry.mode);
      this.#setExtendedAttributes(path, entry);
      files.setTimes(descriptor, entry.mtime);
    } finally {
      files.close(descriptor);
    }
    this.extracted.size += entry.size;
  }

  #writeContent(descriptor: number): void {
    for (let piece = this.#archive.content(); piece; piece = this.#archive.content()) {
      this.#files.write(descriptor, piece);
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

  #writeDirectory(path: string, entry: TarEntry): void {
    if (!this.#directories.has(path)) {
      try {
        this.#files.makeDirectory(path, PARENT_MODE);
      } catch (error) {
        if (!isExists(error)) throw error;
        this.#turnIntoDirectory(path);
      }
      this.#directories.add(path);
    }
    this.#attributes.set(path, entry);
  }

  /** A directory merges with one that is there; anything else gives way to it. */
  #turnIntoDirectory(path: string): void {
    const found = lstatSync(Buffer.from(path, "latin1"));
    if (found.isDirectory()) return;
    this.#files.remove(path);
    this.#files.makeDirectory(path, PARENT_MODE);
    // It hides what lower layers have, as the whiteout in its place did.
    if (found.isCharacterDevice() && found.rdev === 0)
      this.#files.setAttributeAt(path, OPAQUE_ATTRIBUTE, "y");
  }

  /** The link's target is a name of the archive like any other, beneath the same root. */
  #writeLink(path: string, entry: TarEntry): void {
    const target = resolveName(entry.linkName);
    if (target === path) return;
    if (target === "")
      throw new TarError(`invalid hard link ${readable(entry.name)} -> ${readable(entry.linkName)}`);
    try {
      this.#replacing(path, () => this.#files.makeLink(target, path));
    } catch (error) {
      if (!hasCode(error, "ENOENT")) throw error;
      throw new TarError(
        `hard link ${readable(entry.name)} to ${readable(entry.linkName)}, which is not in the layer`,
      );
    }
  }

  #writeWhiteout(directory: string, name: string): void {
    if (name === OPAQUE) {
      this.#files.setAttributeAt(directory === "" ? "/" : directory, OPAQUE_ATTRIBUTE, "y");
      return;
    }
    // Bookkeeping of aufs, which some old images still carry.
    if (name.startsWith(RESERVED)) return;
    const hidden = name.slice(WHITEOUT.length);
    if (hidden === "" || hidden === "." || hidden === "..")
      throw new TarError(`invalid whiteout: ${readable(name)}`);
    const path = `${directory}/${hidden}`;
    try {
      this.#files.makeNode("character-device", path, 0);
    } catch (error) {
      if (!isExists(error)) throw error;
      // A whiteout is about lower layers: what this layer has of that name stays, and hides them already.
      if (lstatSync(Buffer.from(path, "latin1")).isDirectory()) {
        this.#files.setAttributeAt(path, OPAQUE_ATTRIBUTE, "y");
      }
    }
  }

  /** Runs what makes a file; if the name is taken by an earlier entry, that one goes first. */
  #replacing<T>(path: string, make: () => T): T {
    try {
      return make();
    } catch (error) {
      if (!isExists(error)) throw error;
    }
    this.#removeExisting(path);
    return make();
  }

  #removeExisting(path: string): void {
    const name = Buffer.from(path, "latin1");
    if (!lstatSync(name).isDirectory()) {
      this.#files.remove(path);
      return;
    }
    rmSync(name, { recursive: true });
    for (const known of [...this.#directories]) {
      if (known === path || known.startsWith(`${path}/`)) {
        this.#directories.delete(known);
        this.#attributes.delete(known);
      }
    }
  }

  /** Archives may leave parents out. */
  #needDirectory(path: string): void {
    if (this.#directories.has(path)) return;
    this.#needDirectory(path.slice(0, path.lastIndexOf("/")));
    try {
      this.#files.makeDirectory(path, PARENT_MODE);
    } catch (error) {
      // A link to a directory (`/var/run`) leads on; anything else fails where it is used.
      if (!isExists(error)) throw error;
    }
    this.#directories.add(path);
  }

  #setExtendedAttributes(path: string, entry: TarEntry): void {
    for (const [name, value] of entry.extendedAttributes) {
      if (OVERLAY_ATTRIBUTES.test(name)) continue;
      try {
        this.#files.setAttributeAt(path, name, value);
      } catch (error) {
        // Labels of a security module that this host does not have.
        const unsupported = hasCode(error, "EOPNOTSUPP", "EPERM");
        if (!unsupported) throw error;
      }
    }
  }

  /** Attributes of directories, deepest names last or first: it does not matter, nothing is written any more. */
  finish(): void {
    for (const [path, entry] of this.#attributes) {
      const target = path === "" ? "/" : path;
      if (entry.uid !== 0 || entry.gid !== 0) this.#files.setOwnerAt(target, entry.uid, entry.gid);
      if (entry.mode !== PARENT_MODE || path === "") this.#files.setModeAt(target, entry.mode);
      this.#setExtendedAttributes(target, entry);
      this.#files.setTimesAt(target, entry.mtime);
    }
  }
}

/**
 * A name as a path below `/`: `./a//b/` → `/a/b`; the root itself is empty.
 * @throws TarError if it climbs out
 */
function resolveName(name: string): string {
  if (name.includes("\0")) throw new TarError(`invalid name in archive: ${readable(name)}`);
  const parts: string[] = [];
  for (const part of name.split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== "..") parts.push(part);
    else if (parts.pop() === undefined)
      throw new TarError(`name in archive leads out of the layer: ${readable(name)}`);
  }
  const path = parts.length === 0 ? "" : `/${parts.join("/")}`;
  if (path.length >= LONGEST_PATH) throw new TarError("name in archive is too long");
  return path;
}

function isExists(error: unknown): boolean {
  return hasCode(error, "EEXIST");
}
