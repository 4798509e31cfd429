/** The real helper, on real files. Needs root: owners, devices, attributes of overlayfs. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  closeSync,
  existsSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  rmSync,
  statfsSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { type TestEntry, testArchive } from "../../../base/tar/test-archive.ts";
import { digestOf } from "../../../core/digests.ts";
import { InvalidParameterError, NoSpaceError } from "../../../core/errors.ts";
import { readAttribute } from "../../../linux/files.ts";
import { HelperUnpacker } from "./index.ts";

const unpacker = new HelperUnpacker();
const OPAQUE = "trusted.overlay.opaque";
let base: string;
let root: string;
/** Next to the root: what a hostile archive would like to reach. */
let victim: string;

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "gantry-unpack-"));
  root = join(base, "root");
  victim = join(base, "victim");
  mkdirSync(root);
  mkdirSync(victim);
  writeFileSync(join(victim, "file"), "untouched");
});
afterEach(() => {
  expect(readdirSync(victim)).toEqual(["file"]);
  expect(readFileSync(join(victim, "file"), "utf8")).toBe("untouched");
  expect(readdirSync(base).sort()).toEqual(["blob", "root", "victim"]);
  rmSync(base, { recursive: true });
});

async function unpack(
  archive: Uint8Array,
  blob: Uint8Array = archive,
  signal = new AbortController().signal,
) {
  writeFileSync(join(base, "blob"), blob);
  return await unpacker.unpack({ blob: join(base, "blob"), diffId: digestOf(archive), into: root, signal });
}

async function unpackEntries(...entries: TestEntry[]) {
  return await unpack(testArchive(entries));
}

function contentOf(path: string): string {
  return readFileSync(join(root, path), "utf8");
}

describe("a layer", () => {
  test("gets its files with mode, owner and time, links, devices and fifos", async () => {
    const result = await unpackEntries(
      { name: "./", type: "5", mode: 0o711 },
      { name: "bin/", type: "5", mode: 0o2775, gid: 8, mtime: 1_600_000_000 },
      { name: "bin/su", mode: 0o4755, uid: 3, gid: 4, content: "program" },
      { name: "bin/plain", content: "x" },
      { name: "bin/hard", type: "1", linkName: "bin/su" },
      { name: "bin/soft", type: "2", linkName: "../nowhere", uid: 5 },
      { name: "dev/null", type: "3", device: [1, 300], mode: 0o666 },
      { name: "dev/disk", type: "4", device: [259, 70000], mode: 0o660 },
      { name: "run/fifo", type: "6", mode: 0o600 },
    );
    expect(result).toEqual({ size: 8, entries: 9 });
    expect(lstatSync(root).mode & 0o7777).toBe(0o711);
    const bin = lstatSync(join(root, "bin"));
    expect([bin.mode & 0o7777, bin.gid, bin.mtimeMs]).toEqual([0o2775, 8, 1_600_000_000_000]);
    const su = lstatSync(join(root, "bin/su"));
    expect([su.mode & 0o7777, su.uid, su.gid, su.nlink]).toEqual([0o4755, 3, 4, 2]);
    expect(lstatSync(join(root, "bin/plain")).gid).toBe(0);
    expect(lstatSync(join(root, "bin/hard")).ino).toBe(su.ino);
    expect(readlinkSync(join(root, "bin/soft"))).toBe("../nowhere");
    expect(lstatSync(join(root, "bin/soft")).uid).toBe(5);
    const device = lstatSync(join(root, "dev/null"));
    expect([device.isCharacterDevice(), device.rdev, device.mode & 0o777]).toEqual([true, 0x10012c, 0o666]);
    const disk = lstatSync(join(root, "dev/disk"));
    expect([disk.isBlockDevice(), disk.rdev]).toEqual([true, 0x11110370]);
    expect(lstatSync(join(root, "run/fifo")).isFIFO()).toBe(true);
  });

  test("may be plain, gzip or zstd, and in several gzip members", async () => {
    const archive = testArchive([{ name: "file", content: "content" }]);
    const half = archive.length / 2;
    const members = Buffer.concat([gzipSync(archive.subarray(0, half)), gzipSync(archive.subarray(half))]);
    for (const blob of [archive, gzipSync(archive), zstdCompressSync(archive), members]) {
      await unpack(archive, blob);
      expect(contentOf("file")).toBe("content");
      rmSync(join(root, "file"));
    }
  });

  test("may be empty", async () => {
    expect(await unpackEntries()).toEqual({ size: 0, entries: 0 });
    expect(readdirSync(root)).toEqual([]);
  });

  test("keeps long names, names that are not UTF-8, and sub-second times", async () => {
    const long = `${"d".repeat(90)}/${"e".repeat(90)}/file`;
    const raw = testArchive([{ name: "raw-?", content: "" }]);
    raw[4] = 0xff;
    raw.write("000000\0 ", 148, "latin1");
    raw.fill(32, 148, 156);
    const sum = raw.subarray(0, 512).reduce((total, byte) => total + byte, 0);
    raw.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
    const longEntry = testArchive([
      { name: "x", pax: { path: long, mtime: "1700000000.123456789" }, content: "1" },
    ]);
    await unpack(Buffer.concat([raw.subarray(0, 512), longEntry]));
    expect(contentOf(long)).toBe("1");
    expect(lstatSync(join(root, long), { bigint: true }).mtimeNs).toBe(1_700_000_000_123_456_789n);
    expect(readdirSync(Buffer.from(root), { encoding: "buffer" }).some((name) => name.includes(0xff))).toBe(
      true,
    );
  });

  test("keeps file capabilities, and nothing that is overlayfs's own", async () => {
    const capability = "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00";
    await unpackEntries({
      name: "ping",
      uid: 1,
      pax: {
        "SCHILY.xattr.security.capability": capability,
        "SCHILY.xattr.user.note": "kept",
        "SCHILY.xattr.trusted.overlay.redirect": "/etc",
      },
    });
    const path = join(root, "ping");
    expect(readAttribute(path, "security.capability")).toBe(capability);
    expect(readAttribute(path, "user.note")).toBe("kept");
    expect(readAttribute(path, "trusted.overlay.redirect")).toBeUndefined();
  });
});

