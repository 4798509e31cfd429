/**
 * The power fails: nothing that was not flushed is on the disk. The data root is a file system in a file; a copy of
 * that file, taken while the engine runs, is what a disk would have had at this instant.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { $ } from "bun";
import { type CrashEngine, startCrashEngine } from "./engine.ts";
import { mountsBeneath } from "./residue.ts";

setDefaultTimeout(120_000);

const directory = mkdtempSync(join(tmpdir(), "gantry-power-"));
const disk = join(directory, "disk");
let engine: CrashEngine;

beforeAll(async () => {
  await $`truncate -s 512M ${disk} && mkfs.ext4 -q ${disk}`;
  engine = await startCrashEngine({
    beforeStart: (dataRoot) => {
      const mounted = Bun.spawnSync(["mount", "-o", "loop", disk, dataRoot]);
      if (!mounted.success) throw new Error(`mount: ${mounted.stderr}`);
    },
  });
});

afterAll(async () => {
  await engine?.destroy();
  rmSync(directory, { recursive: true, force: true });
});

/** From now on the engine has what a disk had at this instant, and a kernel that knows nothing of it. */
async function failPower(): Promise<void> {
  const rest = join(directory, "rest");
  const unflushed = join(engine.dataRoot, "unflushed");
  writeFileSync(unflushed, "x");
  await $`cp --sparse=always ${disk} ${rest}`;
  await engine.kill();
  for (const target of [...mountsBeneath(engine).reverse(), engine.dataRoot])
    await $`umount -l ${target}`.quiet();
  rmSync(engine.execRoot, { recursive: true, force: true });
  await $`mount -o loop ${rest} ${engine.dataRoot}`;
  // Otherwise nothing failed.
  expect(existsSync(unflushed) && readFileSync(unflushed, "utf8") === "x").toBe(false);
}

async function run(name: string, script: string): Promise<number> {
  const created = await engine.api.call("POST", `/containers/create?name=${name}`, {
    Image: engine.image,
    Cmd: ["sh", "-c", script],
    HostConfig: { Mounts: [{ Type: "volume", Source: "kept", Target: "/kept" }] },
  });
  expect(created).toMatchObject({ status: 201 });
  return await start(name);
}

async function start(name: string): Promise<number> {
  expect(await engine.api.call("POST", `/containers/${name}/start`)).toMatchObject({ status: 204 });
  const waited = await engine.api.call("POST", `/containers/${name}/wait`);
  return (JSON.parse(waited.text) as { StatusCode: number }).StatusCode;
}

test("what was acknowledged is there after the power failed, and works", async () => {
  expect(await engine.api.call("POST", "/volumes/create", { Name: "kept" })).toMatchObject({ status: 201 });
  expect(await run("ended", "exit 7")).toBe(7);
  expect(await engine.api.call("POST", "/networks/create", { Name: "apart" })).toMatchObject({ status: 201 });
  await failPower();
  await engine.start();

  interface Inspected {
    readonly State: { readonly Status: string; readonly ExitCode: number };
  }
  const { State } = await engine.api.get<Inspected>("/containers/ended/json");
  expect([State.Status, State.ExitCode]).toEqual(["exited", 7]);
  for (const path of ["/volumes/kept", "/networks/apart", `/images/${engine.pulledImage}/json`])
    expect(await engine.api.call("GET", path)).toMatchObject({ status: 200 });
  expect(await start("ended")).toBe(7);
  // Every byte of the layers, not their names alone.
  expect(await run("whole", "busybox | sha256sum && ls -lR / >/dev/null && touch /kept/a")).toBe(0);
});
