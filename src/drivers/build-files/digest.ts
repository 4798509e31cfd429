/**
 * Digests of what is in a tree: of names, modes, owners, links and content, and of no times. Two trees that a program
 * cannot tell apart by those have the same. Contents that an index knows are not read.
 */
import { type BigIntStats, closeSync, constants, openSync, readlinkSync, readSync } from "node:fs";
import { type MatchResults, PatternMatcher } from "../../base/patterns.ts";
import type { ContentSelector } from "../../core/build-files.ts";
import { attributesOf } from "../../linux/attributes.ts";
import { resolveWildcards } from "./actions.ts";
import { type ContentIndex, indexPath, readIndex } from "./index-file.ts";
import {
  baseName,
  latin,
  MissingError,
  namesIn,
  openDirectoryAt,
  partsOf,
  statAt,
  Tree,
  toBytes,
} from "./roots.ts";

const OVERLAY_ATTRIBUTES = /^(?:trusted|user)\.overlay\./;
const READ_SIZE = 1 << 20;
const buffer = Buffer.allocUnsafeSlow(READ_SIZE);

/** Hex. @throws MissingError */
export function digestContent(root: string, selectors: readonly ContentSelector[]): string {
  using tree = new Tree(root);
  const reader = new ContentReader(tree, readIndex(indexPath(root)));
  const digests = selectors.map((selector) => reader.select(selector));
  if (digests.length === 1) return digests[0] ?? "";
  const hash = new Bun.CryptoHasher("sha256");
  for (const digest of digests) hash.update(digest);
  return hash.digest("hex");
}

class ContentReader {
  readonly #tree: Tree;
  readonly #index: ContentIndex;

  constructor(tree: Tree, index: ContentIndex) {
    this.#tree = tree;
    this.#index = index;
  }

  select(selector: ContentSelector): string {
    const path = toBytes(selector.path);
    const filtered = selector.include.length > 0 || selector.exclude.length > 0;
    if (!selector.wildcards && !filtered) return this.#one(path, selector.followLinks);
    const found = selector.wildcards ? resolveWildcards(this.#tree, path, selector.followLinks) : [path];
    if (!filtered && found.length === 1 && found[0] !== undefined && baseName(found[0]) === baseName(path)) {
      return this.#one(found[0], selector.followLinks);
    }
    const hash = new Bun.CryptoHasher("sha256");
    const seen: string[] = [];
    for (const each of found) {
      const canonical = this.#tree.canonical(each, { follow: selector.followLinks });
      if (!this.#tree.stat(canonical)) throw new MissingError(selector.path);
      if (!filtered) hash.update(`\0${baseName(each)}\0${this.#one(each, selector.followLinks)}`, "latin1");
      else this.#filtered(canonical, selector, hash, seen);
    }
    for (const required of selector.required) {
      const wanted = partsOf(toBytes(required)).join("/");
      const base = partsOf(path).join("/");
      if (!seen.some((one) => `${base}/${one}`.replace(/^\//, "").startsWith(wanted)))
        throw new MissingError(required);
    }
    return hash.digest("hex");
  }

  #one(path: string, follow: boolean): string {
    const canonical = this.#tree.canonical(path, { follow });
    const stats = this.#tree.stat(canonical);
    if (!stats) throw new MissingError(Buffer.from(`/${partsOf(path).join("/")}`, "latin1").toString("utf8"));
    return this.#tree.at(canonical, (location) => this.#entry(location, canonical.slice(1), stats));
  }

  #entry(location: string, path: string, stats: BigIntStats): string {
    if (!stats.isDirectory()) return this.#file(location, path, stats);
    const hash = new Bun.CryptoHasher("sha256");
    hash.update(`\0${path === "" ? "" : headerOf(location, stats)}`, "latin1");
    this.#each(location, (name, at, child) => {
      hash.update(`\0${name}\0${this.#entry(at, path === "" ? name : `${path}/${name}`, child)}`, "latin1");
    });
    return hash.digest("hex");
  }

  #each(location: string, visit: (name: string, location: string, stats: BigIntStats) => void): void {
    const opened = openDirectoryAt(location);
    try {
      for (const name of namesIn(`/proc/self/fd/${opened}`)) {
        const at = `/proc/self/fd/${opened}/${name}`;
        const stats = statAt(at);
        if (stats) visit(name, at, stats);
      }
    } finally {
      closeSync(opened);
    }
  }