describe("whiteouts", () => {
  test("become what overlayfs reads", async () => {
    await unpackEntries(
      { name: "dir/.wh.gone" },
      { name: "other/", type: "5" },
      { name: "other/.wh..wh..opq" },
    );
    const gone = lstatSync(join(root, "dir/gone"));
    expect([gone.isCharacterDevice(), gone.rdev]).toEqual([true, 0]);
    expect(readAttribute(join(root, "other"), OPAQUE)).toBe("y");
    expect(readdirSync(join(root, "other"))).toEqual([]);
  });

  test("are about lower layers only: what this layer has of the name stays, in either order", async () => {
    await unpackEntries(
      { name: "a/file", content: "mine" },
      { name: ".wh.a" },
      { name: ".wh.b" },
      { name: "b/", type: "5" },
      { name: "b/file", content: "mine" },
      { name: "c", content: "mine" },
      { name: ".wh.c" },
    );
    expect([contentOf("a/file"), contentOf("b/file"), contentOf("c")]).toEqual(["mine", "mine", "mine"]);
    expect(readAttribute(join(root, "a"), OPAQUE)).toBe("y");
    expect(readAttribute(join(root, "b"), OPAQUE)).toBe("y");
  });
});

describe("of two entries with one name the later one counts", () => {
  test.each<[string, TestEntry, TestEntry, string]>([
    ["file over file", { name: "x", content: "old" }, { name: "x", content: "new" }, "file"],
    ["file over directory", { name: "x/y", content: "old" }, { name: "x", content: "new" }, "file"],
    ["directory over file", { name: "x", content: "old" }, { name: "x/", type: "5" }, "directory"],
    [
      "directory over link",
      { name: "x", type: "2", linkName: "/victim" },
      { name: "x/", type: "5" },
      "directory",
    ],
    [
      "file over link",
      { name: "x", type: "2", linkName: "../victim/file" },
      { name: "x", content: "new" },
      "file",
    ],
  ])("%s", async (_, first, second, kind) => {
    await unpackEntries(first, second);
    const found = lstatSync(join(root, "x"));
    expect(kind === "file" ? found.isFile() && contentOf("x") === "new" : found.isDirectory()).toBe(true);
  });
});

