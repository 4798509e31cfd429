/**
 * The actions of a file operation, one after another in one tree.
 * @see BuildKit `solver/llbsolver/file/backend.go`
 */
import { closeSync, constants, openSync, rmSync } from "node:fs";
import { hasWildcards, matchesGlob } from "../../base/patterns.ts";
import type { FileAction } from "../../core/build-files.ts";
import type { FileMaker } from "../../linux/files.ts";
import { isArchive, unpackInto } from "./archives.ts";
import { Copier } from "./copy.ts";
import { type Ids, idsOf } from "./metadata.ts";
import {
  baseName,
  latin,
  MisfitError,
  MissingError,
  namesIn,
  openDirectoryAt,
  partsOf,
  statAt,
  Tree,
  toBytes,
  toText,
} from "./roots.ts";

const ARCHIVE_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

type Action<Kind extends FileAction["kind"]> = Extract<FileAction, { kind: Kind }>;

/** @throws MissingError, MisfitError, LinuxError */
export async function applyActions(
  root: string,
  actions: readonly FileAction[],
  files: FileMaker,
): Promise<void> {
  using tree = new Tree(root);
  for (const action of actions) {
    switch (action.kind) {
      case "copy":
        await copy(tree, action, files);
        break;
      case "mkfile":
        makeFile(tree, action, files);
        break;
      case "mkdir":
        makeDirectory(tree, action, files);
        break;
      case "rm":
        remove(tree, action);
        break;
      case "symlink":
        makeLink(tree, action, files);
        break;
    }
  }
}

interface Made {
  readonly ids: Ids | undefined;
  readonly time: bigint | undefined;
}

function madeBy({ owner, time }: Pick<Action<"mkdir">, "owner" | "time">): Made {
  return { ids: idsOf(owner), time: time === undefined ? undefined : BigInt(time) };
}

async function copy(tree: Tree, action: Action<"copy">, files: FileMaker): Promise<void> {
  const made = madeBy(action);
  if (action.source === undefined) {
    throw new MissingError(action.src);
  }
  using source = new Tree(action.source);
  const dest = toBytes(action.dest);
  if (!action.createDestination) {
    const parent = parentOf(tree.canonical(dest));
    if (!tree.stat(parent)) throw new MissingError(toText(parent));
  }
  const src = toBytes(action.src);
  const found = action.wildcards ? resolveWildcards(source, src, action.followLinks) : [cleaned(src)];
  if (found.length === 0) {
    if (action.allowNoMatch) return;
    throw new MissingError(action.src);
  }
  for (const path of found) {
    if (action.unpackArchives && (await unpack({ source, path, tree, dest, made, files }))) continue;
    copyOne(source, tree, { action, path, dest, made, files });
  }
}

/** With a slash in front, and at the end where it was written so: what is meant is a directory. */
function cleaned(path: string): string {
  const clean = `/${partsOf(path).join("/")}`;
  if (clean === "/") return clean;
  if (path.endsWith("/.")) return `${clean}/.`;
  return path.endsWith("/") ? `${clean}/` : clean;
}

function copyOne(
  source: Tree,
  tree: Tree,
  {
    action,
    path,
    dest,
    made,
    files,
  }: { action: Action<"copy">; path: string; dest: string; made: Made; files: FileMaker },
): void {
  const mode = action.mode ?? 0o755;
  const isDirectoryName = dest.endsWith("/") || dest.endsWith("/.") || partsOf(dest).length === 0;
  makeDirectories(tree, isDirectoryName ? dest : parentOf(dest), mode, made, files);

  const from = source.canonical(path, { follow: action.followLinks });
  const stats = source.stat(from);
  if (!stats) throw new MissingError(toText(path));
  let target = tree.canonical(dest);
  const there = tree.stat(target);
  const isDirectory = stats.isDirectory();
  if ((!action.directoryContents && isDirectory && there) || (!isDirectory && there?.isDirectory())) {
    target = `${target === "/" ? "" : target}/${baseName(path)}`;
  }
  const contentsIntoNew = action.directoryContents && isDirectory && !there;
  makeDirectories(tree, contentsIntoNew ? target : parentOf(target), mode, made, files);
  const copier = new Copier(files, tree, { ...action, ...made });
  // The name itself may be a link that is to be replaced: only what is above it is resolved.
  source.at(from, (location) => copier.copy(location, tree.canonical(target, { follow: false })));
}

function parentOf(path: string): string {
  return `/${partsOf(path).slice(0, -1).join("/")}`;
}

/** `mkdir -p`: what is there stays as it is. */
function makeDirectories(
  tree: Tree,
  path: string,
  mode: number,
  { ids, time }: Made,
  files: FileMaker,
): void {
  const canonical = tree.canonical(path);
  const there = tree.stat(canonical);
  if (there?.isDirectory()) return;
  if (there) throw new MisfitError(`mkdir ${toText(canonical)}: not a directory`);
  if (canonical === "/") return;
  makeDirectories(tree, parentOf(canonical), mode, { ids, time }, files);
  tree.at(canonical, (location) => {
    files.makeDirectory(location, mode & 0o777);
    const opened = openDirectoryAt(location);
    try {
      if (ids) files.setOwner(opened, ids.uid, ids.gid);
      files.setMode(opened, mode & 0o7777);
      if (time !== undefined) files.setTimes(opened, time);
    } finally {
      closeSync(opened);
    }
  });
}

