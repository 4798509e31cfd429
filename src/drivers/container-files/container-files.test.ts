/** The real helper, on real files. Needs root: owners, mounts. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { TarReader } from "../../base/tar/index.ts";
import { type TestEntry, testArchive } from "../../base/tar/test-archive.ts";
import type { FilesArchive, FilesView, ViewMount, WriteFilesOptions } from "../../core/container-files.ts";
import { InvalidParameterError, NotFoundError } from "../../core/errors.ts";
import { FileMaker } from "../../linux/files.ts";
import { HelperContainerFiles } from "./index.ts";

const files = new HelperContainerFiles();
const { signal } = new AbortController();
let base: string;
let root: string;

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "gantry-files-"));
  root = join(base, "root");
  mkdirSync(join(root, "etc"), { recursive: true });
  writeFileSync(join(root, "etc/passwd"), "inside");
  mkdirSync(join(base, "victim"));
  writeFileSync(join(base, "victim/secret"), "outside");
});
afterEach(() => {
  expect(readdirSync(join(base, "victim"))).toEqual(["secret"]);
  expect(readFileSync(join(base, "victim/secret"), "utf8")).toBe("outside");
  expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(base);
  rmSync(base, { recursive: true });
});

const stopped = (...mounts: ViewMount[]): FilesView => ({ kind: "stopped", rootfs: root, mounts });
const PLAIN: WriteFilesOptions = {
  noOverwriteDirNonDir: false,
  owner: undefined,
  readOnlyRoot: false,
  mounts: [],
};

async function entriesOf(archive: FilesArchive): Promise<Map<string, string>> {
  await using opened = archive;
  const chunks: Uint8Array[] = [];
  for await (const chunk of opened.content) chunks.push(Uint8Array.from(chunk));
  const bytes = Buffer.concat(chunks);
  let position = 0;
  const reader = new TarReader((into) => {
    const count = bytes.copy(into, 0, position);
    position += count;
    return count;
  });
  const found = new Map<string, string>();
  for (let entry = reader.next(); entry; entry = reader.next()) {
    const pieces: Uint8Array[] = [];
    for (let piece = reader.content(); piece; piece = reader.content()) pieces.push(Uint8Array.from(piece));
    const name = Buffer.from(entry.name, "latin1").toString();
    found.set(
      name,
      entry.type === "file" ? Buffer.concat(pieces).toString() : `${entry.type} ${entry.linkName}`.trim(),
    );
  }
  return found;
}

async function read(path: string, view = stopped()): Promise<Map<string, string>> {
  return await entriesOf(await files.read(view, path, signal));
}

async function write(
  path: string,
  archive: TestEntry[] | Uint8Array,
  options: Partial<WriteFilesOptions> = {},
  view = stopped(),
): Promise<void> {
  const bytes = archive instanceof Uint8Array ? archive : testArchive(archive);
  const content = (async function* () {
    for (let at = 0; at < bytes.byteLength; at += 10_000) yield bytes.subarray(at, at + 10_000);
  })();
  await files.write(view, path, content, { ...PLAIN, ...options, signal });
}

const content = (path: string) => readFileSync(join(root, path), "utf8");

describe("the stat of a path", () => {
  test("has Go's modes and the name that was asked for", async () => {
    chmodSync(join(root, "etc/passwd"), 0o4640);
    mkdirSync(join(root, "tmp"));
    chmodSync(join(root, "tmp"), 0o1777);
    new FileMaker().makeNode("fifo", join(root, "fifo"), 0o600);
    new FileMaker().makeNode("character-device", join(root, "null"), 0o666, { major: 1, minor: 3 });
    const mode = async (path: string) => (await files.stat(stopped(), path, signal)).mode >>> 0;
    expect(await mode("/etc/passwd")).toBe(0x800000 + 0o640);
    expect(await mode("/tmp")).toBe(0x80000000 + 0x100000 + 0o777);
    expect(await mode("/fifo")).toBe(0x2000000 + 0o600);
    expect(await mode("/null")).toBe(0x4000000 + 0x200000 + 0o666);
    expect(await files.stat(stopped(), "etc/../etc/passwd", signal)).toMatchObject({
      name: "passwd",
      size: 6,
    });
    expect((await files.stat(stopped(), "/", signal)).name).toBe("/");
    for (const path of ["/etc/.", "/etc/./", "/.", "/./"]) {
      expect((await files.stat(stopped(), path, signal)).name).toBe(".");
    }
  });

  test("tells where a link leads in the end, as far as there is something", async () => {
    symlinkSync("../etc", join(root, "etc/up"));
    symlinkSync("/etc/up/passwd", join(root, "link"));
    symlinkSync("../../gone/away", join(root, "etc/broken"));
    const target = async (path: string) => (await files.stat(stopped(), path, signal)).linkTarget;
    expect(await target("/link")).toBe("/etc/passwd");
    expect(await target("/etc/broken")).toBe("/gone/away");
    expect(await target("/etc/up/passwd")).toBe("");
  });

  test("is not there for what is not there", async () => {
    for (const path of ["/none", "/../victim/secret"]) {
      await expect(files.stat(stopped(), path, signal)).rejects.toBeInstanceOf(NotFoundError);
    }
    for (const path of ["/etc/passwd/x", "/etc/passwd/"]) {
      await expect(files.stat(stopped(), path, signal)).rejects.toThrow(`lstat ${path}: not a directory`);
    }
  });
});

describe("reading", () => {
  test("names are below what was asked for; hard links and links stay what they are", async () => {
    linkSync(join(root, "etc/passwd"), join(root, "etc/zzz"));
    symlinkSync("/etc", join(root, "etc/link"));
    mkdirSync(join(root, "etc/sub"));
    expect([...(await read("/etc"))]).toEqual([
      ["etc/", "directory"],
      ["etc/link", "symbolic-link /etc"],
      ["etc/passwd", "inside"],
      ["etc/sub/", "directory"],
      ["etc/zzz", "hard-link etc/passwd"],
    ]);
    expect([...(await read("/etc/.")).keys()].slice(0, 2)).toEqual(["./", "./link"]);
    expect([...(await read("/etc/link"))]).toEqual([["link", "symbolic-link /etc"]]);
    expect([...(await read("/etc/link/")).keys()][0]).toBe("link/");
    expect([...(await read("/")).keys()].slice(0, 2)).toEqual(["/", "/etc/"]);
    const all = await entriesOf(await files.readAll(stopped(), signal));
    expect([...all.keys()].slice(0, 2)).toEqual(["etc/", "etc/link"]);
  });

  test("fifos and devices are told and never opened", async () => {
    new FileMaker().makeNode("fifo", join(root, "etc/fifo"), 0o600);
    new FileMaker().makeNode("character-device", join(root, "etc/device"), 0o600, { major: 4000, minor: 1 });
    const found = await read("/etc");
    expect([found.get("etc/fifo"), found.get("etc/device")]).toEqual(["fifo", "character-device"]);
  });

  test("who stops reading ends the helper", async () => {
    writeFileSync(join(root, "huge"), "");
    truncateSync(join(root, "huge"), 2 ** 40);
    const archive = await files.read(stopped(), "/huge", signal);
    for await (const bytes of archive.content) {
      expect(bytes.byteLength).toBeGreaterThan(0);
      break;
    }
    await archive[Symbol.asyncDispose]();
  });
});

describe("writing", () => {
  test("gives files their owner, mode and time, and merges directories", async () => {
    mkdirSync(join(root, "data"));
    writeFileSync(join(root, "data/kept"), "kept");
    await write("/", [
      { name: "data/", type: "5", mode: 0o2750, uid: 4, gid: 5, mtime: 1_600_000_000 },
      { name: "data/file", mode: 0o4711, uid: 7, gid: 8, content: "x", mtime: 1_500_000_000 },
      { name: "data/link", type: "2", linkName: "/etc/passwd", uid: 9 },
      { name: "data/hard", type: "1", linkName: "data/file" },
      { name: "new/deep/file", content: "deep" },
    ]);
    const data = statSync(join(root, "data"));
    expect([data.mode & 0o7777, data.uid, data.gid, data.mtimeMs]).toEqual([0o2750, 4, 5, 1_600_000_000_000]);
    const file = statSync(join(root, "data/file"));
    expect([file.mode & 0o7777, file.uid, file.gid, file.nlink, file.mtimeMs]).toEqual([
      0o4711, 7, 8, 2, 1_500_000_000_000,
    ]);
    expect(readlinkSync(join(root, "data/link"))).toBe("/etc/passwd");
    expect(lstatSync(join(root, "data/link")).uid).toBe(9);
    expect([content("data/kept"), content("new/deep/file")]).toEqual(["kept", "deep"]);
  });

  test("everything belongs to the owner that was asked for", async () => {
    await write(
      "/etc",
      [
        { name: "a/", type: "5" },
        { name: "a/b", content: "", uid: 3 },
      ],
      { owner: { uid: 70, gid: 71 } },
    );
    for (const path of ["etc/a", "etc/a/b"])
      expect([statSync(join(root, path)).uid, statSync(join(root, path)).gid]).toEqual([70, 71]);
  });

  test("what is there gives way, unless kinds are to be kept", async () => {
    mkdirSync(join(root, "dir"));
    writeFileSync(join(root, "file"), "old");
    const strict = { noOverwriteDirNonDir: true };
    await expect(write("/", [{ name: "dir", content: "x" }], strict)).rejects.toThrow(
      'cannot overwrite directory "/dir" with non-directory "/"',
    );
    await expect(write("/", [{ name: "file/", type: "5" }], strict)).rejects.toThrow(
      'cannot overwrite non-directory "/file" with directory "/"',
    );
    await write("/", [{ name: "file", content: "new" }], strict);
    await write("/", [
      { name: "dir", content: "x" },
      { name: "file/", type: "5" },
    ]);
    expect([content("dir"), statSync(join(root, "file")).isDirectory()]).toEqual(["x", true]);
  });

  test("into a link that leads to a directory; not into a file or nothing", async () => {
    symlinkSync("/etc", join(root, "link"));
    await write("/link", [{ name: "x", content: "x" }]);
    expect(content("etc/x")).toBe("x");
    await expect(write("/etc/passwd", [])).rejects.toThrow("extraction point is not a directory");
    await expect(write("/none", [])).rejects.toBeInstanceOf(NotFoundError);
  });

  test("read-only roots and mounts are refused in Docker's words", async () => {
    mkdirSync(join(root, "data"));
    const mounts = [
      { destination: "/data", rw: true },
      { destination: "/data/ro", rw: false },
    ];
    mkdirSync(join(root, "data/ro"));
    await expect(write("/etc", [], { readOnlyRoot: true, mounts })).rejects.toThrow(
      "container rootfs is marked read-only",
    );
    await expect(write("/data/ro", [], { mounts })).rejects.toThrow("mounted volume is marked read-only");
    await write("/data", [{ name: "x", content: "" }], { readOnlyRoot: true, mounts });
  });

  test("an archive may be compressed, and may be bad", async () => {
    const archive = testArchive([{ name: "file", content: "packed" }]);
    const bzip2 = Bun.spawnSync(["bzip2", "-c"], { stdin: archive }).stdout;
    for (const bytes of [
      gzipSync(archive),
      zstdCompressSync(archive),
      ...(bzip2.length > 0 ? [bzip2] : []),
    ]) {
      rmSync(join(root, "file"), { force: true });
      await write("/", Buffer.from(bytes));
      expect(content("file")).toBe("packed");
    }
    await expect(write("/", gzipSync(archive).subarray(0, 60))).rejects.toBeInstanceOf(InvalidParameterError);
    await expect(write("/", Buffer.from("nonsense".repeat(200)))).rejects.toThrow("invalid tar header");
    for (const name of ["../x", "a/../../x", `${"d/".repeat(5000)}x`]) {
      await expect(write("/etc", testArchive([{ name: "x", pax: { path: name } }]))).rejects.toBeInstanceOf(
        InvalidParameterError,
      );
    }
  });
});

describe("the view of one that does not run", () => {
  test("has its mounts, read-only ones too, and puts nothing where links lead out", async () => {
    const volume = join(base, "volume");
    mkdirSync(volume);
    writeFileSync(join(volume, "data"), "in the volume");
    symlinkSync(join("..", "victim"), join(root, "mnt"));
    symlinkSync(join(base, "victim"), join(root, "abs"));
    const view = stopped(
      { source: volume, destination: "/mnt", readOnly: false, recursive: true },
      { source: volume, destination: "/abs", readOnly: true, recursive: true },
    );
    expect((await read("/mnt/data", view)).get("data")).toBe("in the volume");
    await write("/mnt", [{ name: "new", content: "written" }], {}, view);
    expect(readFileSync(join(volume, "new"), "utf8")).toBe("written");
    await expect(write("/abs", [{ name: "no", content: "" }], {}, view)).rejects.toThrow("EROFS");
    // Outside of the view the mount's place is what it was before.
    expect(readdirSync(join(root, "victim"))).toEqual([]);
    rmSync(volume, { recursive: true });
  });
});

describe("S02: somebody swaps directories for links while files are copied", () => {
  test("nothing outside is read or written", async () => {
    mkdirSync(join(root, "swap/deep"), { recursive: true });
    writeFileSync(join(root, "swap/secret"), "harmless");
    const swapper = Bun.spawn(
      [
        process.execPath,
        "-e",
        `const fs = require("node:fs"); const [root, victim] = ${JSON.stringify([root, join(base, "victim")])};
         for (;;) { try {
           fs.renameSync(root + "/swap", root + "/gone"); fs.symlinkSync(Math.random() < 0.5 ? victim : "../victim", root + "/swap");
           fs.unlinkSync(root + "/swap"); fs.renameSync(root + "/gone", root + "/swap");
         } catch { try { fs.unlinkSync(root + "/swap"); } catch {} try { fs.renameSync(root + "/gone", root + "/swap"); } catch {} } }`,
      ],
      { stdout: "ignore", stderr: "ignore" },
    );
    try {
      for (let round = 0; round < 12; round++) {
        await Promise.all([
          write("/swap", [
            { name: `f${round}`, content: "x" },
            { name: "secret", content: "harmless" },
          ]).catch(expected),
          write("/", [{ name: `swap/g${round}`, content: "x" }]).catch(expected),
          read("/swap/secret").then((found) => expect(found.get("secret")).toBe("harmless"), expected),
          read("/swap/").then((found) => expect([...found.values()]).not.toContain("outside"), expected),
        ]);
      }
    } finally {
      swapper.kill("SIGKILL");
      await swapper.exited;
    }
  }, 60_000);

  function expected(error: unknown): void {
    if (error instanceof NotFoundError || error instanceof InvalidParameterError) return;
    expect(String(error)).toMatch(/ENOENT|EEXIST|ENOTDIR|ELOOP|EISDIR|ENOTEMPTY/);
  }
});

test("S03: no program and no library of the container is run for it", async () => {
  const marker = join(base, "victim-ran");
  for (const name of ["xz", "bzip2", "zstd", "igzip", "gzip", "tar", "gantry", "bun"]) {
    for (const directory of ["bin", "usr/bin", "usr/local/bin"]) {
      mkdirSync(join(root, directory), { recursive: true });
      const path = join(root, directory, name);
      writeFileSync(path, `#!/bin/sh\ntouch ${marker}\n`);
      chmodSync(path, 0o755);
    }
  }
  mkdirSync(join(root, "lib/x86_64-linux-gnu"), { recursive: true });
  writeFileSync(join(root, "lib/x86_64-linux-gnu/libnss_files.so.2"), "");
  chownSync(join(root, "lib"), 12_345, 12_345);
  const archive = testArchive([{ name: "file", content: "packed" }]);
  await write("/", zstdCompressSync(archive));
  expect((await read("/file")).get("file")).toBe("packed");
  expect(existsSync(marker)).toBe(false);
});