describe("what looks dangerous and is not, works", () => {
  test("absolute names and link targets are the layer's own", async () => {
    await unpackEntries({ name: "/etc/a", content: "a" }, { name: "etc/b", type: "1", linkName: "/etc/a" });
    expect(contentOf("etc/b")).toBe("a");
  });

  test("a link to a directory of the layer is followed, /var/run to /run", async () => {
    await unpackEntries(
      { name: "run/", type: "5" },
      { name: "var/run", type: "2", linkName: "/run" },
      { name: "var/run/pid", content: "1" },
    );
    expect(contentOf("run/pid")).toBe("1");
  });

  test("./ and // and a/../b", async () => {
    await unpackEntries({ name: ".//a/./b", content: "1" }, { name: "a/x/../c", content: "2" });
    expect([contentOf("a/b"), contentOf("a/c")]).toEqual(["1", "2"]);
  });
});

describe("what leads out of the layer never gets there", () => {
  test.each<[string, TestEntry[]]>([
    ["a name with ..", [{ name: "../victim/file", content: "evil" }]],
    ["a name with .. further down", [{ name: "a/../../victim/file", content: "evil" }]],
    ["a hard link to ..", [{ name: "x", type: "1", linkName: "../victim/file" }]],
    ["a whiteout of ..", [{ name: "a/.wh..." }]],
    [
      "a hard link through a link",
      [
        { name: "out", type: "2", linkName: "../victim" },
        { name: "x", type: "1", linkName: "out/file" },
      ],
    ],
    ["the root as a link", [{ name: "./", type: "2", linkName: "../victim" }]],
    ["a hard link to the root", [{ name: "x", type: "1", linkName: "/" }]],
  ])("%s is refused", async (_, entries) => {
    await expect(unpackEntries(...entries)).rejects.toBeInstanceOf(InvalidParameterError);
  });

  test.each<[string, string]>([
    ["relative", "../victim"],
    ["with many ..", "../../../../../../../../.."],
    ["absolute", "/"],
  ])("a parent that is a link, %s, ends within the layer", async (_, linkName) => {
    await unpackEntries(
      { name: "victim/", type: "5" },
      { name: "out", type: "2", linkName },
      { name: "out/new", content: "evil" },
    );
    expect(existsSync(join(root, "victim/new")) || existsSync(join(root, "new"))).toBe(true);
  });

  test("an absolute link to the host's path is resolved in the layer, where that is not", async () => {
    const entries = [
      { name: "out", type: "2", linkName: victim },
      { name: "out/file", content: "evil" },
    ];
    await expect(unpackEntries(...entries)).rejects.toBeInstanceOf(InvalidParameterError);
  });
});

describe("sparse files keep their holes", () => {
  test.each(["0.0", "0.1", "1.0"])("in GNU tar's pax form %s", async (version) => {
    const source = mkdtempSync(join(tmpdir(), "gantry-sparse-"));
    try {
      const file = openSync(join(source, "holes"), "w", 0o640);
      // More pieces than a block of the map holds.
      for (let index = 0; index < 90; index++) writeSync(file, `piece ${index}`, index * 1_000_000_007);
      ftruncateSync(file, 90_123_456_789);
      closeSync(file);
      writeFileSync(join(source, "after"), "after");
      const format = ["--format=posix", `--sparse-version=${version}`, "--sparse", "--sort=name"];
      const made = Bun.spawnSync(["tar", "-C", source, ...format, "-cf", "-", "holes", "after"]);
      await unpack(made.stdout);
    } finally {
      rmSync(source, { recursive: true });
    }
    const { size, blocks, mode } = lstatSync(join(root, "holes"));
    expect([size, mode & 0o777]).toEqual([90_123_456_789, 0o640]);
    expect(blocks).toBeLessThan(90 * 16);
    const file = openSync(join(root, "holes"), "r");
    const at = (position: number) => readPiece(file, position).toString("latin1");
    expect([at(0), at(1_000_000_007), at(89_000_000_623), at(500)]).toEqual([
      "piece 0\0",
      "piece 1\0",
      "piece 89",
      "\0".repeat(8),
    ]);
    closeSync(file);
    expect(contentOf("after")).toBe("after");
  });
});

function readPiece(file: number, position: number): Buffer {
  const bytes = Buffer.alloc(8);
  readSync(file, bytes, 0, 8, position);
  return bytes;
}

