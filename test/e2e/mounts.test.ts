/** What mounts do in the kernel, with crun and with runc: the engine makes up for what crun 1.8.1 does not do itself. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { $ } from "bun";
import { MS, mount, unmount } from "../../src/linux/mounts.ts";
import { useEngine } from "../support/suite.ts";

const suite = useEngine({ images: ["busybox", "configured"] });
const cli = suite.cli("gantry");
const run = (...args: readonly string[]) => cli("run", "--rm", ...args);

for (const runtime of ["crun", "runc"]) {
  describe(runtime, () => {
    /** A host directory with one of each: all that people mount read-only into a container. */
    let host: string;
    let socket: Server;

    beforeAll(async () => {
      host = mkdtempSync(join(suite.engine.directory, "host-"));
      writeFileSync(join(host, "file"), "content\n");
      mkdirSync(join(host, "directory"));
      await $`mkfifo ${join(host, "fifo")}`;
      socket = createServer().listen(join(host, "socket"));
      mkdirSync(join(host, "outer/sub"), { recursive: true });
      mount({ source: "none", target: join(host, "outer/sub"), type: "tmpfs" });
      writeFileSync(join(host, "outer/sub/deep"), "");
      mkdirSync(join(host, "shared"));
      mount({ source: "none", target: join(host, "shared"), type: "tmpfs" });
      mount({ source: "none", target: join(host, "shared"), flags: MS.SHARED });
    });
    afterAll(() => {
      socket.close();
      for (const name of ["outer/sub", "shared"]) while (unmount(join(host, name), { lazy: true }));
    });

    const shell = async (script: string, ...args: readonly string[]) =>
      await cli.ok("run", "--rm", "--runtime", runtime, ...args, "busybox", "sh", "-c", script);

    test("everything that is no directory can be mounted read-only", async () => {
      const kinds = ["file", "fifo", "socket", "directory"];
      const mounts = kinds.flatMap((kind) => ["-v", `${join(host, kind)}:/m/${kind}:ro`]);
      const device = ["--mount", "type=bind,src=/dev/null,dst=/m/device,readonly"];
      const script = "stat -c %F /m/*; cat /m/file; for f in /m/file /m/directory/x; do echo > $f; done 2>&1";
      expect((await shell(`${script}; true`, ...mounts, ...device)).split("\n")).toEqual([
        "character special file",
        "directory",
        "fifo",
        "regular file",
        "socket",
        "content",
        "sh: can't create /m/file: Read-only file system",
        "sh: can't create /m/directory/x: Read-only file system",
      ]);
    });

    test("a non-recursive bind leaves out what is mounted below", async () => {
      const bind = `type=bind,src=${join(host, "outer")},dst=/d`;
      expect(await shell("ls /d/sub", "--mount", bind)).toBe("deep");
      expect(await shell("ls /d/sub", "--mount", `${bind},bind-recursive=disabled`)).toBe("");
      const writable = await shell(
        "touch /d/sub/x; ls /d/sub",
        "--mount",
        `${bind},ro,bind-recursive=writable`,
      );
      expect(writable).toBe("deep\nx");
      expect(await shell("rm /d/sub/x 2>&1; ls /d/sub", "--mount", `${bind},ro`)).toContain(
        "Read-only file system",
      );
    });

    test("mounts made in a shared bind appear on the host", async () => {
      for (const mode of ["shared", "rshared"]) {
        const script = `mkdir /s/${mode} && mount -t tmpfs none /s/${mode} && touch /s/${mode}/up`;
        await shell(script, "--privileged", "-v", `${join(host, "shared")}:/s:${mode}`);
        expect(readdirSync(join(host, "shared", mode))).toEqual(["up"]);
        unmount(join(host, "shared", mode));
      }
      const tmpfs = await shell("grep ' /t ' /proc/self/mountinfo; stat -c %a /t", "--tmpfs", "/t:shared");
      expect(tmpfs).toMatch(/ shared:.*\n1777$/);
    });

    test("a mount over /etc does not hide hosts, hostname and resolv.conf", async () => {
      const script =
        "grep -q localhost /etc/hosts && test -s /etc/hostname && test -f /etc/resolv.conf && echo all";
      expect(await shell(script, "-v", "etc:/etc")).toBe("all");
      expect(await shell(script, "--tmpfs", "/etc")).toBe("all");
      expect(await shell("cat /etc/hosts", "-v", "etc:/etc", "-v", `${join(host, "file")}:/etc/hosts`)).toBe(
        "content",
      );
    });

    test("nothing is mounted into /proc", async () => {
      for (const place of ["/proc/", "/proc//sys"]) {
        const { code, stderr } = await run("--runtime", runtime, "-v", place, "busybox", "true");
        expect(stderr).toContain("cannot be mounted because it is");
        expect(code).toBe(125);
      }
    });

    test("a subpath of a volume gets the image's files, if it is empty", async () => {
      await shell("mkdir /v/empty /v/used; touch /v/used/mine", "-v", "parts:/v");
      const at = (subpath: string, target: string) =>
        `type=volume,src=parts,dst=${target},volume-subpath=${subpath}`;
      expect(await shell("ls /bin/busybox", "--mount", at("empty", "/bin"))).toBe("/bin/busybox");
      expect(await shell("ls /etc | head -1", "--mount", at("used", "/etc"))).not.toBe("passwd");
    });

    test("a cgroup parent that climbs stays below the root of the cgroups", async () => {
      const parent = `gantry-climbed-${runtime}-${process.pid}`;
      const line = await shell(
        "grep pids /proc/self/cgroup || cat /proc/self/cgroup",
        "--cgroup-parent",
        `../../../${parent}`,
        "--cgroupns",
        "host",
      );
      expect(line).toMatch(new RegExp(`:/${parent}/[0-9a-f]{64}$`));
      await $`find /sys/fs/cgroup -type d -name ${parent} -exec rmdir {} +`.quiet();
    });
  });
}