function makeDirectory(tree: Tree, action: Action<"mkdir">, files: FileMaker): void {
  const made = madeBy(action);
  const mode = action.mode & 0o777;
  const path = tree.canonical(toBytes(action.path));
  if (!action.parents) {
    if (tree.stat(path)?.isDirectory()) return;
    if (!tree.stat(parentOf(path))) throw new MissingError(toText(parentOf(path)));
  }
  makeDirectories(tree, path, mode, made, files);
}

function makeFile(tree: Tree, action: Action<"mkfile">, files: FileMaker): void {
  const { ids, time } = madeBy(action);
  tree.at(tree.canonical(toBytes(action.path)), (location) => {
    const there = statAt(location);
    if (there?.isDirectory()) throw new MisfitError(`open ${action.path}: is a directory`);
    // A new file in place of the old one: what others have linked stays as it is.
    if (there) files.remove(location);
    const descriptor = files.create(location, action.mode & 0o777);
    try {
      files.write(descriptor, Buffer.from(action.data, "base64"));
      if (ids) files.setOwner(descriptor, ids.uid, ids.gid);
      files.setMode(descriptor, action.mode & 0o777);
      if (time !== undefined) files.setTimes(descriptor, time);
    } finally {
      files.close(descriptor);
    }
  });
}

function makeLink(tree: Tree, action: Action<"symlink">, files: FileMaker): void {
  const { ids, time } = madeBy(action);
  tree.at(tree.canonical(toBytes(action.path), { follow: false }), (location) => {
    files.makeSymbolicLink(toBytes(action.target), location);
    if (ids) files.setOwnerAt(location, ids.uid, ids.gid);
    if (time !== undefined) files.setTimesAt(location, time);
  });
}

function remove(tree: Tree, action: Action<"rm">): void {
  const path = toBytes(action.path);
  const found = action.wildcards ? resolveWildcards(tree, path, false) : [path];
  for (const each of found) {
    // `..` and links are resolved in the tree; the tree itself is never removed.
    const parts = partsOf(each);
    if (parts.length === 0 || parts.at(-1) === "..")
      throw new MisfitError(`rm ${toText(each)}: invalid path`);
    const canonical = tree.canonical(each, { follow: false });
    if (canonical === "/") throw new MisfitError(`rm ${toText(each)}: invalid path`);
    const there = tree.stat(canonical);
    if (!there && !action.allowNotFound) throw new MissingError(toText(canonical));
    if (there) tree.at(canonical, (location) => rmSync(latin(location), { recursive: true, force: true }));
  }
}

/** Paths that a pattern matches, sorted; a directory that matches stands for all in it. */
export function resolveWildcards(tree: Tree, path: string, followLinks: boolean): string[] {
  const parts = partsOf(path);
  const first = parts.findIndex(hasWildcards);
  if (first < 0) return [cleaned(path)];
  const base = `/${parts.slice(0, first).join("/")}`;
  const pattern = parts.slice(first).join("/");
  const canonical = followLinks
    ? tree.canonical(base)
    : tree.canonical(`${base}/x`, { follow: false }).slice(0, -2) || "/";
  if (!tree.stat(canonical)?.isDirectory()) return [];
  const root = tree.openDirectory(canonical);
  const found: string[] = [];
  const walk = (location: string, relative: string): void => {
    for (const name of namesIn(location)) {
      const child = relative === "" ? name : `${relative}/${name}`;
      const at = `${location}/${name}`;
      if (matchesGlob(pattern, child)) {
        found.push(`${canonical === "/" ? "" : canonical}/${child}`);
      } else if (statAt(at)?.isDirectory() && child.split("/").length < pattern.split("/").length) {
        const opened = openDirectoryAt(at);
        try {
          walk(`/proc/self/fd/${opened}`, child);
        } finally {
          closeSync(opened);
        }
      }
    }
  };
  try {
    walk(`/proc/self/fd/${root}`, "");
  } finally {
    closeSync(root);
  }
  return found;
}

/** True if it was an archive. */
async function unpack(work: {
  source: Tree;
  path: string;
  tree: Tree;
  dest: string;
  made: Made;
  files: FileMaker;
}): Promise<boolean> {
  const { source, path, tree, dest, made, files } = work;
  const from = source.canonical(path);
  const stats = source.stat(from);
  if (!stats?.isFile()) return false;
  const archive = source.at(from, (location) => openSync(latin(location), ARCHIVE_FLAGS));
  try {
    if (!(await isArchive(archive))) return false;
    makeDirectories(tree, dest, 0o755, made, files);
    const target = tree.openDirectory(tree.canonical(dest));
    try {
      await unpackInto(target, archive, made.ids);
    } finally {
      closeSync(target);
    }
    return true;
  } finally {
    closeSync(archive);
  }
}
