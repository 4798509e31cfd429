/** A data root without space: what needs some fails and says so, everything else works, and it is over once there is space. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { closeSync, mkdirSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { $ } from "bun";
import { ensureImageStorage } from "../fixtures/images.ts";
import { type Cli, cliOf, eventually } from "../support/cli.ts";
import { oracle, type Reply, TestEngine } from "../support/engine.ts";
import { startRegistry, type TestRegistry } from "../support/registry.ts";

/** Fills its volume when it is told to, and tells what came of it. */
const WRITER = `echo hello
until [ -e /data/go ]; do sleep 0.1; done
said=$(dd if=/dev/zero of=/data/file bs=1M count=200 2>&1)
rm /data/file
echo "$said"
sleep 600`;

describe.skipIf(oracle)("on a full disk", () => {
  let registry: TestRegistry;
  let engine: TestEngine;
  let docker: Cli;
  let filling: string;

  beforeAll(async () => {
    registry = await startRegistry({ storage: await ensureImageStorage() });
    engine = new TestEngine({});
    docker = cliOf("docker", engine);
    filling = join(engine.dataRoot, "filling");
    const disk = join(engine.directory, "disk");
    mkdirSync(engine.dataRoot);
    await $`truncate -s 96M ${disk} && mkfs.ext4 -q -m 0 ${disk} && mount -o loop ${disk} ${engine.dataRoot}`;
    await engine.start();
    await engine.provide(registry.host, "busybox");
    await docker("run", "-d", "--name", "runs", "-v", "data:/data", "busybox", "sh", "-c", WRITER);
    for (const name of ["first", "second", "third"])
      await docker.ok("create", "--name", name, "busybox", "true");
    for (const name of ["spare", "other"]) await docker.ok("volume", "create", name);
    fill(filling);
  }, 120_000);

  afterAll(async () => {
    await registry[Symbol.asyncDispose]();
    await engine.clear();
    await engine.stop();
    await $`umount -l ${engine.dataRoot}`;
    await engine[Symbol.asyncDispose]();
  }, 120_000);

  const expectNoSpace = ({ status, text }: Reply) => {
    expect([status, text]).toEqual([500, expect.stringMatching(/no space left on device/)]);
  };

  test("pulling fails and says why", async () => {
    await expect(engine.pull(`${registry.host}/configured:latest`)).rejects.toThrow(
      "no space left on device",
    );
  });

  test("making a container or a volume fails and says why, and leaves nothing that is listed", async () => {
    const before = await docker.ok("ps", "-aq");
    expectNoSpace(
      await failing(() => engine.request("POST", "/containers/create", { body: { Image: "busybox" } })),
    );
    expectNoSpace(await failing(() => engine.request("POST", "/volumes/create", { body: {} })));
    expect((await docker.ok("volume", "ls", "-q")).split("\n").sort()).toEqual(["data", "other", "spare"]);
    expect(await docker.ok("ps", "-aq")).toBe(before);
  });

  test("what runs goes on, and learns of it by its own writes", async () => {
    writeFileSync(join(engine.dataRoot, "volumes/data/_data/go"), "");
    await eventually(async () => (await docker.ok("logs", "runs")).includes("No space left on device"));
    expect(await docker.ok("inspect", "-f", "{{.State.Status}}", "runs")).toBe("running");
  });

  test("everything can be looked at", async () => {
    expect(await docker.ok("ps", "-a", "--format", "{{.Names}}")).toBe("third\nsecond\nfirst\nruns");
    expect(await docker.ok("inspect", "-f", "{{.State.Status}}", "runs")).toBe("running");
    expect(await docker.ok("logs", "runs")).toStartWith("hello\n");
    expect(await docker.ok("images", "-q")).not.toBe("");
    await docker.ok("system", "df");
  });

  test("things can be removed while somebody takes every block that becomes free, also after a restart", async () => {
    const filler = Bun.spawn([
      "sh",
      "-c",
      'while :; do cat /dev/zero >> "$0" 2>&-; sleep 0.02; done',
      filling,
    ]);
    try {
      await docker.ok("rm", "first");
      await docker.ok("volume", "rm", "spare");
      await engine.kill();
      await engine.start();
      expect(await docker.ok("stop", "-t", "1", "runs")).toBe("runs");
      expect(await docker.ok("inspect", "-f", "{{.State.Status}}", "runs")).toBe("exited");
      expect(await docker.ok("container", "prune", "-f")).toContain("Deleted Containers");
      expect(await docker.ok("ps", "-aq")).toBe("");
      await engine.restart();
      await docker.ok("volume", "rm", "other");
      await docker.ok("image", "prune", "-f");
      await docker.ok("rmi", "-f", "busybox");
      expect(await docker.ok("volume", "ls", "-q")).toBe("data");
    } finally {
      filler.kill("SIGKILL");
      await filler.exited;
    }
  });

  test("once there is space everything works, without a restart", async () => {
    rmSync(filling);
    await engine.provide(registry.host, "busybox");
    expect(
      await docker.ok(
        "run",
        "--rm",
        "-v",
        "new:/data",
        "busybox",
        "sh",
        "-c",
        "echo x > /data/x; cat /data/x",
      ),
    ).toBe("x");
    await engine.pull(`${registry.host}/configured:latest`);
  });
});

/** Adds to the file until not a byte more fits on its file system. */
function fill(path: string): void {
  const file = openSync(path, "a");
  try {
    for (let size = 1 << 20; size > 0; size >>= 1) {
      const bytes = Buffer.alloc(size, 1);
      try {
        while (writeSync(file, bytes) === size);
      } catch (error) {
        if (!(error instanceof Error && "code" in error && error.code === "ENOSPC")) throw error;
      }
    }
  } finally {
    closeSync(file);
  }
}

/** Small files may find room that is left within blocks: the first request that does not. */
async function failing(request: () => Promise<Reply>): Promise<Reply> {
  for (let attempt = 0; attempt < 50; attempt++) {
    const reply = await request();
    if (reply.status >= 400) return reply;
  }
  throw new Error("there is space after all");
}
