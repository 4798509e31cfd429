/**
 * The local side of `cp`: trees are packed and unpacked by a helper process (`base/tree-files.ts`), and the paths of both
 * sides are taken apart as Docker's client does.
 * @see moby go-archive copy.go
 */
import {
  closeSync,
  constants,
  existsSync,
  lstatSync,
  openSync,
  readlinkSync,
  realpathSync,
  statSync,
} from "node:fs";
import { posix } from "node:path";
import { selfCommand } from "../../base/self.ts";
import type { TreeFailure, TreeRequest, TreeWriteOptions } from "../../base/tree-files.ts";

/** One side of a copy. */
export interface CopyEnd {
  readonly path: string;
  readonly exists: boolean;
  readonly isDirectory: boolean;
  /** What it is to be called instead of its own name. */
  readonly rebaseName?: string;
}

/** How an archive of the source gets into the destination: where it is unpacked, and which name becomes which. */
export interface Placement {
  readonly directory: string;
  readonly rename?: { readonly from: string; readonly to: string };
}

/** @throws Error in Docker's words where a directory would go into a file, or into what is not there */
export function placeCopy(source: CopyEnd, destination: CopyEnd): Placement {
  const { directory, base } = splitPath(destination.path);
  if (destination.exists && destination.isDirectory) return { directory: destination.path };
  if (destination.exists && source.isDirectory) throw new Error("cannot copy directory");
  if (!destination.exists && !source.isDirectory && assertsDirectory(destination.path)) {
    throw new Error("no such directory");
  }
  const from = source.rebaseName || splitPath(source.path).base;
  return { directory, rename: { from: from === "/" ? "" : from, to: base } };
}

/** @throws Error if nothing is there */
export function localSource(path: string, followLink: boolean): CopyEnd {
  if (!existsSync(path) && !isLink(path))
    throw new Error(`lstat ${posix.resolve(path)}: no such file or directory`);
  const trailing = /\/$|\/\.$/.exec(path)?.[0] ?? "";
  const clean = path.replace(/(?<=.)\/+$/, "");
  if (followLink) {
    const real = realpathSync(path);
    const renamed = posix.basename(clean) !== posix.basename(real) && !specifiesCurrent(path);
    const rebaseName = renamed ? posix.basename(clean) : undefined;
    return { path: real + trailing, exists: true, isDirectory: statSync(real).isDirectory(), rebaseName };
  }
  const follow = trailing !== "";
  return { path, exists: true, isDirectory: (follow ? statSync(path) : lstatSync(path)).isDirectory() };
}

/** Links at its end are followed, also those to what is not there yet. */
export function localDestination(path: string): CopyEnd {
  let real = path;
  for (let links = 0; isLink(real); links++) {
    if (links >= 10) throw new Error(`too many symlinks: ${JSON.stringify(path)}`);
    const target = readlinkSync(real);
    real = posix.isAbsolute(target) ? target : posix.join(posix.dirname(real), target);
  }
  const found = statSync(real, { throwIfNoEntry: false });
  return { path: real, exists: found !== undefined, isDirectory: found?.isDirectory() ?? false };
}

/** @throws Error in Docker's words if nothing can be written there */
export function checkOutputPath(path: string): void {
  const directory = posix.dirname(posix.normalize(path).replace(/(?<=.)\/$/, ""));
  if (!existsSync(directory)) {
    throw new Error(`invalid output path: directory ${JSON.stringify(directory)} does not exist`);
  }
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found || found.isDirectory() || found.isFile()) return;
  throw new Error(`invalid output path: ${JSON.stringify(path)} must be a directory or a regular file`);
}

/** A tar archive of a local file or tree. */
export function packLocal({ path, rebaseName }: CopyEnd): AsyncIterable<Uint8Array> {
  const absolute = posix.resolve(path) + (/\/$|\/\.$/.exec(path)?.[0] ?? "");
  const as = rebaseName ?? splitPath(path).base;
  return runTreeHelper({ kind: "read", path: absolute, as }, undefined);
}

export async function unpackLocal(content: AsyncIterable<Uint8Array>, placement: Placement): Promise<void> {
  const options: TreeWriteOptions = {
    noOverwriteDirNonDir: true,
    keepOwner: true,
    readOnlyRoot: false,
    mounts: [],
    ...(placement.rename && { rename: placement.rename }),
  };
  const path = posix.resolve(placement.directory);
  for await (const _ of runTreeHelper({ kind: "write", path, options }, content));
}

/** The archive with its names changed, from one container to another. */
export function renameArchive(
  content: AsyncIterable<Uint8Array>,
  rename: NonNullable<Placement["rename"]>,
): AsyncIterable<Uint8Array> {
  return runTreeHelper({ kind: "rename", ...rename }, content);
}

/** Go's filepath.Split of a clean path, where a dot at the end stays: `a/b/.` is `.` in `a/b`. */
function splitPath(path: string): { directory: string; base: string } {
  const clean = posix.normalize(path).replace(/(?<=.)\/$/, "") + (specifiesCurrent(path) ? "/." : "");
  if (clean === "/") return { directory: "/", base: "/" };
  return { directory: posix.dirname(clean), base: posix.basename(clean) };
}

function specifiesCurrent(path: string): boolean {
  return path === "." || path.endsWith("/.");
}

function assertsDirectory(path: string): boolean {
  return path.endsWith("/") || specifiesCurrent(path);
}

function isLink(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
}

const O_PATH = 0o10000000;

/** What it writes; of `read` without the line in front. @throws Error in the helper's words */
async function* runTreeHelper(
  task: TreeRequest["task"],
  input: AsyncIterable<Uint8Array> | undefined,
): AsyncGenerator<Uint8Array> {
  const root = openSync("/", O_PATH | constants.O_DIRECTORY);
  const request: TreeRequest = { parent: process.pid, stopped: undefined, task };
  const child = Bun.spawn(selfCommand("internal", "container-files", JSON.stringify(request)), {
    stdio: [input ? "pipe" : "ignore", "pipe", "pipe", root],
  });
  closeSync(root);
  const problem = new Response(child.stderr as ReadableStream).text();
  const fed = input ? feed(child.stdin as Bun.FileSink, input) : Promise.resolve(undefined);
  try {
    let head = task.kind === "read";
    for await (const bytes of child.stdout as unknown as AsyncIterable<Uint8Array>) {
      const from = head ? bytes.indexOf(10) + 1 : 0;
      head = head && from === 0;
      if (!head && from < bytes.byteLength) yield bytes.subarray(from);
    }
    const failure = await fed;
    if ((await child.exited) !== 0) throw toError(await problem);
    if (failure !== undefined) throw failure;
  } finally {
    child.kill("SIGKILL");
  }
}

/** What the source failed with; a helper that has ended says why itself. */
async function feed(sink: Bun.FileSink, content: AsyncIterable<Uint8Array>): Promise<unknown> {
  let failure: unknown;
  try {
    for await (const bytes of content) {
      try {
        sink.write(bytes);
        await sink.flush();
      } catch {
        break;
      }
    }
  } catch (error) {
    failure = error;
  }
  try {
    await sink.end();
  } catch {
    // Nobody reads any more.
  }
  return failure;
}

function toError(text: string): Error {
  const last = text.trim().split("\n").at(-1) ?? "";
  try {
    return new Error((JSON.parse(last) as TreeFailure).message);
  } catch {
    return new Error(last || "the helper process ended without an answer");
  }
}
