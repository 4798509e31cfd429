/**
 * The layer between an image and a container's own: empty files and directories for what is mounted in every container,
 * so that none of them counts as the container's change, and whatever an image has in their place, links to elsewhere
 * included, is out of the way. One for each highest layer, made when the first container needs it.
 * @see moby daemon/initlayer/setup_unix.go
 */
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  type Stats,
  symlinkSync,
  utimesSync,
} from "node:fs";
import { dirname, join } from "node:path";

const DIRECTORIES = ["dev/pts", "dev/shm", "proc", "sys"];
const FILES = [".dockerenv", "dev/console", "etc/hostname", "etc/hosts", "etc/resolv.conf"];
const LINKS = [["etc/mtab", "/proc/mounts"]] as const;
const MODE = 0o755;

/**
 * Makes it if it is not there.
 * @param path of its tree @param lower the layers below it, highest first
 */
export function ensureInitLayer(path: string, lower: readonly string[]): void {
  if (existsSync(path)) return;
  const staging = `${path}.${randomBytes(6).toString("hex")}`;
  const layer = new InitLayer(staging, lower);
  try {
    layer.make();
    renameSync(staging, path);
  } catch (error) {
    rmSync(staging, { recursive: true, force: true });
    // Another container was first.
    if (!existsSync(path)) throw error;
  }
}

class InitLayer {
  readonly #path: string;
  readonly #lower: readonly string[];
  /** Of the image's directories that this layer has as well: they are to look as before. */
  readonly #attributes = new Map<string, Stats>();

  constructor(path: string, lower: readonly string[]) {
    this.#path = path;
    this.#lower = lower;
  }

  make(): void {
    this.#makeDirectory(".");
    for (const name of DIRECTORIES) if (!this.#directoryBelow(name)) this.#makeDirectory(name);
    for (const name of FILES) {
      this.#makeDirectory(dirname(name));
      const file = openSync(join(this.#path, name), "wx", MODE);
      closeSync(file);
      chmodSync(join(this.#path, name), MODE);
    }
    for (const [name, target] of LINKS) {
      this.#makeDirectory(dirname(name));
      symlinkSync(target, join(this.#path, name));
    }
    for (const [name, { atime, mtime }] of this.#attributes) utimesSync(join(this.#path, name), atime, mtime);
  }

  #makeDirectory(name: string): void {
    const path = join(this.#path, name);
    if (existsSync(path)) return;
    if (name !== ".") this.#makeDirectory(dirname(name));
    mkdirSync(path);
    const found = this.#directoryBelow(name);
    chmodSync(path, found ? found.mode & 0o7777 : MODE);
    if (!found) return;
    chownSync(path, found.uid, found.gid);
    // A change of owner takes set-group-id away.
    chmodSync(path, found.mode & 0o7777);
    this.#attributes.set(name, found);
  }

  /** The image's directory of that name, if it shows: names above it are looked up one by one, no link is followed. */
  #directoryBelow(name: string): Stats | undefined {
    for (const layer of this.#lower) {
      const parts = name === "." ? ["."] : name.split("/");
      let found: Stats | undefined;
      for (let length = 1; length <= parts.length; length++) {
        found = lstatSync(join(layer, ...parts.slice(0, length)), { throwIfNoEntry: false });
        // What is no directory hides whatever lower layers have there.
        if (found && !found.isDirectory()) return undefined;
        if (!found) break;
      }
      if (found) return found;
    }
    return undefined;
  }
}
