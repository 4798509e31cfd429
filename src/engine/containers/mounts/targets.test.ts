import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RootFiles } from "../../../core/rootfs.ts";
import { KernelRootFiles } from "../../../drivers/rootfs/index.ts";
import { StartError } from "../start-failure.ts";
import type { PreparedMount } from "./prepare.ts";
import { placeMounts } from "./targets.ts";

const files: RootFiles = new KernelRootFiles();
let base: string;
let root: string;

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "gantry-targets-"));
  root = join(base, "root");
  mkdirSync(join(root, "etc"), { recursive: true });
  writeFileSync(join(root, "etc/file"), "");
});
afterEach(() => {
  expect(readdirSync(base)).toEqual(["root"]);
  rmSync(base, { recursive: true });
});

const bind = (
  destination: string,
  target: PreparedMount["target"] = "directory",
  source = base,
): PreparedMount => ({
  destination,
  type: "bind",
  source,
  target,
});
const place = async (...mounts: PreparedMount[]) =>
  (await placeMounts(mounts, root, files)).map(({ destination }) => destination);

describe("where mounts go", () => {
  test("parents come before what lies in them, of one depth in their order", async () => {
    expect(await place(bind("/a/b/c"), bind("/z"), bind("/a"), bind("/a/b"))).toEqual([
      "/z",
      "/a",
      "/a/b",
      "/a/b/c",
    ]);
  });

  test("targets are made in the root, as directory or as file", async () => {
    await place(bind("/new/dir"), bind("/new/file", "file"));
    expect(lstatSync(join(root, "new/dir")).isDirectory()).toBe(true);
    expect(lstatSync(join(root, "new/file")).isFile()).toBe(true);
  });

  test("a tmpfs that has no directory yet gets one that is everybody's, those above it not", async () => {
    const modeOf = (name: string) => lstatSync(join(root, name)).mode & 0o7777;
    const before = modeOf("etc");
    await place({ destination: "/new/tmp", type: "tmpfs", target: "directory" });
    await place({ destination: "/etc", type: "tmpfs", target: "directory" });
    expect(["new", "new/tmp", "etc"].map(modeOf)).toEqual([0o755, 0o1777, before]);
  });

  test("a target inside of another mount is the runtime's to make", async () => {
    expect(await place(bind("/data"), bind("/data/in/it"), bind("/dev/mine", "file"))).toEqual([
      "/data",
      "/dev/mine",
      "/data/in/it",
    ]);
    expect(readdirSync(join(root, "data"))).toEqual([]);
    expect(existsSync(join(root, "dev"))).toBe(false);
  });

  test("links lead on, inside of the root: those to nowhere are made, and order goes by where they lead", async () => {
    mkdirSync(join(root, "var"));
    symlinkSync("/run", join(root, "var/run"));
    symlinkSync("/", join(root, "r"));
    symlinkSync(join("..", "..", "..", "outside"), join(root, "out"));
    expect(await place(bind("/var/run"), bind("/run/app"), bind("/out"), bind("/r/srv"))).toEqual([
      "/outside",
      "/run",
      "/srv",
      "/run/app",
    ]);
    expect(lstatSync(join(root, "outside")).isDirectory()).toBe(true);
  });

  test("what lies in a mount behind a link goes where the mount goes", async () => {
    symlinkSync("/real", join(root, "link"));
    expect(await place(bind("/link"), bind("/link/sub"))).toEqual(["/real", "/real/sub"]);
  });

  test("a directory on a file, or a file on a directory, is refused in runc's words", async () => {
    for (const wrong of [bind("/etc/file"), bind("/etc", "file"), bind("/etc/file/x")]) {
      await expect(place(wrong)).rejects.toThrow(StartError);
      await expect(place(wrong)).rejects.toThrow(
        "not a directory: Are you trying to mount a directory onto a file",
      );
    }
  });

  test("nothing goes into /proc, also not by way of a link", async () => {
    symlinkSync("/proc", join(root, "p"));
    symlinkSync("proc/sys", join(root, "sys-link"));
    for (const path of ["/proc/sys", "/proc/1/attr", "/p/sys", "/sys-link"]) {
      await expect(place(bind(path))).rejects.toThrow("cannot be mounted because it is inside /proc");
    }
    for (const path of ["/proc", "/p"]) {
      await expect(place(bind(path))).rejects.toThrow("cannot be mounted because it is not of type proc");
    }
    expect(await place(bind("/proc", "directory", "/proc"))).toEqual(["/proc"]);
    expect(await place(bind("/proc/uptime", "file", "/etc/hostname"))).toEqual(["/proc/uptime"]);
  });
});
