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
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InvalidParameterError, NotFoundError, SystemError } from "../../core/errors.ts";
import { cString, libc } from "../../linux/libc.ts";
import { LocalVolumeDriver } from "./driver.ts";

describe("local volumes", () => {
  let root: string;
  let rootfs: string;
  let driver: LocalVolumeDriver;

  beforeEach(async () => {
    root = mkdtempSync(join(tmpdir(), "gantry-volumes-"));
    rootfs = join(root, "rootfs");
    mkdirSync(rootfs);
    driver = new LocalVolumeDriver({ volumes: join(root, "volumes"), subpaths: join(root, "subpaths") });
    await driver.create("data");
  });

  afterEach(async () => {
    await driver.reconcile({ names: new Set(), mounted: new Set(), keys: new Set() });
    expect(mountsUnder(root)).toEqual([]);
    rmSync(root, { recursive: true, force: true });
  });

  const dataOf = (name: string, ...path: string[]) => join(driver.mountpoint(name), ...path);
  const copyUp = (destination: string, exclusive = true) =>
    driver.copyUp("data", { rootfs, destination, subpath: undefined }, { exclusive });

  test("create is idempotent, and its modes do not depend on the umask", async () => {
    const before = process.umask(0o077);
    try {
      await driver.create("private");
      await driver.create("private");
    } finally {
      process.umask(before);
    }
    expect(statSync(dataOf("private")).mode & 0o777).toBe(0o755);
    expect(statSync(join(root, "volumes", "private")).mode & 0o777).toBe(0o701);
  });

  test("remove takes the data along, and is idempotent", async () => {
    mkdirSync(dataOf("data", "deep/er"), { recursive: true });
    await driver.remove("data");
    await driver.remove("data");
    expect(readdirSync(join(root, "volumes"))).toEqual([]);
  });

  for (const exclusive of [true, false]) {
    test(`copy-up keeps owners, modes, times, links and attributes (exclusive: ${exclusive})`, async () => {
      const source = join(rootfs, "srv");
      mkdirSync(join(source, "sub"), { recursive: true });
      writeFileSync(join(source, "file"), "content");
      chownSync(join(source, "file"), 999, 998);
      chmodSync(join(source, "file"), 0o4750);
      linkSync(join(source, "file"), join(source, "hard"));
      symlinkSync("/etc/passwd", join(source, "soft"));
      libc.lsetxattr(cString(join(source, "file")), cString("user.colour"), Buffer.from("blue"), 4n, 0);
      Bun.spawnSync(["touch", "-d", "2001-02-03T04:05:06Z", join(source, "file")]);
      chownSync(source, 70, 71);
      chmodSync(source, 0o1777);

      expect(await copyUp("/srv", exclusive)).toBe(true);

      const file = statSync(dataOf("data", "file"));
      expect([file.uid, file.gid, file.mode & 0o7777, file.nlink]).toEqual([999, 998, 0o4750, 2]);
      expect(file.mtime.toISOString()).toBe("2001-02-03T04:05:06.000Z");
      const colour = Buffer.alloc(4);
      libc.lgetxattr(cString(dataOf("data", "file")), cString("user.colour"), colour, 4n);
      expect(colour.toString()).toBe("blue");
      expect(readlinkSync(dataOf("data", "soft"))).toBe("/etc/passwd");
      const directory = statSync(dataOf("data"));
      expect([directory.uid, directory.gid, directory.mode & 0o7777]).toEqual([70, 71, 0o1777]);
      expect(existsSync(join(root, "volumes", "data", "_copy"))).toBe(false);
    });
  }

  test("copy-up of an empty directory gives the volume its owner and mode", async () => {
    mkdirSync(join(rootfs, "db"));
    chownSync(join(rootfs, "db"), 999, 999);
    chmodSync(join(rootfs, "db"), 0o700);
    expect(await copyUp("/db")).toBe(false);
    const { uid, mode } = statSync(dataOf("data"));
    expect([uid, mode & 0o777]).toEqual([999, 0o700]);
  });

  test("copy-up leaves a volume with data alone", async () => {
    mkdirSync(join(rootfs, "srv"));
    writeFileSync(join(rootfs, "srv", "file"), "image");
    writeFileSync(dataOf("data", "file"), "mine");
    expect(await copyUp("/srv")).toBe(false);
    expect(readFileSync(dataOf("data", "file"), "utf8")).toBe("mine");
  });

  test("copy-up of what the image has not, or has as a file, does nothing", async () => {
    writeFileSync(join(rootfs, "file"), "x");
    expect(await copyUp("/absent/dir")).toBe(false);
    expect(await copyUp("/file")).toBe(false);
  });

  test("copy-up follows the image's links within the image: absolute ones as well", async () => {
    mkdirSync(join(rootfs, "run", "app"), { recursive: true });
    writeFileSync(join(rootfs, "run", "app", "file"), "in the image");
    mkdirSync(join(rootfs, "var"));
    symlinkSync("/run", join(rootfs, "var", "run"));
    expect(await copyUp("/var/run/app")).toBe(true);
    expect(readFileSync(dataOf("data", "file"), "utf8")).toBe("in the image");
  });

  test("copy-up never leaves the image: links to the host lead back into the image", async () => {
    const secret = join(root, "secret");
    mkdirSync(secret);
    writeFileSync(join(secret, "key"), "host");
    symlinkSync(secret, join(rootfs, "absolute"));
    symlinkSync("../secret", join(rootfs, "relative"));
    expect(await copyUp("/absolute")).toBe(false);
    expect(await copyUp("/relative")).toBe(false);
    expect(await copyUp("/../secret")).toBe(false);
    expect(readdirSync(dataOf("data"))).toEqual([]);
  });

  test("copy-up into a volume that others use never leaves it, whatever they put in the way", async () => {
    const host = join(root, "host");
    mkdirSync(host);
    for (let number = 0; number < 300; number++) {
      mkdirSync(join(rootfs, "srv", `d${number}`), { recursive: true });
      writeFileSync(join(rootfs, "srv", `d${number}`, "planted"), "from the image");
    }
    // As a container that has the volume would: every directory that appears becomes a link to the host.
    const tenant = Bun.spawn([process.execPath, join(import.meta.dir, "fixtures/swap-for-links.ts")], {
      env: { ...process.env, VOLUME: dataOf("data"), LINK: `/proc/1/root${host}`, LINK2: host },
      stdout: "pipe",
    });
    await tenant.stdout.getReader().read();
    await copyUp("/srv", false).catch(() => {});
    tenant.kill("SIGKILL");
    await tenant.exited;
    expect(readdirSync(host)).toEqual([]);
    expect(existsSync(join(root, "volumes", "data", "_copy"))).toBe(false);
    expect(readdirSync(dataOf("data")).length).toBeGreaterThan(0);
  });

  test("copy-up into a mounted volume fills the mount", async () => {
    mkdirSync(join(rootfs, "srv"));
    writeFileSync(join(rootfs, "srv", "file"), "image");
    await driver.mount("data", { type: "tmpfs", device: "tmpfs" });
    expect(await copyUp("/srv", false)).toBe(true);
    expect(readFileSync(dataOf("data", "file"), "utf8")).toBe("image");
    await driver.unmount("data");
    expect(readdirSync(dataOf("data"))).toEqual([]);
  });

  test("a volume with options is mounted while in use", async () => {
    const options = { type: "tmpfs", device: "tmpfs", o: "size=1m,uid=7,nosuid" };
    driver.checkOptions(options);
    await driver.mount("data", options);
    await driver.mount("data", options);
    expect(mountsUnder(root)).toEqual([dataOf("data")]);
    expect(statSync(dataOf("data")).uid).toBe(7);
    await driver.unmount("data");
    await driver.unmount("data");
    expect(mountsUnder(root)).toEqual([]);
  });

  test("a volume that is a directory of the host shows and keeps what is in it", async () => {
    const device = join(root, "elsewhere");
    mkdirSync(device);
    writeFileSync(join(device, "file"), "x");
    await driver.mount("data", { type: "none", o: "bind,ro", device });
    expect(readFileSync(dataOf("data", "file"), "utf8")).toBe("x");
    expect(() => writeFileSync(dataOf("data", "file"), "y")).toThrow("EROFS");
    await driver.remove("data");
    expect(readFileSync(join(device, "file"), "utf8")).toBe("x");
  });

  test("a mount that fails says what and why", async () => {
    const failing = driver.mount("data", { type: "none", o: "bind", device: join(root, "absent") });
    expect(failing).rejects.toThrow(
      /^error while mounting volume '.*_data': failed to mount local volume: mount .*absent:.*no such file or directory$/,
    );
    await failing.catch(() => {});
    expect(driver.mount("data", { type: "frobfs", o: "x=y", device: "d" })).rejects.toThrow(SystemError);
  });

  test("options are checked", () => {
    const refused = [{ foo: "x" }, { size: "1g" }, { type: "tmpfs" }, { device: "x" }, { o: "bind" }];
    for (const options of refused) {
      expect(() => driver.checkOptions(options as unknown as Record<string, string>)).toThrow(
        InvalidParameterError,
      );
    }
  });

  test("a subpath is a mount of its own, a file or a directory", async () => {
    mkdirSync(dataOf("data", "a/b"), { recursive: true });
    writeFileSync(dataOf("data", "a/b/file"), "x");
    const directory = await driver.mountSubpath("data", "a/b", "container");
    const file = await driver.mountSubpath("data", "a/b/file", "container");
    expect(readFileSync(join(directory.path, "file"), "utf8")).toBe("x");
    expect(readFileSync(file.path, "utf8")).toBe("x");
    expect(await driver.mountSubpath("data", "a/b", "container")).toEqual(directory);
    await driver.unmountSubpaths("container");
    await driver.unmountSubpaths("container");
    expect(mountsUnder(root)).toEqual([]);
    expect(readFileSync(dataOf("data", "a/b/file"), "utf8")).toBe("x");
  });

  test("a subpath cannot leave the volume", async () => {
    symlinkSync("/", dataOf("data", "out"));
    symlinkSync("../../..", dataOf("data", "up"));
    for (const subpath of ["out/etc", "out", "up"]) {
      const mounting = driver.mountSubpath("data", subpath, "container");
      await expect(mounting).rejects.toThrow("path concatenation escapes the base directory");
    }
    await expect(driver.mountSubpath("data", "absent", "container")).rejects.toThrow(NotFoundError);
    expect(mountsUnder(root)).toEqual([]);
  });

  test("a subpath that was swapped between two starts is resolved again, beneath the volume", async () => {
    mkdirSync(dataOf("data", "sub"));
    await driver.mountSubpath("data", "sub", "container");
    await driver.unmountSubpaths("container");
    for (const link of ["/etc", "../../..", root]) {
      rmSync(dataOf("data", "sub"), { recursive: true });
      symlinkSync(link, dataOf("data", "sub"));
      const again = await driver.mountSubpath("data", "sub", "container").catch((error: unknown) => error);
      expect(again).toBeInstanceOf(InvalidParameterError);
      expect(mountsUnder(root)).toEqual([]);
    }
    mkdirSync(dataOf("data", "other"));
    writeFileSync(dataOf("data", "other", "file"), "within");
    rmSync(dataOf("data", "sub"));
    symlinkSync("other", dataOf("data", "sub"));
    const within = await driver.mountSubpath("data", "sub", "container");
    expect(readFileSync(join(within.path, "file"), "utf8")).toBe("within");
  });

  test("boot takes down what nobody owns and keeps what somebody does", async () => {
    await driver.create("kept");
    await driver.mount("kept", { type: "tmpfs", device: "tmpfs" });
    await driver.create("stray");
    await driver.mount("stray", { type: "tmpfs", device: "tmpfs" });
    await driver.create("idle");
    await driver.mount("idle", { type: "tmpfs", device: "tmpfs" });
    mkdirSync(join(root, "volumes", "idle", "_copy"));
    mkdirSync(dataOf("kept", "sub"));
    await driver.mountSubpath("kept", "sub", "running");
    await driver.mountSubpath("kept", "sub", "dead");
    await driver.reconcile({
      names: new Set(["kept", "idle"]),
      mounted: new Set(["kept"]),
      keys: new Set(["running"]),
    });
    expect(readdirSync(join(root, "volumes")).sort()).toEqual(["idle", "kept"]);
    expect(readdirSync(join(root, "volumes", "idle"))).toEqual(["_data"]);
    expect(readdirSync(join(root, "subpaths"))).toEqual(["running"]);
    expect(mountsUnder(root)).toHaveLength(2);
  });

  test("usage counts bytes", async () => {
    writeFileSync(dataOf("data", "file"), new Uint8Array(1 << 20));
    const size = await driver.usage("data", AbortSignal.timeout(5000));
    expect(size).toBeGreaterThanOrEqual(1 << 20);
    expect(size).toBeLessThan((1 << 20) + 10_000);
  });

  test("a symbolic link as the volume's content is not followed by removal", async () => {
    const outside = join(root, "outside");
    mkdirSync(outside);
    writeFileSync(join(outside, "file"), "x");
    symlinkSync(outside, dataOf("data", "link"));
    await driver.remove("data");
    expect(lstatSync(join(outside, "file")).isFile()).toBe(true);
  });
});

function mountsUnder(directory: string): string[] {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((path) => path.startsWith(`${directory}/`));
}
