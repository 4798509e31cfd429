/** `cp`, `diff` and `export`, with both clients; and the archive operations themselves. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { $ } from "bun";
import { useEngine, withEachClient } from "../support/suite.ts";

const suite = useEngine({ images: ["busybox"] });
let host: string;

beforeAll(() => {
  host = mkdtempSync(join(tmpdir(), "gantry-copy-"));
  mkdirSync(join(host, "tree/sub"), { recursive: true });
  writeFileSync(join(host, "tree/file"), "content\n");
  writeFileSync(join(host, "tree/sub/deep"), "deep\n");
  symlinkSync("file", join(host, "tree/link"));
});
afterAll(() => rmSync(host, { recursive: true, force: true }));

withEachClient(suite, "copying", (cli, client) => {
  const fresh = () => mkdtempSync(join(host, "out-"));

  for (const state of ["running", "stopped"]) {
    describe(`a container that is ${state}`, () => {
      const start = async (...args: readonly string[]) =>
        state === "running"
          ? await cli.ok("run", "-d", ...args, "busybox", "sleep", "600")
          : await cli.ok("create", ...args, "busybox", "true");

      test("trees go in and out, through volumes as well", async () => {
        const id = await start("-v", "shared:/data");
        await cli.ok("cp", join(host, "tree"), `${id}:/data`);
        await cli.ok("cp", join(host, "tree"), `${id}:/tmp/new`);
        await cli.ok("cp", `${join(host, "tree")}/.`, `${id}:/data`);
        const out = fresh();
        for (const [path, name] of [
          ["/data/tree", "volume"],
          ["/tmp/new", "root"],
        ]) {
          await cli.ok("cp", `${id}:${path}`, join(out, name ?? ""));
          expect((await $`diff -r ${join(host, "tree")} ${join(out, name ?? "")}`.nothrow()).exitCode).toBe(
            0,
          );
        }
        expect(readlinkSync(join(out, "root/link"))).toBe("file");
        expect(await cli.ok("run", "--rm", "-v", "shared:/v", "busybox", "cat", "/v/sub/deep")).toBe("deep");
      });

      test("files get the names that they are to have", async () => {
        const id = await start();
        await cli.ok("cp", join(host, "tree/file"), `${id}:/tmp/`);
        await cli.ok("cp", join(host, "tree/file"), `${id}:/tmp/other`);
        await cli.ok("cp", "-L", join(host, "tree/link"), `${id}:/tmp/`);
        const out = fresh();
        for (const name of ["file", "other", "link"]) await cli.ok("cp", `${id}:/tmp/${name}`, out);
        await cli.ok("cp", `${id}:/tmp/file`, join(out, "renamed"));
        for (const name of ["file", "other", "link", "renamed"]) {
          expect(readFileSync(join(out, name), "utf8")).toBe("content\n");
        }
        await cli.ok("cp", "-L", `${id}:/bin/sh`, out);
        expect(statSync(join(out, "sh")).isFile()).toBe(true);
      });

      test("- is an archive", async () => {
        const id = await start();
        const piped = Bun.spawnSync(["tar", "-C", host, "-c", "tree"]).stdout;
        expect((await cli.with({ stdin: piped }, "cp", "-", `${id}:/tmp`)).stderr).toBe("");
        const out = fresh();
        await cli.ok("cp", `${id}:/tmp/tree/.`, out);
        expect(readFileSync(join(out, "sub/deep"), "utf8")).toBe("deep\n");
        expect((await cli("cp", "-", `${id}:/etc/passwd`)).stderr).toContain("must be a directory");
      });

      test("what cannot be is said in Docker's words", async () => {
        const id = await start("--read-only", "-v", `${host}:/ro:ro`, "-v", "open:/rw");
        const fails = async (words: string, ...args: readonly string[]) => {
          const { code, stderr } = await cli("cp", ...args);
          expect(stderr).toContain(words);
          expect(code).toBe(1);
        };
        await fails(`Could not find the file /none in container ${id}`, `${id}:/none`, host);
        await fails("container rootfs is marked read-only", join(host, "tree/file"), `${id}:/tmp`);
        await fails("mounted volume is marked read-only", join(host, "tree/file"), `${id}:/ro`);
        await fails("no such directory", join(host, "tree/file"), `${id}:/rw/none/`);
        await fails("cannot copy directory", join(host, "tree"), `${id}:/bin/busybox`);
        await fails("must specify at least one container source", "a", "b");
        await fails("invalid output path", `${id}:/etc/passwd`, join(host, "none/x"));
        await cli.ok("cp", join(host, "tree/file"), `${id}:/rw`);
      });
    });
  }

  test("-a gives everything to the container's user", async () => {
    const id = await cli.ok("create", "-u", "1234:1235", "busybox");
    for (const [flags, ids] of [
      [["-a"], "1234/1235"],
      [[], "0/0"],
    ] as const) {
      await cli.ok("cp", ...flags, join(host, "tree/file"), `${id}:/tmp`);
      const archive = fresh();
      await cli.ok("export", "-o", join(archive, "tar"), id);
      const listing = await $`tar tvf ${join(archive, "tar")} --numeric-owner tmp/file`.text();
      expect(listing).toContain(` ${ids} `);
    }
  });

  if (client === "gantry") {
    test("from one container into another", async () => {
      const [one, two] = [await cli.ok("create", "busybox"), await cli.ok("create", "busybox")];
      await cli.ok("cp", join(host, "tree"), `${one}:/tmp`);
      await cli.ok("cp", `${one}:/tmp/tree`, `${two}:/tmp/renamed`);
      await cli.ok("cp", `${one}:/tmp/tree/file`, `${two}:/tmp`);
      const out = fresh();
      await cli.ok("cp", `${two}:/tmp/.`, out);
      expect(readFileSync(join(out, "renamed/sub/deep"), "utf8")).toBe("deep\n");
      expect(existsSync(join(out, "file"))).toBe(true);
    });
  }

  test("diff tells what the container changed, and nothing that is mounted in every one", async () => {
    const script = "touch /new; rm /etc/group; echo x >> /etc/passwd";
    await cli.ok("run", "--name", "changed", "busybox", "sh", "-c", script);
    expect(await cli.ok("diff", "changed")).toBe("C /etc\nD /etc/group\nC /etc/passwd\nA /new");
    await cli.ok("create", "--name", "untouched", "busybox");
    expect(await cli.ok("diff", "untouched")).toBe("");
    expect((await cli("diff", "none")).stderr).toContain("No such container: none");
  });

  test("export has the container's own files, without volumes", async () => {
    await cli.ok(
      "run",
      "--name",
      "exported",
      "-v",
      "data:/data",
      "busybox",
      "sh",
      "-c",
      "touch /new /data/not",
    );
    const file = join(fresh(), "tar");
    await cli.ok("export", "-o", file, "exported");
    const names = (await $`tar tf ${file}`.text()).split("\n");
    for (const name of ["new", "bin/busybox", "data/", ".dockerenv"]) expect(names).toContain(name);
    expect(names).not.toContain("data/not");
  });
});

describe("the archive operations", () => {
  test("stat, compression and events are Docker's", async () => {
    const { engine } = suite;
    const { Id } = await engine.call("POST", "/containers/create", { Image: "busybox" });
    const head = await engine.request("HEAD", `/containers/${Id}/archive?path=/etc/passwd`);
    const stat = JSON.parse(
      Buffer.from(String(head.headers["x-docker-container-path-stat"]), "base64").toString(),
    );
    expect(stat).toMatchObject({ name: "passwd", mode: 0o644, linkTarget: "" });
    const get = (encoding: string) =>
      engine.request("GET", `/containers/${Id}/archive?path=/etc`, {
        headers: { "Accept-Encoding": encoding },
      });
    expect((await get("identity")).headers["content-encoding"]).toBeUndefined();
    for (const encoding of ["gzip", "deflate"]) {
      expect((await get(encoding)).headers["content-encoding"]).toBe(encoding);
    }
    expect((await engine.request("GET", `/containers/${Id}/archive`)).status).toBe(400);
    expect((await engine.request("HEAD", `/containers/${Id}/archive?path=/none`)).status).toBe(404);
  });

  test("a client that goes away in the middle leaves nothing behind", async () => {
    const { engine } = suite;
    const { Id } = await engine.call("POST", "/containers/create", {
      Image: "busybox",
      HostConfig: { Binds: ["gone:/data"] },
    });
    for (let round = 0; round < 3; round++) {
      const client = Bun.spawn(
        [
          "curl",
          "-s",
          "--limit-rate",
          "10k",
          "--unix-socket",
          engine.socket,
          `http://e/containers/${Id}/archive?path=/bin`,
        ],
        { stdout: "pipe" },
      );
      for await (const _ of client.stdout) break;
      client.kill("SIGKILL");
      await client.exited;
    }
    // The root goes only when nobody has it mounted.
    await engine.call("DELETE", `/containers/${Id}?v=1`);
    await engine.call("DELETE", "/volumes/gone");
  });
});
