import { describe, expect, spyOn, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { digestOf } from "../../core/digests.ts";
import { snapshotterContract } from "../../core/snapshots.contract.ts";
import { mountPoints, unmount } from "../../linux/mounts.ts";
import { OverlaySnapshotter } from "./index.ts";

function makeIn(prefix: string) {
  const root = mkdtempSync(join(tmpdir(), prefix));
  const paths = { dataRoot: join(root, "data"), execRoot: join(root, "exec") };
  return {
    snapshots: OverlaySnapshotter.open(paths),
    restart: async () => OverlaySnapshotter.open(paths),
    [Symbol.asyncDispose]: async () => {
      for (const point of mountPoints().reverse()) {
        if (point.startsWith(`${root}/`)) unmount(point, { lazy: true });
      }
      rmSync(root, { recursive: true });
    },
    paths,
  };
}

describe("snapshots on overlayfs", () => snapshotterContract(async () => makeIn("gantry-overlay-")));

describe("in a directory with the separators of overlayfs in its name", () => {
  test("roots are mounted all the same", async () => {
    await using subject = makeIn("gantry-a:b,c\\-");
    await subject.snapshots.prepare("key", []);
    await using root = await subject.snapshots.mount("key");
    expect(readdirSync(root.path)).toEqual([]);
  });
});

test("a snapshotter that is closed with nothing mounted leaves no mount", async () => {
  await using subject = makeIn("gantry-overlay-");
  await subject.snapshots[Symbol.asyncDispose]();
  expect(mountPoints().filter((point) => point.startsWith(subject.paths.execRoot))).toEqual([]);
});

test("a layer whose name could not be made durable is not there", async () => {
  await using subject = makeIn("gantry-overlay-");
  const chainId = digestOf("layer");
  await using staging = await subject.snapshots.stageLayer(chainId, undefined);
  await using handle = await open("/dev/null");
  {
    using sync = spyOn(Object.getPrototypeOf(handle), "sync");
    sync.mockRejectedValue(new Error("EIO: i/o error, fsync"));
    await expect(staging.commit()).rejects.toThrow("EIO");
  }
  expect(await subject.snapshots.has(chainId)).toBe(false);
});
