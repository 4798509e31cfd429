/**
 * Copying between trees, with the rules of `COPY`: what is made new takes the source's metadata, the topmost directory
 * that is there keeps its own, those in it take the source's; directories above a match of an include pattern are made
 * when the first match in them is found.
 * @see fsutil `copy/copy.go`, BuildKit `solver/llbsolver/file/backend.go`
 */
import { type BigIntStats, closeSync, constants, openSync, readlinkSync, rmSync } from "node:fs";
import { type MatchResults, PatternMatcher } from "../../base/patterns.ts";
import type { FileAction } from "../../core/build-files.ts";
import { copyContent } from "../../linux/file-copy.ts";
import type { FileMaker } from "../../linux/files.ts";
import { applyMode, copyAttributes, type Ids, permissionsOf } from "./metadata.ts";
import { latin, MisfitError, namesIn, openDirectoryAt, statAt, type Tree, toText } from "./roots.ts";

export type CopyOptions = Pick<
  Extract<FileAction, { kind: "copy" }>,
  "mode" | "modeText" | "include" | "exclude" | "replaceExisting"
> & { readonly ids: Ids | undefined; readonly time: bigint | undefined };

interface Matches {
  readonly include: MatchResults;
  readonly exclude: MatchResults;
}

/** A directory on the way down; its counterpart is made when it is needed. */
interface Level {
  readonly source: number;
  readonly stats: BigIntStats;
  /** The counterpart's name in the level above, or where it is reached if it is the first. */
  readonly name: string;
  target: number | undefined;
}

const NO_MATCHES: Matches = { include: [], exclude: [] };
const { O_NOFOLLOW, O_RDONLY, O_NONBLOCK } = constants;

export class Copier {
  readonly #files: FileMaker;
  readonly #options: CopyOptions;
  readonly #include: PatternMatcher | undefined;
  readonly #exclude: PatternMatcher | undefined;
  readonly #levels: Level[] = [];
  /** Where files with several names were copied to first, by inode; in the target tree, so that it can be linked again. */
  readonly #linked = new Map<string, string>();
  readonly #target: Tree;

  constructor(files: FileMaker, target: Tree, options: CopyOptions) {
    this.#files = files;
    this.#target = target;
    this.#options = options;
    this.#include = options.include.length > 0 ? new PatternMatcher(options.include) : undefined;
    this.#exclude = options.exclude.length > 0 ? new PatternMatcher(options.exclude) : undefined;
  }

  /** @param source location of the source @param target canonical path of the target; what is above it is there */
  copy(source: string, target: string): void {
    this.#target.at(target, (location) => this.#entry(source, "", location, target, NO_MATCHES));
  }

