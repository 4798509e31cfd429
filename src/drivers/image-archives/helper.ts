/**
 * `gantry internal read-archive`: takes the tar archive on stdin apart, in a process of its own. Files are written under
 * numbers: no name of the archive ever becomes a path. Everything is synchronous and blocks.
 */
import { writeSync } from "node:fs";
import { TarError, TarReader } from "../../base/tar/index.ts";
import type { BlobInfo } from "../../core/content.ts";
import type { Digest } from "../../core/ids.ts";
import { FileMaker, readBlocking } from "../../linux/files.ts";
import { checkFreeSpace } from "../../linux/free-space.ts";
import { LinuxError } from "../../linux/libc.ts";
import { endWithParent } from "../../linux/processes.ts";
import type { ReadAnswer, ReadRequest } from "./protocol.ts";

/** An archive of images has some hundreds. */
const MOST_ENTRIES = 100_000;
/** Bytes after which it is looked whether there is room for more. */
const SPACE_STEP = 16 << 20;

/** @param args the request as JSON */
export async function main([argument = ""]: readonly string[]): Promise<void> {
  try {
    const request = JSON.parse(argument) as ReadRequest;
    endWithParent(request.parent);
    const files = new FileMaker();
    readTar(request.into, files);
    answer({ kind: "done" });
  } catch (error) {
    answer(failureOf(error));
    process.exitCode = 1;
  }
}

function readTar(into: string, files: FileMaker): void {
  const archive = new TarReader((buffer) => readBlocking(0, buffer));
  let count = 0;
  for (let entry = archive.next(); entry; entry = archive.next()) {
    if (++count > MOST_ENTRIES) throw new TarError(`more than ${MOST_ENTRIES} entries`);
    const name = shown(entry.name);
    if (entry.type === "file") {
      const path = `${into}/${count}`;
      answer({ kind: "file", name, path, blob: writeFile(files, path, () => archive.content()) });
    } else if (entry.type === "hard-link" || entry.type === "symbolic-link") {
      answer({ kind: "link", name, target: targetOf(name, shown(entry.linkName), entry.type) });
    }
  }
  archive.drain();
}

function writeFile(files: FileMaker, path: string, next: () => Uint8Array | undefined): BlobInfo {
  const hash = new Bun.CryptoHasher("sha256");
  const descriptor = files.create(path, 0o600);
  let size = 0;
  let checked = 0;
  try {
    for (let piece = next(); piece; piece = next()) {
      hash.update(piece);
      files.write(descriptor, piece);
      size += piece.byteLength;
      if (size - checked < SPACE_STEP) continue;
      checkFreeSpace(path);
      checked = size;
    }
  } finally {
    files.close(descriptor);
  }
  return { digest: `sha256:${hash.digest("hex")}` as Digest, size };
}

function shown(name: string): string {
  return Buffer.from(name, "latin1")
    .toString("utf8")
    .replace(/^(?:\.?\/)+/, "");
}

/** A symbolic link is relative to where it stands; a hard link names an entry. */
function targetOf(name: string, linkName: string, type: "hard-link" | "symbolic-link"): string {
  if (type === "hard-link") return linkName;
  const parts = name.split("/").slice(0, -1);
  for (const part of linkName.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return parts.join("/");
}

function failureOf(error: unknown): ReadAnswer {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof TarError) return { kind: "failed", reason: "invalid", message };
  const code = error instanceof LinuxError ? error.code : undefined;
  const reason = code === "ENOSPC" || code === "EDQUOT" ? "no-space" : "system";
  return { kind: "failed", reason, message };
}

function answer(line: ReadAnswer): void {
  const bytes = Buffer.from(`${JSON.stringify(line)}\n`);
  for (let written = 0; written < bytes.byteLength; ) written += writeSync(1, bytes, written);
}
