/** Driver of the root files port: every path is resolved by openat2 beneath the root, every file by descriptor. */
import { fstatSync, readSync } from "node:fs";
import { InvalidParameterError } from "../../core/errors.ts";
import type { RootEntry, RootFiles } from "../../core/rootfs.ts";
import {
  changeOwnerAt,
  closeDescriptor,
  makeDirectoryAt,
  O,
  openInRoot,
  openRoot,
} from "../../linux/in-root.ts";

export class KernelRootFiles implements RootFiles {
  async readFile(root: string, path: string, limit: number): Promise<Uint8Array | undefined> {
    return withRoot(root, (base) => {
      // Non-blocking: a fifo in its place must not hold up the daemon.
      const fd = openInRoot(base, path, O.RDONLY | O.NONBLOCK);
      if (fd === undefined) return undefined;
      try {
        const facts = fstatSync(fd);
        if (!facts.isFile())
          throw new InvalidParameterError(`${path} is not a regular file`, { subject: path });
        if (facts.size > limit) {
          throw new InvalidParameterError(`${path} is larger than ${limit} bytes`, { subject: path });
        }
        return readUpTo(fd, limit, path);
      } finally {
        closeDescriptor(fd);
      }
    });
  }

  async stat(root: string, path: string, { follow = true } = {}): Promise<RootEntry | undefined> {
    return withRoot(root, (base) => {
      const fd = openInRoot(base, path, O.PATH | (follow ? 0 : O.NOFOLLOW));
      if (fd === undefined) return undefined;
      try {
        const facts = fstatSync(fd);
        const kind = facts.isFile()
          ? "file"
          : facts.isDirectory()
            ? "directory"
            : facts.isSymbolicLink()
              ? "symlink"
              : "other";
        return { kind, mode: facts.mode & 0o7777, uid: facts.uid, gid: facts.gid, size: facts.size };
      } finally {
        closeDescriptor(fd);
      }
    });
  }

  async makeDirectory(
    root: string,
    path: string,
    owner: { readonly uid: number; readonly gid: number; readonly mode: number },
  ): Promise<void> {
    withRoot(root, (base) => {
      let above = "/";
      for (const name of path.split("/").filter((part) => part !== "" && part !== ".")) {
        const here = above === "/" ? `/${name}` : `${above}/${name}`;
        makeOne(base, above, name, here, owner);
        above = here;
      }
    });
  }
}

/** Makes `name` in the directory `above`, both resolved in the root. */
function makeOne(
  base: number,
  above: string,
  name: string,
  path: string,
  { uid, gid, mode }: { readonly uid: number; readonly gid: number; readonly mode: number },
): void {
  const there = openInRoot(base, path, O.PATH | O.DIRECTORY);
  if (there !== undefined) {
    closeDescriptor(there);
    return;
  }
  const parent = openInRoot(base, above, O.PATH | O.DIRECTORY);
  if (parent === undefined) throw inTheWay(path);
  try {
    if (name === ".." || !makeDirectoryAt(parent, name, mode)) throw inTheWay(path);
    changeOwnerAt(parent, name, uid, gid);
  } finally {
    closeDescriptor(parent);
  }
}

function inTheWay(path: string): InvalidParameterError {
  return new InvalidParameterError(`cannot make directory ${path}: something else is there`, {
    subject: path,
  });
}

function withRoot<T>(root: string, work: (base: number) => T): T {
  const base = openRoot(root);
  try {
    return work(base);
  } finally {
    closeDescriptor(base);
  }
}

function readUpTo(fd: number, limit: number, path: string): Uint8Array {
  const chunks: Uint8Array[] = [];
  let total = 0;
  for (;;) {
    const chunk = Buffer.alloc(65_536);
    const count = readSync(fd, chunk);
    if (count === 0) return Buffer.concat(chunks);
    total += count;
    // It may have grown since it was measured.
    if (total > limit)
      throw new InvalidParameterError(`${path} is larger than ${limit} bytes`, { subject: path });
    chunks.push(chunk.subarray(0, count));
  }
}
