import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  closeSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FileMaker } from "./files.ts";
import { type FindOptions, ForeignRoot, O, WrongKindError } from "./foreign-root.ts";

let base: string;
let path: string;
let root: ForeignRoot;
let descriptors: number;

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "gantry-foreign-"));
  path = join(base, "root");
  mkdirSync(join(path, "etc"), { recursive: true });
  writeFileSync(join(path, "etc/passwd"), "inside");
  writeFileSync(join(base, "secret"), "outside");
  descriptors = openDescriptors();
  root = new ForeignRoot(path);
});
afterEach(() => {
  root[Symbol.dispose]();
  expect(openDescriptors()).toBe(descriptors);
  expect(readdirSync(base).sort()).toEqual(["root", "secret"]);
  rmSync(base, { recursive: true });
});

function openDescriptors(): number {
  return readdirSync("/proc/self/fd").length;
}

function inodeOf(fd: number | undefined): number | undefined {
  if (fd === undefined) return undefined;
  const { ino } = fstatSync(fd);
  closeSync(fd);
  return ino;
}

const found = (name: string, options?: FindOptions) => inodeOf(root.find(name, options));
const inode = (name: string) => lstatSync(join(path, name)).ino;
const OWNER = { uid: 5, gid: 6, mode: 0o750 };
const makeDirectories = (name: string) => inodeOf(root.makeDirectories(name, OWNER));
const makeFile = (name: string) => inodeOf(root.makeFile(name, OWNER));

describe("finding beneath a foreign root", () => {
  test("links lead where they lead inside of it: absolute ones, and those that climb", () => {
    symlinkSync("/etc/passwd", join(path, "absolute"));
    symlinkSync("../../../../etc", join(path, "etc/up"));
    expect(found("/absolute")).toBe(inode("etc/passwd"));
    expect(found("etc/up/passwd")).toBe(inode("etc/passwd"));
    expect(found("/")).toBe(inode("."));
    expect(found("../..")).toBe(inode("."));
  });

  test("with links kept beneath, whatever leads out is an error", () => {
    symlinkSync("/etc/passwd", join(path, "absolute"));
    symlinkSync("passwd", join(path, "etc/near"));
    expect(() => found("absolute", { links: "beneath" })).toThrow("EXDEV");
    expect(() => found("../secret", { links: "beneath" })).toThrow("EXDEV");
    expect(found("etc/near", { links: "beneath" })).toBe(inode("etc/passwd"));
  });

  test("a link itself is named on demand, whether or not a slash follows it", () => {
    symlinkSync("/etc", join(path, "link"));
    expect(found("link", { follow: false })).toBe(inode("link"));
    expect(found("link/", { follow: false })).toBe(inode("link"));
    expect(found("link/")).toBe(inode("etc"));
  });

  test("what is not there is undefined; a directory that is none an error only when opened", () => {
    expect(found("nothing/at/all")).toBeUndefined();
    expect(found("etc/passwd", { directory: true })).toBeUndefined();
    expect(() => root.open("etc/passwd", { directory: true })).toThrow("ENOTDIR");
  });

  test("the magic links of /proc are refused", () => {
    using proc = new ForeignRoot("/proc");
    expect(() => proc.find("self/root/etc")).toThrow("ELOOP");
  });
});

describe("opening a regular file and nothing else", () => {
  test("opens it, also by way of a link", () => {
    symlinkSync("/etc/passwd", join(path, "link"));
    const fd = root.findRegularFile("link") ?? -1;
    expect(readFileSync(fd, "utf8")).toBe("inside");
    closeSync(fd);
    expect(root.findRegularFile("nothing")).toBeUndefined();
  });

  test("devices and fifos are never opened, directories neither", () => {
    const maker = new FileMaker();
    // Opening this one would be an error of its own (ENXIO): there is no such device.
    maker.makeNode("character-device", join(path, "device"), 0o666, { major: 4000, minor: 1 });
    maker.makeNode("fifo", join(path, "fifo"), 0o666);
    for (const name of ["device", "fifo", "etc"]) {
      for (const access of [O.RDONLY, O.WRONLY]) {
        expect(() => root.findRegularFile(name, access)).toThrow(WrongKindError);
      }
    }
  });
});

