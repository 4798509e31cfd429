/** Bind mounts, named and anonymous volumes with copy-up, tmpfs, and the volume commands. */
import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { useEngine, withEachClient } from "../support/suite.ts";

const suite = useEngine({ images: ["busybox", "configured"] });

withEachClient(suite, "storage", (cli) => {
  const shell = async (script: string, ...args: string[]) =>
    await cli.ok("run", "--rm", ...args, "busybox", "sh", "-c", script);
  const hostDirectory = () => mkdtempSync(join(suite.engine.directory, "bind-"));

  describe("bind mounts", () => {
    test("-v is read and written on both sides", async () => {
      const directory = hostDirectory();
      writeFileSync(join(directory, "in"), "from the host\n");
      expect(await shell("cat /d/in; echo from inside > /d/out", "-v", `${directory}:/d`)).toBe(
        "from the host",
      );
      expect(readFileSync(join(directory, "out"), "utf8")).toBe("from inside\n");
    });

    test("of a single file", async () => {
      const file = join(hostDirectory(), "file");
      writeFileSync(file, "content\n");
      expect(await shell("cat /etc/given; ls /etc | grep -c given", "-v", `${file}:/etc/given`)).toBe(
        "content\n1",
      );
    });

    test(":ro", async () => {
      const { stderr, code } = await cli(
        "run",
        "--rm",
        "-v",
        `${hostDirectory()}:/d:ro`,
        "busybox",
        "touch",
        "/d/x",
      );
      expect(stderr).toContain("Read-only file system");
      expect(code).toBe(1);
    });

    test("-v makes a missing source, --mount does not", async () => {
      const missing = join(hostDirectory(), "a/b");
      await shell("touch /d/x", "-v", `${missing}:/d`);
      expect(existsSync(join(missing, "x"))).toBe(true);
      const { stderr, code } = await cli(
        "run",
        "--rm",
        "--mount",
        `type=bind,src=${missing}/not-there,dst=/d`,
        "busybox",
        "true",
      );
      expect(stderr).toContain("bind source path does not exist");
      expect(code).toBe(125);
    });

    test("--mount type=bind,readonly", async () => {
      const { stderr } = await cli(
        "run",
        "--rm",
        "--mount",
        `type=bind,src=${hostDirectory()},dst=/d,readonly`,
        "busybox",
        "touch",
        "/d/x",
      );
      expect(stderr).toContain("Read-only file system");
    });

    test("hides what the image has, and shows below another mount", async () => {
      const outer = hostDirectory();
      const inner = hostDirectory();
      mkdirSync(join(outer, "inner"));
      writeFileSync(join(inner, "deep"), "");
      expect(
        await shell("ls /home; ls /home/inner", "-v", `${inner}:/home/inner`, "-v", `${outer}:/home`),
      ).toBe("inner\ndeep");
    });

    test("a destination must be absolute and not the root", async () => {
      expect((await cli("run", "--rm", "-v", "/tmp:relative", "busybox", "true")).code).toBe(125);
      const root = await cli("run", "--rm", "-v", "/tmp:/", "busybox", "true");
      expect(root.stderr).toContain("destination can't be '/'");
      expect(root.code).toBe(125);
    });

    test("one destination twice is refused", async () => {
      const { code, stderr } = await cli("run", "--rm", "-v", "/tmp:/d", "-v", "/var:/d", "busybox", "true");
      expect(stderr).toContain("Duplicate mount point: /d");
      expect(code).toBe(125);
    });
  });

  describe("volumes", () => {
    test("a named one keeps data from container to container", async () => {
      await shell("echo kept > /v/file", "-v", "data:/v");
      expect(await shell("cat /v/file", "-v", "data:/v")).toBe("kept");
      expect(await cli.ok("volume", "ls", "-q")).toBe("data");
    });

    test("a new one gets what the image has there: content, owner, mode, links", async () => {
      const script =
        "stat -c '%a %u' /data; cat /data/link; stat -c '%a %u' /data/inner/file; readlink /data/link";
      expect(
        await cli.ok("run", "--rm", "-v", "fresh:/data", "--entrypoint", "sh", "configured", "-c", script),
      ).toBe("750 1000\nfrom the image\n600 1000\ninner/file");
    });

    test("an empty one that another container has open gets the image's content too", async () => {
      const first = await cli.ok("run", "-d", "-v", "shared:/data", "busybox", "sleep", "60");
      await cli.ok("create", "-v", "shared:/data", "configured");
      const alone = ["-u", "root", "-v", "alone:/data", "--entrypoint", "ls", "configured", "-lnA", "/data"];
      const inside = await cli.ok("exec", first, "ls", "-lnA", "/data");
      expect(inside).toContain("link -> inner/file");
      expect(inside).toBe(await cli.ok("run", "--rm", ...alone));
    });

    test("one with content gets nothing; nocopy gets nothing", async () => {
      await shell("echo mine > /v/own", "-v", "used:/v");
      const list = (volume: string) =>
        cli.ok("run", "--rm", "-u", "root", "-v", volume, "--entrypoint", "ls", "configured", "/data");
      expect(await list("used:/data")).toBe("own");
      expect(await list("empty:/data:nocopy")).toBe("");
    });

    test("the image's VOLUME makes an anonymous one, that --rm takes along", async () => {
      const id = await cli.ok("create", "configured");
      const [mount] = JSON.parse(await cli.ok("inspect", "-f", "{{json .Mounts}}", id));
      expect(mount).toMatchObject({ Type: "volume", Destination: "/data", Driver: "local", RW: true });
      expect(mount.Name).toMatch(/^[0-9a-f]{64}$/);
      await cli.ok("rm", "-v", id);
      await cli.ok("run", "--rm", "configured");
      expect(await cli.ok("volume", "ls", "-q")).toBe("");
    });

    test("--volumes-from", async () => {
      await cli.ok("run", "--name", "source", "-v", "shared:/s", "busybox", "sh", "-c", "echo x > /s/file");
      expect(await shell("cat /s/file", "--volumes-from", "source")).toBe("x");
      expect(
        (await cli("run", "--rm", "--volumes-from", "source:ro", "busybox", "touch", "/s/y")).stderr,
      ).toContain("Read-only");
    });

    test("create, inspect, ls with filters, rm", async () => {
      expect(await cli.ok("volume", "create", "--label", "a=1", "one")).toBe("one");
      expect(await cli.ok("volume", "create", "one")).toBe("one");
      await cli.ok("volume", "create", "two");
      const anonymous = await cli.ok("volume", "create");
      expect(anonymous).toMatch(/^[0-9a-f]{64}$/);
      const [one] = JSON.parse(await cli.ok("volume", "inspect", "one"));
      expect(one).toMatchObject({ Name: "one", Driver: "local", Scope: "local", Labels: { a: "1" } });
      expect(existsSync(one.Mountpoint)).toBe(true);
      expect(await cli.ok("volume", "ls", "-q", "-f", "label=a=1")).toBe("one");
      expect(
        (await cli.ok("volume", "ls", "-q", "-f", "name=o")).split("\n").filter((name) => name.length < 10),
      ).toEqual(["one", "two"]);
      await cli.ok("create", "--name", "user", "-v", "one:/v", "busybox");
      expect(await cli.ok("volume", "ls", "-q", "-f", "dangling=false")).toBe("one");
      const { code, stderr } = await cli("volume", "rm", "one");
      expect(stderr).toContain("volume is in use");
      expect(code).toBe(1);
      await cli.ok("rm", "user");
      expect(await cli.ok("volume", "rm", "one", "two")).toBe("one\ntwo");
      expect((await cli("volume", "rm", "one")).stderr.toLowerCase()).toContain("no such volume");
      expect(existsSync(one.Mountpoint)).toBe(false);
    });

    test("ls prints Docker's columns", async () => {
      await cli.ok("volume", "create", "one");
      expect(await cli.ok("volume", "ls")).toMatch(/^DRIVER +VOLUME NAME\nlocal +one$/);
    });

    test("a bad name is refused", async () => {
      const { stderr, code } = await cli("volume", "create", "../escape");
      expect(stderr).toContain("includes invalid characters for a local volume name");
      expect(code).toBe(1);
    });
  });

  test("tmpfs by --mount, with size and mode", async () => {
    const { stdout } = await cli(
      "run",
      "--rm",
      "--mount",
      "type=tmpfs,dst=/t,tmpfs-size=2m,tmpfs-mode=700",
      "busybox",
      "sh",
      "-c",
      "grep ' /t ' /proc/mounts; stat -c %a /t",
    );
    expect(stdout).toMatch(/^tmpfs \/t tmpfs \S*size=2048k/);
    expect(stdout).toMatch(/\n700\n$/);
  });

  test("mounts are in inspect", async () => {
    const directory = hostDirectory();
    const id = await cli.ok(
      "create",
      "-v",
      `${directory}:/b:ro`,
      "-v",
      "named:/n",
      "--tmpfs",
      "/t",
      "busybox",
    );
    const mounts = JSON.parse(await cli.ok("inspect", "-f", "{{json .Mounts}}", id)) as { Type: string }[];
    expect(mounts.sort((a, b) => a.Type.localeCompare(b.Type))).toMatchObject([
      { Type: "bind", Source: directory, Destination: "/b", Mode: "ro", RW: false, Propagation: "rprivate" },
      { Type: "volume", Name: "named", Destination: "/n", RW: true },
    ]);
  });
});