describe("an image as a mount", () => {
  const image = (...options: readonly string[]) => [
    "--mount",
    ["type=image", "src=configured", "dst=/i", ...options].join(","),
  ];

  test("is there, read-only, whole or a part of it", async () => {
    await cli.ok("run", "-d", "--name", "viewer", ...image(), "busybox", "sleep", "60");
    expect(await cli.ok("exec", "viewer", "cat", "/i/data/inner/file")).toBe("from the image");
    expect((await cli("exec", "viewer", "touch", "/i/x")).stderr).toContain("Read-only file system");
    expect(
      await cli.ok("run", "--rm", ...image("image-subpath=data/inner/file"), "busybox", "cat", "/i"),
    ).toBe("from the image");
    expect(await cli.ok("run", "--rm", ...image("image-subpath=data"), "busybox", "ls", "/i")).toBe(
      "inner\nlink",
    );
    const [mount] = JSON.parse(await cli.ok("inspect", "-f", "{{json .Mounts}}", "viewer"));
    expect(mount).toMatchObject({ Type: "image", Name: "configured", Destination: "/i", RW: false });
    await suite.engine.restart();
    expect(await cli.ok("exec", "viewer", "ls", "/i/data")).toBe("inner\nlink");
  });

  test("keeps the image while the container is there", async () => {
    const { registry, engine } = suite;
    await cli.ok("create", "--name", "holder", ...image(), "busybox", "cat", "/i/data/inner/file");
    for (const name of ["configured", `${registry.host}/configured`]) await cli("rmi", name);
    expect((await cli("rmi", "-f", "configured")).code).toBeLessThan(2);
    expect(await cli.ok("start", "-a", "holder")).toBe("from the image");
    await cli.ok("rm", "holder");
    await engine.provide(registry.host, "configured");
  });

  test("what it has not, and what leads out, is refused in Docker's words", async () => {
    expect((await run(...image("image-subpath=none"), "busybox", "true")).stderr).toContain(
      "cannot access path",
    );
    expect((await run(...image("image-subpath=../x"), "busybox", "true")).stderr).toContain(
      "subpath must be a relative path within the volume",
    );
    const Mounts = [{ Type: "image", Source: "none-such", Target: "/i" }];
    const body = { Image: "busybox", HostConfig: { Mounts } };
    const unknown = await suite.engine.request("POST", "/containers/create", { body });
    expect([unknown.status, unknown.json().message]).toEqual([404, "No such image: none-such:latest"]);
  });
});

test("a bind mount around the data root is a slave where the host allows it, and private elsewhere", async () => {
  const { dataRoot } = suite.engine;
  const seen = await cli.ok("run", "-d", "-v", `${dataRoot}:/d`, "busybox", "sleep", "60");
  expect(await cli.ok("inspect", "-f", "{{(index .Mounts 0).Propagation}}", seen)).toBe("rslave");
  const refused = await run("-v", `${dataRoot}:/d:private`, "busybox", "true");
  expect(refused.stderr).toContain("must use either propagation mode");
});