describe("making directories beneath a foreign root", () => {
  test("makes what is missing with owner and mode, whatever the umask, and leaves the rest", () => {
    const before = process.umask(0o077);
    try {
      makeDirectories("/etc/a/./b/");
    } finally {
      process.umask(before);
    }
    for (const name of ["etc/a", "etc/a/b"]) {
      const made = statSync(join(path, name));
      expect([made.uid, made.gid, made.mode & 0o7777]).toEqual([5, 6, 0o750]);
    }
    expect(statSync(join(path, "etc")).uid).toBe(0);
    expect(makeDirectories("etc/a/b")).toBe(inode("etc/a/b"));
  });

  test("a link that leads nowhere has its target made, inside", () => {
    symlinkSync("/data/deep", join(path, "absolute"));
    symlinkSync("../../../../tmp/x", join(path, "etc/climbing"));
    expect(makeDirectories("absolute/sub")).toBe(inode("data/deep/sub"));
    expect(makeDirectories("etc/climbing")).toBe(inode("tmp/x"));
    expect(readlinkSync(join(path, "absolute"))).toBe("/data/deep");
  });

  test("goes back by `..` through what it made", () => {
    expect(makeDirectories("new/../other/../../third")).toBe(inode("third"));
    expect(readdirSync(path).sort()).toEqual(["etc", "new", "other", "third"]);
  });

  test("never leaves the root, and never follows links in circles", () => {
    symlinkSync(join(base, "out"), join(path, "out"));
    symlinkSync("../../../beside", join(path, "climb"));
    symlinkSync("b", join(path, "a"));
    symlinkSync("a", join(path, "b"));
    expect(makeDirectories("out")).toBe(inode(join(base, "out")));
    expect(makeDirectories("climb")).toBe(inode("beside"));
    expect(() => makeDirectories("a/x")).toThrow("ELOOP");
  });

  test("says so where something is in the way", () => {
    expect(() => makeDirectories("etc/passwd/x")).toThrow("etc/passwd/x is not a directory");
    expect(() => makeDirectories("etc/passwd")).toThrow(WrongKindError);
  });

  test("a link's target may be bytes that are no text", () => {
    symlinkSync(Buffer.from([0x2f, 0xff, 0xfe]), join(path, "bytes"));
    makeDirectories("bytes/sub");
    expect(readdirSync(Buffer.from(path), { encoding: "buffer" }).some((name) => name[0] === 0xff)).toBe(
      true,
    );
  });
});

describe("making a file to mount on", () => {
  test("takes the one that is there, or makes it and the directories above", () => {
    expect(makeFile("etc/passwd")).toBe(inode("etc/passwd"));
    expect(readFileSync(join(path, "etc/passwd"), "utf8")).toBe("inside");
    expect(makeFile("run/app/socket")).toBe(inode("run/app/socket"));
    expect(statSync(join(path, "run/app/socket")).size).toBe(0);
  });

  test("a link that leads nowhere has its target made, inside", () => {
    symlinkSync("/run/resolv/stub.conf", join(path, "etc/resolv.conf"));
    symlinkSync("resolv.conf", join(path, "etc/again"));
    expect(makeFile("etc/again")).toBe(inode("run/resolv/stub.conf"));
  });

  test("never on a directory, the root or a loop", () => {
    symlinkSync("loop", join(path, "loop"));
    expect(() => makeFile("etc")).toThrow(WrongKindError);
    expect(() => makeFile("/")).toThrow(WrongKindError);
    expect(() => makeFile("loop")).toThrow("ELOOP");
  });
});

test("the parent of a name is found by way of links, the name itself is left alone", () => {
  symlinkSync("/etc", join(path, "link"));
  const { parent, name } = root.openParent("/link/new/");
  expect([inodeOf(parent), name]).toEqual([inode("etc"), "new"]);
  const whole = root.openParent("/");
  expect([inodeOf(whole.parent), whole.name]).toEqual([inode("."), "."]);
});

test("somebody who swaps a directory for a link to the outside never leads the walk out", async () => {
  mkdirSync(join(path, "victim"));
  const swapper = Bun.spawn(
    [
      process.execPath,
      "-e",
      `const fs = require("node:fs"); const p = ${JSON.stringify(path)};
       for (;;) { try {
         fs.renameSync(p + "/swap", p + "/gone"); fs.symlinkSync(${JSON.stringify(base)}, p + "/swap");
         fs.unlinkSync(p + "/swap"); fs.renameSync(p + "/gone", p + "/swap");
       } catch { fs.rmSync(p + "/gone", { recursive: true, force: true }); fs.mkdirSync(p + "/swap", { recursive: true }); } }`,
    ],
    { stdout: "ignore", stderr: "ignore" },
  );
  try {
    for (let round = 0; round < 2000; round++) {
      try {
        makeDirectories(`swap/made-${round % 7}/deep`);
        makeFile(`swap/file-${round % 7}`);
      } catch (error) {
        // What was there a moment ago may be gone.
        if (!(error instanceof WrongKindError)) expect(String(error)).toMatch(/ENOENT|ENOTDIR|EEXIST/);
      }
      if (round % 200 === 0) await Bun.sleep(0);
    }
  } finally {
    swapper.kill("SIGKILL");
    await swapper.exited;
  }
});