  /** @param path below the top of the copy; empty for the top itself @param canonical of the target, for hard links */
  #entry(source: string, path: string, target: string, canonical: string, above: Matches): void {
    const top = path === "";
    const include = top ? undefined : this.#include?.match(path, above.include);
    const exclude = top ? undefined : this.#exclude?.match(path, above.exclude);
    const excluded = exclude?.matched ?? false;
    const included = (include?.matched ?? true) && !excluded;
    const stats = statAt(source);
    if (!stats) throw new MisfitError(`${toText(source)} vanished while it was copied`);
    if (stats.isDirectory()) {
      const matches = { include: include?.results ?? [], exclude: exclude?.results ?? [] };
      this.#directory({ source, path, target, canonical, stats, included, excluded, matches });
    } else if (included) {
      this.#file(source, this.#made(target), canonical, stats);
    }
  }

  #directory(entry: {
    source: string;
    path: string;
    target: string;
    canonical: string;
    stats: BigIntStats;
    included: boolean;
    excluded: boolean;
    matches: Matches;
  }): void {
    const { source, path, target, canonical, stats, included, excluded, matches } = entry;
    if (excluded && !this.#exclude?.hasExceptions) return;
    const opened = openDirectoryAt(source);
    const name = path === "" ? target : (path.split("/").at(-1) ?? "");
    const level: Level = { source: opened, stats, name, target: undefined };
    this.#levels.push(level);
    try {
      if (included) this.#open(this.#levels.length - 1);
      for (const child of namesIn(`/proc/self/fd/${opened}`)) {
        this.#entry(
          `/proc/self/fd/${opened}/${child}`,
          path === "" ? child : `${path}/${child}`,
          child,
          `${canonical === "/" ? "" : canonical}/${child}`,
          matches,
        );
      }
    } finally {
      this.#levels.pop();
      closeSync(opened);
      this.#leave(level);
    }
  }

  /** Making entries in it has changed its times. */
  #leave({ target, stats }: Level): void {
    if (target === undefined) return;
    this.#files.setTimes(target, this.#options.time ?? stats.mtimeNs);
    closeSync(target);
  }

  /** Where an entry's target is reached; directories above it are made. */
  #made(target: string): string {
    if (this.#levels.length === 0) return target;
    return `/proc/self/fd/${this.#open(this.#levels.length - 1)}/${target}`;
  }

  /** Makes the counterparts of a level and those above it. */
  #open(index: number): number {
    const level = this.#levels[index];
    if (!level) throw new Error("no such level");
    if (level.target !== undefined) return level.target;
    const location = index === 0 ? level.name : `/proc/self/fd/${this.#open(index - 1)}/${level.name}`;
    level.target = this.#makeDirectory(location, level, index === 0);
    return level.target;
  }

  #makeDirectory(location: string, { source, stats }: Level, top: boolean): number {
    let there = statAt(location);
    if (there && !there.isDirectory() && this.#options.replaceExisting) {
      rmSync(latin(location), { recursive: true, force: true });
      there = undefined;
    }
    if (there && !there.isDirectory()) {
      throw new MisfitError(`cannot copy to non-directory: ${nameOf(location)}`);
    }
    if (!there) this.#files.makeDirectory(location, permissionsOf(stats));
    const opened = openDirectoryAt(location);
    if (!there || !top) {
      const { uid, gid } = this.#options.ids ?? { uid: Number(stats.uid), gid: Number(stats.gid) };
      this.#files.setOwner(opened, uid, gid);
      this.#files.setMode(opened, this.#modeOf(stats));
      copyAttributes(`/proc/self/fd/${source}/.`, `/proc/self/fd/${opened}/.`, this.#files);
    }
    return opened;
  }

  #modeOf(stats: BigIntStats): number {
    const { mode, modeText } = this.#options;
    if (modeText) return applyMode(modeText, permissionsOf(stats), stats.isDirectory());
    return mode ?? permissionsOf(stats);
  }

  #file(source: string, target: string, canonical: string, stats: BigIntStats): void {
    this.#clear(target);
    const inode = stats.nlink > 1n ? `${stats.dev}:${stats.ino}` : undefined;
    const first = inode === undefined ? undefined : this.#linked.get(inode);
    if (first !== undefined) {
      this.#target.at(first, (existing) => this.#files.makeLink(existing, target));
      return;
    }
    if (inode !== undefined) this.#linked.set(inode, canonical);
    if (stats.isFile()) this.#regular(source, target, stats);
    else this.#special(source, target, stats);
  }

  #clear(target: string): void {
    const there = statAt(target);
    if (!there) return;
    if (!there.isDirectory()) this.#files.remove(target);
    else if (this.#options.replaceExisting) rmSync(latin(target), { recursive: true });
    else throw new MisfitError(`cannot replace to directory ${nameOf(target)} with file`);
  }

  #regular(source: string, target: string, stats: BigIntStats): void {
    const from = openSync(latin(source), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    try {
      const to = this.#files.create(target, 0o600);
      try {
        copyContent(from, to, Number(stats.size));
        const { uid, gid } = this.#options.ids ?? { uid: Number(stats.uid), gid: Number(stats.gid) };
        if (uid !== 0 || gid !== 0) this.#files.setOwner(to, uid, gid);
        this.#files.setMode(to, this.#modeOf(stats));
        copyAttributes(source, target, this.#files);
        this.#files.setTimes(to, this.#options.time ?? stats.mtimeNs);
      } finally {
        this.#files.close(to);
      }
    } finally {
      closeSync(from);
    }
  }

  #special(source: string, target: string, stats: BigIntStats): void {
    if (stats.isSymbolicLink()) {
      this.#files.makeSymbolicLink(readlinkSync(latin(source), "latin1"), target);
    } else if (stats.isCharacterDevice() || stats.isBlockDevice()) {
      const kind = stats.isCharacterDevice() ? "character-device" : "block-device";
      this.#files.makeNode(kind, target, 0o600, deviceOf(stats.rdev));
    } else {
      // Sockets become what can be kept of them, as in BuildKit.
      this.#files.makeNode("fifo", target, 0o600);
    }
    const { uid, gid } = this.#options.ids ?? { uid: Number(stats.uid), gid: Number(stats.gid) };
    this.#files.setOwnerAt(target, uid, gid);
    if (!stats.isSymbolicLink()) this.#files.setModeAt(target, this.#modeOf(stats));
    copyAttributes(source, target, this.#files);
    this.#files.setTimesAt(target, this.#options.time ?? stats.mtimeNs);
  }
}

/** glibc's major and minor. */
function deviceOf(device: bigint): { major: number; minor: number } {
  return {
    major: Number(((device >> 8n) & 0xfffn) | ((device >> 32n) & ~0xfffn)),
    minor: Number((device & 0xffn) | ((device >> 12n) & ~0xffn)),
  };
}

function nameOf(location: string): string {
  return toText(location.replace(/^\/proc\/self\/fd\/\d+/, ""));
}
