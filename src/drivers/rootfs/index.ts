/** Driver of the root files port: every path is resolved by openat2 beneath the root, every file by descriptor. */
import { chmodSync, closeSync, fstatSync, readdirSync, readSync } from "node:fs";
import { hasCode } from "../../base/error-codes.ts";
import { InvalidParameterError } from "../../core/errors.ts";
import type { RootEntry, RootFileFacts, RootFiles } from "../../core/rootfs.ts";
import { ForeignRoot, O, pathOf, readLink, WrongKindError, withRoot } from "../../linux/foreign-root.ts";

/** Looks into a container's root by the kernel's own rules for staying beneath it. */
export class KernelRootFiles implements RootFiles {
  async readFile(root: string, path: string, limit: number): Promise<Uint8Array | undefined> {
    return refusing(() =>
      withRoot(root, (base) => {
        const fd = base.findRegularFile(path, O.RDONLY);
        if (fd === undefined) return undefined;
        try {
          if (fstatSync(fd).size > limit) throw tooLarge(path, limit);
          return readUpTo(fd, limit, path);
        } finally {
          closeSync(fd);
        }
      }),
    );
  }

  async stat(root: string, path: string, { follow = true } = {}): Promise<RootEntry | undefined> {
    return withRoot(root, (base) => {
      const fd = base.find(path, { follow });
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
        closeSync(fd);
      }
    });
  }

  async makeDirectory(
    root: string,
    path: string,
    owner: { readonly uid: number; readonly gid: number; readonly mode: number },
  ): Promise<void> {
    refusing(() => withRoot(root, (base) => closeSync(base.makeDirectories(path, owner))), "Cannot mkdir: ");
  }

  async resolve(root: string, path: string): Promise<{ readonly path: string } | "outside" | undefined> {
    return withRoot(root, (base) => {
      let found: number | undefined;
      try {
        found = base.find(path, { links: "beneath" });
      } catch (error) {
        if (hasCode(error, "EXDEV")) return "outside";
        throw error;
      }
      if (found === undefined) return undefined;
      try {
        return { path: base.nameOf(found) };
      } finally {
        closeSync(found);
      }
    });
  }

  async makeMountTarget(
    root: string,
    path: string,
    kind: "directory" | "file",
    mode = 0o755,
  ): Promise<string> {
    return refusing(() =>
      withRoot(root, (base) => {
        const owner = { uid: 0, gid: 0, mode: 0o755 };
        const before = base.find(path);
        if (before !== undefined) closeSync(before);
        const made = kind === "directory" ? base.makeDirectories(path, owner) : base.makeFile(path, owner);
        try {
          // Not those above it.
          if (before === undefined && mode !== owner.mode) chmodSync(pathOf(made), mode);
          return base.nameOf(made);
        } finally {
          closeSync(made);
        }
      }),
    );
  }

  async missing(root: string, paths: readonly string[]): Promise<readonly string[]> {
    return withRoot(root, (base) => missingIn(base, paths));
  }

  async describe(root: string, path: string): Promise<RootFileFacts | undefined> {
    return withRoot(root, (base) => {
      const fd = base.find(path, { follow: false });
      if (fd === undefined) return undefined;
      try {
        return factsOf(fd);
      } finally {
        closeSync(fd);
      }
    });
  }

  async readDirectory(
    root: string,
    path: string,
  ): Promise<(RootFileFacts & { readonly name: string })[] | undefined> {
    return withRoot(root, (base) => {
      const directory = base.find(path, { directory: true });
      if (directory === undefined) return undefined;
      using inside = new ForeignRoot(directory);
      return readdirSync(pathOf(directory))
        .sort()
        .flatMap((name) => {
          const fd = inside.find(name, { follow: false });
          if (fd === undefined) return [];
          try {
            return [{ name, ...factsOf(fd) }];
          } finally {
            closeSync(fd);
          }
        });
    });
  }

  async removeStubs(root: string, missing: readonly string[]): Promise<void> {
    withRoot(root, (base) => {
      // What lies in another goes before it.
      for (const path of [...missing].sort((a, b) => b.length - a.length)) base.removeIfEmpty(path);
    });
  }
}

/** @param fd names the file (O_PATH) */
function factsOf(fd: number): RootFileFacts {
  const { mode, uid, gid, size, mtimeNs, rdev } = fstatSync(fd, { bigint: true });
  const link = (mode & 0o170000n) === 0o120000n;
  return {
    mode: Number(mode),
    uid: Number(uid),
    gid: Number(gid),
    size: Number(size),
    modTime: mtimeNs,
    linkname: link ? Buffer.from(readLink(fd), "latin1").toString("utf8") : "",
    devmajor: Number((rdev >> 8n) & 0xfffn),
    devminor: Number((rdev & 0xffn) | ((rdev >> 12n) & ~0xffn)),
  };
}

function missingIn(base: ForeignRoot, paths: readonly string[]): string[] {
  const missing = new Set<string>();
  for (const path of paths) {
    const parts = path.split("/").filter((part) => part !== "" && part !== ".");
    for (let length = parts.length; length > 0; length--) {
      const above = `/${parts.slice(0, length).join("/")}`;
      const found = base.find(above);
      if (found !== undefined) {
        closeSync(found);
        break;
      }
      missing.add(above);
    }
  }
  return [...missing];
}

/** What is of another kind than what is looked for is the request's fault, or the image's. */
function refusing<T>(work: () => T, prefix = ""): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof WrongKindError)) throw error;
    throw new InvalidParameterError(prefix + error.message, { subject: error.path, cause: error });
  }
}

function tooLarge(path: string, limit: number): InvalidParameterError {
  return new InvalidParameterError(`${path} is larger than ${limit} bytes`, { subject: path });
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
    if (total > limit) throw tooLarge(path, limit);
    chunks.push(chunk.subarray(0, count));
  }
}
