/**
 * Digests of the contents of a tree's files, beside the tree: what was read once is not read again. An entry counts
 * only for a file of its size and time; a tree without an index is read.
 */
import { closeSync, openSync, readFileSync, writeSync } from "node:fs";

export interface IndexEntry {
  readonly size: number;
  /** Nanoseconds since the epoch. */
  readonly mtime: bigint;
  /** sha256, hex. */
  readonly digest: string;
}

/** By path below the root, a byte string without a slash in front. */
export type ContentIndex = Map<string, IndexEntry>;

export function indexPath(root: string): string {
  return `${root}.index`;
}

export function readIndex(file: string): ContentIndex {
  let text: string;
  try {
    text = readFileSync(file, "latin1");
  } catch {
    return new Map();
  }
  const index: ContentIndex = new Map();
  const fields = text.split("\0");
  for (let at = 0; at + 3 < fields.length; at += 4) {
    const [path = "", size = "", mtime = "", digest = ""] = fields.slice(at, at + 4);
    index.set(path, { size: Number(size), mtime: BigInt(mtime), digest });
  }
  return index;
}

/** Written to `<file>.new`; whoever knows that the tree is whole moves it to its place. */
export function openNewIndex(file: string): number {
  return openSync(`${file}.new`, "w", 0o600);
}

export function writeIndex(descriptor: number, index: ContentIndex): void {
  const parts: string[] = [];
  for (const [path, { size, mtime, digest }] of index) parts.push(path, String(size), String(mtime), digest);
  const bytes = Buffer.from(parts.length > 0 ? `${parts.join("\0")}\0` : "", "latin1");
  for (let at = 0; at < bytes.length; ) at += writeSync(descriptor, bytes, at);
  closeSync(descriptor);
}
