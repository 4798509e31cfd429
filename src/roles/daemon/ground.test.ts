import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { takeGround } from "./ground.ts";

let root: string;
const paths = () => ({ dataRoot: join(root, "data"), execRoot: join(root, "exec"), instance: "" });

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "gantry-ground-"));
  mkdirSync(join(root, "data"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** Holds the lock of the data root, as a child of a killed engine does until it is another program. */
async function hold(seconds: number): Promise<Disposable> {
  const script = `echo held; sleep ${seconds}`;
  const holder = Bun.spawn(["flock", join(root, "data/lock"), "sh", "-c", script], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  await holder.stdout.getReader().read();
  return { [Symbol.dispose]: () => holder.kill("SIGKILL") };
}

test("a lock that a killed engine's child still holds for a moment is waited for", async () => {
  using _holder = await hold(0.3);
  using ground = await takeGround(paths());
  expect(ground.paths.dataRoot).toBe(join(root, "data"));
});

test("one that somebody keeps is a conflict", async () => {
  using _ground = await takeGround(paths());
  await expect(takeGround(paths())).rejects.toThrow("is in use by another running gantry daemon");
});
