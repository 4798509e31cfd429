/**
 * Paths in trees that somebody else made, for the file worker. A path is made canonical first (links resolved as in the
 * root, one name at a time); its parent is then opened beneath the root, and what is in it is reached through the
 * open descriptor: `/proc/self/fd/N/name`. Names are byte strings (one character for each byte).
 */
import { type BigIntStats, closeSync, constants, fstatSync, lstatSync, openSync, readdirSync } from "node:fs";
import { ForeignRoot, readLink } from "../../linux/foreign-root.ts";

const MOST_LINKS = 255;
const { O_DIRECTORY, O_NOFOLLOW, O_RDONLY } = constants;

/** Something is not there that was named. */
export class MissingError extends Error {
  override readonly name = "MissingError";
  constructor(path: string) {
    super(`${JSON.stringify(path)}: not found`);
  }
}

/** What was asked for does not fit what is there. */
export class MisfitError extends Error {
  override readonly name = "MisfitError";
}

/** A tree whose descriptors are closed together. */
export class Tree implements Disposable {
  readonly #root: ForeignRoot;

  constructor(path: string) {
    this.#root = new ForeignRoot(path);
  }

  /** The root's own directory, to be reached through. */
  get location(): string {
    return `/proc/self/fd/${this.#root.descriptor}/.`;
  }

  /**
   * The path with its links resolved; what is not there stays as it is written. `follow: false` leaves the last name alone.
   * @param path a byte string
   */
  canonical(path: string, { follow = true }: { follow?: boolean } = {}): string {
    const ahead = partsOf(path).reverse();
    const behind: string[] = [];
    let links = 0;
    for (let name = ahead.pop(); name !== undefined; name = ahead.pop()) {
      if (name === "..") {
        behind.pop();
        continue;
      }
      behind.push(name);
      if (!follow && ahead.length === 0) break;
      const target = this.#linkAt(behind);
      if (target === undefined) continue;
      if (++links > MOST_LINKS) throw new MisfitError(`too many links in ${JSON.stringify(path)}`);
      behind.pop();
      if (target.startsWith("/")) behind.length = 0;
      ahead.push(...partsOf(target).reverse());
    }
    return `/${behind.join("/")}`;
  }

  #linkAt(parts: readonly string[]): string | undefined {
    const found = this.#root.find(toText(`/${parts.join("/")}`), { follow: false });
    if (found === undefined) return undefined;
    try {
      return fstatSync(found).isSymbolicLink() ? readLink(found) : undefined;
    } finally {
      closeSync(found);
    }
  }

  /** Where a canonical path is reached, as long as `use` runs. Its parent must be there. @throws MissingError */
  at<T>(canonical: string, use: (location: string) => T): T {
    if (canonical === "/") return use(this.location);
    const slash = canonical.lastIndexOf("/");
    const parent = this.openDirectory(canonical.slice(0, slash) || "/");
    try {
      return use(`/proc/self/fd/${parent}/${canonical.slice(slash + 1)}`);
    } finally {
      closeSync(parent);
    }
  }

  /** @throws MissingError; MisfitError if it is something else */
  openDirectory(canonical: string): number {
    const found = this.#root.find(toText(canonical), { follow: false });
    if (found === undefined) throw new MissingError(toText(canonical));
    if (fstatSync(found).isDirectory()) return found;
    closeSync(found);
    throw new MisfitError(`${toText(canonical)}: not a directory`);
  }

  /** Undefined if nothing is there. */
  stat(canonical: string): BigIntStats | undefined {
    const found = this.#root.find(toText(canonical), { follow: false });
    if (found === undefined) return undefined;
    try {
      return fstatSync(found, { bigint: true });
    } finally {
      closeSync(found);
    }
  }

  [Symbol.dispose](): void {
    this.#root[Symbol.dispose]();
  }
}

export function partsOf(path: string): string[] {
  return path.split("/").filter((part) => part !== "" && part !== ".");
}

/** Of a location. Undefined if nothing is there. */
export function statAt(location: string): BigIntStats | undefined {
  return lstatSync(latin(location), { bigint: true, throwIfNoEntry: false });
}

/** Names in a directory, sorted by their bytes. */
export function namesIn(location: string): string[] {
  return readdirSync(latin(location), { encoding: "buffer" })
    .map((name) => name.toString("latin1"))
    .sort();
}

/** A directory by one name, and never through a link. */
export function openDirectoryAt(location: string): number {
  return openSync(latin(location), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

/** A byte string as what Node's calls take. */
export function latin(path: string): Buffer {
  return Buffer.from(path, "latin1");
}

/** Text as a byte string. */
export function toBytes(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}

/** A byte string as text, for messages and for calls that take text. */
export function toText(bytes: string): string {
  return Buffer.from(bytes, "latin1").toString("utf8");
}

/** Go's path.Base. */
export function baseName(path: string): string {
  return partsOf(path).at(-1) ?? "/";
}