/** A sparse file of 20 bytes of data in form 0.1. */
function sparse(map: string | undefined, size: number): Buffer {
  const pax = {
    "GNU.sparse.major": map === undefined ? "1" : "0",
    "GNU.sparse.minor": map === undefined ? "0" : "1",
    "GNU.sparse.size": String(size),
    "GNU.sparse.realsize": String(size),
    ...(map !== undefined && { "GNU.sparse.map": map }),
  };
  return testArchive([{ name: "x", pax, content: "x".repeat(20) }]);
}

test("a layer that needs more than the disk has fails before it is full", async () => {
  const image = join(base, "disk");
  Bun.spawnSync(["truncate", "-s", "96M", image]);
  Bun.spawnSync(["mkfs.ext4", "-q", "-m", "0", image]);
  expect(Bun.spawnSync(["mount", "-o", "loop", image, root]).exitCode).toBe(0);
  try {
    const archive = testArchive([{ name: "zeros", content: Buffer.alloc(200 << 20) }]);
    await expect(unpack(archive, gzipSync(archive, { level: 1 }))).rejects.toThrow(NoSpaceError);
    const { bavail, bsize } = statfsSync(root);
    expect(bavail * bsize).toBeGreaterThan(0);
  } finally {
    Bun.spawnSync(["umount", root]);
    rmSync(image);
  }
});

describe("a malformed archive is refused with the reason", () => {
  const good = testArchive([{ name: "file", content: "x".repeat(2000) }]);
  const random = Buffer.from(Array.from({ length: 2048 }, (_, index) => (index * 7919) % 251));

  test.each<[string, Uint8Array, string]>([
    ["cut in the content", good.subarray(0, 1000), "unexpected EOF"],
    ["cut in a header", good.subarray(0, 300), "unexpected EOF"],
    ["noise", random, "invalid tar header"],
    ["a size beyond the end", testArchive([{ name: "x", size: 1e12 }]), "unexpected EOF"],
    ["a size beyond numbers", testArchive([{ name: "x", size: 2 ** 60 }]), "out of range"],
    ["a sparse file of old GNU tar", testArchive([{ name: "x", type: "S" }]), "unhandled tar header type 83"],
    ["a map of pieces that overlap", sparse("0,10,5,10", 20), "pieces overlap"],
    ["a map that leads beyond the file", sparse("15,20", 20), "pieces overlap"],
    ["a map of more than there is", sparse("0,30", 100), "its map and its content differ"],
    ["a map that is none", sparse("0,x", 20), "not a number"],
    ["a map of uneven length", sparse("0,20,30", 50), "invalid sparse file"],
    ["a sparse file without its map", sparse(undefined, 20), "invalid sparse file"],
    [
      "a name of 100,000 parts",
      testArchive([{ name: "x", pax: { path: "d/".repeat(100_000) } }]),
      "name in archive is too long",
    ],
    ["an unknown type", testArchive([{ name: "x", type: "Z" }]), "unhandled tar header type"],
    [
      "a name longer than the kernel's",
      testArchive([{ name: "x", pax: { path: "a".repeat(5000) } }]),
      "name in archive is too long",
    ],
    [
      "a pax header that is none",
      testArchive([{ name: "p", type: "x", content: "garbage" }]),
      "invalid pax header",
    ],
    [
      "a huge extended header",
      testArchive([{ name: "p", type: "x", content: "x".repeat(2 << 20) }]),
      "extension too large",
    ],
    [
      "a hard link to nothing",
      testArchive([{ name: "x", type: "1", linkName: "missing" }]),
      "not in the layer",
    ],
  ])("%s", async (_, archive, reason) => {
    await expect(unpack(archive)).rejects.toThrow(reason);
  });

  test("a cut or damaged compressed stream", async () => {
    const archive = testArchive([
      { name: "file", content: random },
      { name: "more", content: random },
    ]);
    const blob = gzipSync(archive);
    await expect(unpack(archive, blob.subarray(0, blob.length - 20))).rejects.toBeInstanceOf(
      InvalidParameterError,
    );
    const damaged = Buffer.from(blob);
    damaged[100] = (damaged[100] ?? 0) ^ 0xff;
    await expect(unpack(archive, damaged)).rejects.toBeInstanceOf(InvalidParameterError);
  });

  test("another archive than the image's configuration names", async () => {
    writeFileSync(join(base, "blob"), good);
    const { signal } = new AbortController();
    const other = unpacker.unpack({
      blob: join(base, "blob"),
      diffId: digestOf("other"),
      into: root,
      signal,
    });
    await expect(other).rejects.toThrow("diff id");
  });

  test("a bomb", async () => {
    const zeros = testArchive([{ name: "zeros", content: new Uint8Array(200 << 20) }]);
    await expect(unpack(zeros, zstdCompressSync(zeros))).rejects.toThrow("expands to more than");
  }, 30_000);
});

