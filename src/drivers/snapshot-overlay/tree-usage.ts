/**
 * What a directory tree takes: file sizes summed up, a hard-linked file once. find(1) walks it, by descriptors and
 * without following links: the tree may belong to a running container, which may swap anything at any moment.
 */
import { SystemError } from "../../core/errors.ts";
import type { SnapshotUsage } from "../../core/snapshots.ts";

const NEWLINE = 10;
/** What st_blocks counts in, whatever the file system's own are. */
const BLOCK = 512;
/** Type, links, inode, size and blocks of everything below the root; what vanishes meanwhile is left out. */
const LIST = ["-mindepth", "1", "-ignore_readdir_race", "-printf", "%y %n %i %s %b\\n"];

/** @throws SystemError; the signal's reason */
export async function treeUsage(root: string, signal: AbortSignal): Promise<SnapshotUsage> {
  const child = Bun.spawn(["find", "-P", root, ...LIST], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    signal,
    killSignal: "SIGKILL",
  });
  const problems = child.stderr.text();
  const sum = new Sum();
  for await (const piece of child.stdout) sum.push(piece);
  const code = await child.exited;
  signal.throwIfAborted();
  if (code !== 0) throw new SystemError(`measuring ${root}: ${(await problems).trim()}`);
  return sum;
}

class Sum implements SnapshotUsage {
  size = 0;
  inodes = 0;
  allocated = 0;
  readonly #linked = new Set<string>();
  #rest: Buffer = Buffer.alloc(0);

  push(piece: Uint8Array): void {
    const bytes = Buffer.concat([this.#rest, piece]);
    const end = bytes.lastIndexOf(NEWLINE) + 1;
    this.#rest = bytes.subarray(end);
    for (const line of bytes.toString("latin1", 0, end).split("\n")) if (line !== "") this.#add(line);
  }

  #add(line: string): void {
    const [type = "", links, inode = "", size, blocks] = line.split(" ");
    if (type !== "d" && links !== "1") {
      if (this.#linked.has(inode)) return;
      this.#linked.add(inode);
    }
    this.inodes++;
    this.allocated += Number(blocks) * BLOCK;
    if (type === "f" || type === "l") this.size += Number(size);
  }
}
