import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { $ } from "bun";
import { InvalidParameterError } from "../../core/errors.ts";
import { FileMaker } from "../../linux/files.ts";
import { KernelRootFiles } from "./index.ts";

const files = new KernelRootFiles();
let base: string;
let root: string;

beforeEach(() => {
  base = mkdtempSync("/tmp/rootfs-test-");
  root = join(base, "root");
  mkdirSync(join(root, "etc"), { recursive: true });
  writeFileSync(join(base, "secret"), "outside");
  writeFileSync(join(root, "etc/passwd"), "inside");
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

async function read(path: string, limit = 1000): Promise<string | undefined> {
  const bytes = await files.readFile(root, path, limit);
  return bytes && new TextDecoder().decode(bytes);
}

describe("reading beneath a root", () => {
  test("finds files, by way of links that stay inside", async () => {
    symlinkSync("/etc/passwd", join(root, "absolute"));
    symlinkSync("../../../etc/passwd", join(root, "etc/up"));
    expect(await read("/etc/passwd")).toBe("inside");
    expect(await read("/absolute")).toBe("inside");
    expect(await read("/etc/up")).toBe("inside");
  });

  test.each(["/../secret", "/etc/../../secret", "/link", "/linked/secret"])(
    "%p leads nowhere",
    async (path) => {
      symlinkSync(join(base, "secret"), join(root, "link"));
      symlinkSync(base, join(root, "linked"));
      expect(await read(path)).toBeUndefined();
    },
  );

  test("refuses what is no regular file without waiting for it", async () => {
    await $`mkfifo ${join(root, "etc/group")}`;
    await expect(read("/etc/group")).rejects.toThrow(InvalidParameterError);
    await expect(read("/etc")).rejects.toThrow("not a regular file");
    // Opening it would fail otherwise: no driver has this number.
    new FileMaker().makeNode("character-device", join(root, "etc/shadow"), 0o666, { major: 4000, minor: 1 });
    await expect(read("/etc/shadow")).rejects.toThrow("not a regular file");
  });

  test("refuses what is too large, and reads what is just not", async () => {
    writeFileSync(join(root, "etc/group"), "x".repeat(100));
    await expect(read("/etc/group", 99)).rejects.toThrow("larger than 99 bytes");
    expect((await read("/etc/group", 100))?.length).toBe(100);
  });

  test("tells what is there, and of a link what it is or where it leads", async () => {
    symlinkSync("/etc", join(root, "dev"));
    expect((await files.stat(root, "/dev"))?.kind).toBe("directory");
    expect((await files.stat(root, "/dev", { follow: false }))?.kind).toBe("symlink");
    expect(await files.stat(root, "/nothing")).toBeUndefined();
  });
});

describe("making a directory beneath a root", () => {
  const owner = { uid: 5, gid: 6, mode: 0o750 };

  test("makes those above it, and leaves what is there as it is", async () => {
    await files.makeDirectory(root, "/etc/a/b", owner);
    const made = statSync(join(root, "etc/a/b"));
    expect([made.uid, made.gid, made.mode & 0o777]).toEqual([5, 6, 0o750]);
    expect(statSync(join(root, "etc")).uid).toBe(0);
    await files.makeDirectory(root, "/etc/a/b", { uid: 7, gid: 7, mode: 0o700 });
    expect(statSync(join(root, "etc/a/b")).uid).toBe(5);
  });

  test("makes what a link names that leads nowhere", async () => {
    symlinkSync("/data/app", join(root, "app"));
    await files.makeDirectory(root, "/app", owner);
    expect(existsSync(join(root, "data/app"))).toBe(true);
  });

  test("goes by links inside, as /var/run to /run", async () => {
    mkdirSync(join(root, "run"));
    mkdirSync(join(root, "var"));
    symlinkSync("/run", join(root, "var/run"));
    await files.makeDirectory(root, "/var/run/app", owner);
    expect(existsSync(join(root, "run/app"))).toBe(true);
  });

  test("never outside", async () => {
    symlinkSync(base, join(root, "out"));
    await files.makeDirectory(root, "/out/made", owner);
    expect(existsSync(join(root, base, "made"))).toBe(true);
    await files.makeDirectory(root, "/etc/../../../up", owner).catch(() => {});
    expect(existsSync(join(base, "made")) || existsSync(join(base, "up"))).toBe(false);
  });

  test("says so when something is in the way", async () => {
    await expect(files.makeDirectory(root, "/etc/passwd/x", owner)).rejects.toThrow(
      "Cannot mkdir: /etc/passwd/x is not a directory",
    );
  });
});

describe("places for mounts", () => {
  test("that were made meanwhile and stayed empty are taken away, with what was made above them", async () => {
    const before = statSync(join(root, "etc"), { bigint: true }).mtimeNs;
    const missing = await files.missing(root, [
      "/etc/hosts",
      "/etc/passwd",
      "/run/deep/secret",
      "/kept/file",
    ]);
    expect([...missing].sort()).toEqual([
      ...["/etc/hosts", "/kept", "/kept/file", "/run", "/run/deep", "/run/deep/secret"],
    ]);
    for (const path of ["run/deep", "kept"]) mkdirSync(join(root, path), { recursive: true });
    for (const path of ["etc/hosts", "run/deep/secret"]) writeFileSync(join(root, path), "");
    writeFileSync(join(root, "kept/file"), "the program's");
    const during = statSync(join(root, "etc"), { bigint: true }).mtimeNs;
    await files.removeStubs(root, missing);
    expect(existsSync(join(root, "etc/hosts"))).toBe(false);
    expect(existsSync(join(root, "run"))).toBe(false);
    expect(existsSync(join(root, "kept/file"))).toBe(true);
    expect(during).toBeGreaterThanOrEqual(before);
    expect(statSync(join(root, "etc"), { bigint: true }).mtimeNs).toBe(during);
  });

  test("that became links lead nobody out", async () => {
    const missing = await files.missing(root, ["/away/hosts"]);
    symlinkSync(base, join(root, "away"));
    writeFileSync(join(base, "hosts"), "");
    await files.removeStubs(root, missing);
    expect(existsSync(join(base, "hosts"))).toBe(true);
  });
});