test("a cancelled unpacking ends at once", async () => {
  const archive = testArchive([{ name: "large", content: new Uint8Array(64 << 20) }]);
  const abort = new AbortController();
  const unpacking = unpack(archive, archive, abort.signal);
  setTimeout(() => abort.abort(new Error("given up")), 20);
  await expect(unpacking).rejects.toThrow("given up");
});

test("a helper ends with the daemon that started it, also when that is killed", async () => {
  const archive = testArchive([{ name: "large", content: new Uint8Array(64 << 20) }]);
  writeFileSync(join(base, "blob"), archive);
  const fixture = join(import.meta.dir, "fixtures", "unpack-and-wait.ts");
  const daemon = Bun.spawn([process.execPath, fixture, join(base, "blob"), digestOf(archive), root], {
    stdout: "pipe",
  });
  const helpers = () =>
    Bun.spawnSync(["pgrep", "-f", `unpack-layer.*${base}`])
      .stdout.toString()
      .trim();
  while (helpers() === "") await Bun.sleep(2);
  daemon.kill("SIGKILL");
  await daemon.exited;
  const deadline = performance.now() + 2000;
  while (helpers() !== "" && performance.now() < deadline) await Bun.sleep(5);
  expect(helpers()).toBe("");
});

/** @see CVE-2026-41567, CVE-2019-14271 */
describe("programs and libraries that a layer plants", () => {
  const PLANTED = [
    ...["igzip", "zstd", "gzip", "xz", "sh", "bun", "gantry"].flatMap((name) => [
      `bin/${name}`,
      `usr/bin/${name}`,
    ]),
    ...["libc.so.6", "libnss_files.so.2", "libnss_dns.so.2", "libm.so.6", "libgcc_s.so.1"].flatMap((name) =>
      ["lib", "lib/x86_64-linux-gnu", "usr/lib", "lib64"].map((directory) => `${directory}/${name}`),
    ),
    ...["etc/ld.so.cache", "etc/ld.so.preload", "etc/nsswitch.conf", "etc/passwd", "etc/localtime"],
    ...["bunfig.toml", "package.json", "proc/self/exe", "usr/lib/locale/locale-archive"],
  ];
  const OLD = 1_000_000_000;
  const planted = PLANTED.map((name) => ({
    name,
    mode: 0o755,
    mtime: OLD,
    content: "\x7fELF: not to be read",
  }));
  // What is loaded late is loaded after the planted files are there.
  const archive = testArchive([...planted, { name: "large", content: Buffer.alloc(8 << 20, "x") }]);

  /** Reading and running alike leave the time of it; on a mount with relatime for old files only. */
  function expectUntouched(): void {
    for (const name of PLANTED)
      expect([name, lstatSync(join(root, name)).atimeMs]).toEqual([name, OLD * 1000]);
    readFileSync(join(root, "bin/sh"));
    expect(lstatSync(join(root, "bin/sh")).atimeMs).toBeGreaterThan(OLD * 1000);
  }

  const blobs: [name: string, blob: Uint8Array][] = [
    ["plain", archive],
    ["gzip", gzipSync(archive)],
    ["zstd", zstdCompressSync(archive)],
  ];
  test.each(blobs)("are neither read nor run, with %s", async (_, blob) => {
    await unpack(archive, blob);
    expectUntouched();
  });

  test("are neither read nor run where the host lacks the decompressor", async () => {
    const path = process.env.PATH;
    process.env.PATH = "/nowhere";
    try {
      await unpack(archive, gzipSync(archive));
    } finally {
      process.env.PATH = path;
    }
    expectUntouched();
  });

  test("are neither read nor run to explain an archive that is damaged", async () => {
    const blob = gzipSync(archive);
    await expect(unpack(archive, blob.subarray(0, blob.length - 100))).rejects.toThrow(InvalidParameterError);
    expectUntouched();
  });
});
