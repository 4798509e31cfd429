/**
 * `gantry internal container-files`: one task on the files of one container, in a process of its own. It never enters the
 * container's root: everything is reached by descriptor, so no code and no file of the container is loaded for it (S03).
 * Everything is synchronous and blocks: nothing else happens in here.
 */
import { closeSync, fstatSync, writeSync } from "node:fs";
import { TarError, TarReader, TarWriter } from "../../base/tar/index.ts";
import type { TreeFailure, TreeRequest, TreeStatAnswer, TreeWriteOptions } from "../../base/tree-files.ts";
import { FileMaker, readBlocking } from "../../linux/files.ts";
import { type ForeignRoot, WrongKindError } from "../../linux/foreign-root.ts";
import { endWithParent } from "../../linux/processes.ts";
import { renamed, TreeExtractor } from "./extract.ts";
import { TreePacker } from "./pack.ts";
import { absolutePath, baseName, statPath } from "./path-stat.ts";
import { runningRoot, stoppedRoot } from "./view.ts";

/** @param args the request as JSON */
export async function main([argument = ""]: readonly string[]): Promise<void> {
  try {
    const { parent, stopped, task } = JSON.parse(argument) as TreeRequest;
    endWithParent(parent);
    if (task.kind === "rename") {
      rename(task);
      return;
    }
    const root = stopped ? stoppedRoot(stopped.rootfs, stopped.mounts) : runningRoot();
    if (task.kind === "stat")
      answer({ stat: { ...statPath(root, absolutePath(task.path)), name: baseName(task.path) } });
    else if (task.kind === "read") read(root, absolutePath(task.path), task.as);
    else if (task.kind === "read-all") readAll(root);
    else write(root, absolutePath(task.path), task.options);
  } catch (error) {
    writeAll(2, Buffer.from(`${JSON.stringify(failureOf(error))}\n`));
    process.exitCode = 1;
  }
}

function read(root: ForeignRoot, path: string, as = baseName(path)): void {
  answer({ stat: statPath(root, path) });
  const follow = path.endsWith("/") || path.endsWith("/.");
  const found = root.open(path, { follow });
  const archive = new TarWriter((bytes) => writeAll(1, bytes));
  const name = Buffer.from(as).toString("latin1");
  new TreePacker(archive).pack(name, found);
  archive.finish();
  closeSync(found);
}

function readAll(root: ForeignRoot): void {
  const archive = new TarWriter((bytes) => writeAll(1, bytes));
  new TreePacker(archive).pack(undefined, root.descriptor);
  archive.finish();
}

function write(root: ForeignRoot, path: string, options: TreeWriteOptions): void {
  const found = root.open(path);
  try {
    if (!fstatSync(found).isDirectory()) throw new TarError("extraction point is not a directory");
    const target = root.nameOf(found);
    checkWritable(target, options);
    const archive = new TarReader((buffer) => readBlocking(0, buffer));
    new TreeExtractor(archive, { root, target, options, files: new FileMaker() }).extract();
  } finally {
    closeSync(found);
  }
}

function rename({ from, to }: { readonly from: string; readonly to: string }): void {
  const reader = new TarReader((buffer) => readBlocking(0, buffer));
  const archive = new TarWriter((bytes) => writeAll(1, bytes));
  for (let entry = reader.next(); entry; entry = reader.next()) {
    if (entry.sparse) throw new TarError("a sparse file cannot be renamed in passing");
    archive.entry(renamed(entry, { from, to }));
    for (let piece = reader.content(); piece; piece = reader.content()) archive.content(piece);
  }
  reader.drain();
  archive.finish();
}

/** The kernel would refuse it as well, in other words. @see moby daemon/archive_unix.go */
function checkWritable(path: string, { mounts, readOnlyRoot }: TreeWriteOptions): void {
  const holding = mounts
    .filter(({ destination }) => path === destination || path.startsWith(`${destination}/`))
    .sort((a, b) => a.destination.length - b.destination.length)
    .at(-1);
  if (holding?.rw === false) throw new TarError("mounted volume is marked read-only");
  if (!holding && readOnlyRoot) throw new TarError("container rootfs is marked read-only");
}

function failureOf(error: unknown): TreeFailure {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof TarError || error instanceof WrongKindError) return { reason: "invalid", message };
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (code === "ENOENT") return { reason: "not-found", message };
  if (code === "ENOTDIR") return { reason: "not-a-directory", message };
  if (code === "ENOSPC" || code === "EDQUOT") return { reason: "no-space", message };
  if (["ENAMETOOLONG", "ELOOP", "EXDEV", "EFBIG", "EINVAL"].includes(code))
    return { reason: "invalid", message };
  return { reason: "system", message };
}

function answer(line: TreeStatAnswer): void {
  writeAll(1, Buffer.from(`${JSON.stringify(line)}\n`));
}

function writeAll(descriptor: number, bytes: Uint8Array): void {
  for (let written = 0; written < bytes.byteLength; ) {
    written += writeSync(descriptor, bytes, written, bytes.byteLength - written);
  }
}