  #file(location: string, path: string, stats: BigIntStats): string {
    const hash = new Bun.CryptoHasher("sha256");
    hash.update(headerOf(location, stats), "latin1");
    if (stats.isFile()) hash.update(this.#contentOf(location, path, stats));
    return hash.digest("hex");
  }

  #contentOf(location: string, path: string, stats: BigIntStats): string {
    const known = this.#index.get(path);
    if (known && known.size === Number(stats.size) && known.mtime === stats.mtimeNs) return known.digest;
    const descriptor = openSync(
      latin(location),
      constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK,
    );
    try {
      const hash = new Bun.CryptoHasher("sha256");
      for (let count = readSync(descriptor, buffer); count > 0; count = readSync(descriptor, buffer)) {
        hash.update(buffer.subarray(0, count));
      }
      return hash.digest("hex");
    } finally {
      closeSync(descriptor);
    }
  }

  /** Files and headers of directories that the patterns let through, and of directories above those. */
  #filtered(canonical: string, selector: ContentSelector, hash: Bun.CryptoHasher, seen: string[]): void {
    const include = selector.include.length > 0 ? new PatternMatcher(selector.include) : undefined;
    const exclude = selector.exclude.length > 0 ? new PatternMatcher(selector.exclude) : undefined;
    const pending: { path: string; header: string }[] = [];
    const add = (path: string, digest: string): void => {
      for (const { path: above, header } of pending.splice(0)) hash.update(`\0${above}\0${header}`, "latin1");
      hash.update(`\0${path}\0${digest}`, "latin1");
      seen.push(path);
    };
    const visit = (
      location: string,
      path: string,
      stats: BigIntStats,
      above: { include: MatchResults; exclude: MatchResults },
    ): void => {
      const included = path === "" ? undefined : include?.match(path, above.include);
      const excluded = path === "" ? undefined : exclude?.match(path, above.exclude);
      const taken = (included?.matched ?? true) && !(excluded?.matched ?? false);
      if (!stats.isDirectory()) {
        if (taken)
          add(path, this.#file(location, `${canonical.slice(1)}/${path}`.replace(/^\/|\/$/g, ""), stats));
        return;
      }
      if (excluded?.matched && !exclude?.hasExceptions) return;
      const header = headerOf(location, stats);
      if (path !== "" && taken) add(path, header);
      else if (path !== "") pending.push({ path, header });
      const results = { include: included?.results ?? [], exclude: excluded?.results ?? [] };
      this.#each(location, (name, at, child) =>
        visit(at, path === "" ? name : `${path}/${name}`, child, results),
      );
      const last = pending.at(-1);
      if (last?.path === path) pending.pop();
    };
    const stats = this.#tree.stat(canonical);
    if (!stats) throw new MissingError(selector.path);
    this.#tree.at(canonical, (location) => visit(location, "", stats, { include: [], exclude: [] }));
  }
}

function headerOf(location: string, stats: BigIntStats): string {
  const link = stats.isSymbolicLink();
  const target = link ? readlinkSync(latin(location), "latin1") : "";
  const fields = [
    typeOf(stats),
    link ? "" : String(stats.mode & 0o7777n),
    String(stats.uid),
    String(stats.gid),
    stats.isFile() ? String(stats.size) : "",
    target,
    stats.isCharacterDevice() || stats.isBlockDevice() ? String(stats.rdev) : "",
  ];
  for (const [name, value] of attributesOf(location)) {
    if (!OVERLAY_ATTRIBUTES.test(name)) fields.push(name, value);
  }
  return `${fields.join("\0")}\0\0`;
}

function typeOf(stats: BigIntStats): string {
  return String(stats.mode & 0o170000n);
}
