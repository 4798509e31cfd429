/** What a directory tree takes: file sizes summed up, a hard-linked file once. Links are not followed. */
import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import type { SnapshotUsage } from "../../core/snapshots.ts";

/** Files that vanish meanwhile are left out: the tree may belong to a running container. */
export async function treeUsage(root: string): Promise<SnapshotUsage> {
  const seen = new Set<number>();
  let size = 0;
  const pending = [root];
  for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
    for (const entry of await entriesOf(directory)) {
      const path = join(directory, entry.name);
      const found = await lstat(path).catch(ignoreMissing);
      if (!found || seen.has(found.ino)) continue;
      seen.add(found.ino);
      if (found.isDirectory()) pending.push(path);
      else if (found.isFile() || found.isSymbolicLink()) size += found.size;
    }
  }
  return { size, inodes: seen.size };
}

async function entriesOf(directory: string): Promise<{ name: string }[]> {
  return (await readdir(directory, { withFileTypes: true }).catch(ignoreMissing)) ?? [];
}

function ignoreMissing(error: unknown): undefined {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOENT" || code === "ENOTDIR") return undefined;
  throw error;
}
