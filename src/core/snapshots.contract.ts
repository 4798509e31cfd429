/** What every snapshotter must do, whatever the driver. Needs root: the mounts are real. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  closeSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { digestOf } from "./digests.ts";
import { ConflictError, NotFoundError } from "./errors.ts";
import type { Digest } from "./ids.ts";
import type { Snapshotter } from "./snapshots.ts";

export interface SnapshotterUnderTest extends AsyncDisposable {
  readonly snapshots: Snapshotter;
  /** A second instance on the same directories, as after a crash. */
  restart(): Promise<Snapshotter>;
}

/** @param make a snapshotter on directories of its own */
export function snapshotterContract(make: () => Promise<SnapshotterUnderTest>): void {
  let subject: SnapshotterUnderTest;
  let snapshots: Snapshotter;
  const { signal } = new AbortController();

  beforeEach(async () => {
    subject = await make();
    snapshots = subject.snapshots;
  });
  afterEach(async () => {
    await subject[Symbol.asyncDispose]();
  });

  /** Commits a stack of layers, each with one file named after it; chain ids, lowest first. */
  async function commitLayers(...names: string[]): Promise<Digest[]> {
    const layers: Digest[] = [];
    for (const name of names) {
      const chainId = digestOf(`${layers.at(-1)} ${name}`);
      await using staging = await snapshots.stageLayer(chainId, layers.at(-1));
      writeFileSync(join(staging.path, name), name);
      await staging.commit();
      layers.push(chainId);
    }
    return layers;
  }

  describe("layers", () => {
    test("a layer is there after commit and not before", async () => {
      const chainId = digestOf("one");
      await using staging = await snapshots.stageLayer(chainId, undefined);
      expect(await snapshots.has(chainId)).toBe(false);
      await staging.commit();
      expect(await snapshots.has(chainId)).toBe(true);
    });

    test("a staging that is disposed without commit leaves nothing", async () => {
      const chainId = digestOf("one");
      let path: string;
      {
        await using staging = await snapshots.stageLayer(chainId, undefined);
        path = staging.path;
        writeFileSync(join(path, "half"), "made");
      }
      expect(await snapshots.has(chainId)).toBe(false);
      expect(existsSync(path)).toBe(false);
    });

    test("of two callers that commit the same layer, both succeed and one tree stays", async () => {
      const chainId = digestOf("one");
      await using a = await snapshots.stageLayer(chainId, undefined);
      await using b = await snapshots.stageLayer(chainId, undefined);
      writeFileSync(join(a.path, "file"), "content");
      writeFileSync(join(b.path, "file"), "content");
      await Promise.all([a.commit(), b.commit()]);
      expect(await snapshots.has(chainId)).toBe(true);
    });

    test("a layer may be committed before its parent", async () => {
      const parent = digestOf("parent");
      const child = digestOf("child");
      await using above = await snapshots.stageLayer(child, parent);
      writeFileSync(join(above.path, "above"), "");
      await above.commit();
      await using below = await snapshots.stageLayer(parent, undefined);
      writeFileSync(join(below.path, "below"), "");
      await below.commit();
      await snapshots.prepare("key", [parent, child]);
      await using root = await snapshots.mount("key");
      expect(readdirSync(root.path).sort()).toEqual(["above", "below"]);
    });

    test("its usage counts bytes of files, a hard link once", async () => {
      const [layer] = await commitLayers("twelve-bytes");
      expect(await snapshots.layerUsage(layer as Digest, signal)).toMatchObject({ size: 12, inodes: 1 });
      await expect(snapshots.layerUsage(digestOf("none"), signal)).rejects.toBeInstanceOf(NotFoundError);
    });

    test("a layer's name is free at once, however long deleting it takes", async () => {
      const [layer] = await commitLayers("a");
      const deleting = snapshots.removeLayer(layer as Digest);
      expect(await snapshots.has(layer as Digest)).toBe(false);
      await commitLayers("a");
      await deleting;
      expect(await snapshots.has(layer as Digest)).toBe(true);
    });

    test("a removed layer is gone; removing it again is fine", async () => {
      const [layer] = await commitLayers("a");
      await snapshots.removeLayer(layer as Digest);
      await snapshots.removeLayer(layer as Digest);
      expect(await snapshots.has(layer as Digest)).toBe(false);
    });
  });

  describe("a container's root", () => {
    test("shows all layers and keeps what is written, across unmounting", async () => {
      await snapshots.prepare("key", await commitLayers("a", "b", "c"));
      {
        await using root = await snapshots.mount("key");
        expect(readdirSync(root.path).sort()).toEqual(["a", "b", "c"]);
        writeFileSync(join(root.path, "mine"), "12345");
      }
      await using again = await snapshots.mount("key");
      expect(readFileSync(join(again.path, "mine"), "utf8")).toBe("12345");
      expect((await snapshots.usage("key", signal)).size).toBe(5);
    });

    test("is measured without following links, a hard link once, and not any more when nobody asks", async () => {
      await snapshots.prepare("key", []);
      await using root = await snapshots.mount("key");
      mkdirSync(join(root.path, "directory"));
      writeFileSync(join(root.path, "directory", "file"), "12345");
      linkSync(join(root.path, "directory", "file"), join(root.path, "again"));
      symlinkSync("/etc", join(root.path, "elsewhere"));
      expect(await snapshots.usage("key", signal)).toMatchObject({ size: 5 + 4, inodes: 3 });
      await expect(snapshots.usage("key", AbortSignal.abort(new Error("gone")))).rejects.toThrow("gone");
    });

    test("of two containers is their own, layers stay untouched", async () => {
      const layers = await commitLayers("shared");
      await snapshots.prepare("one", layers);
      await snapshots.prepare("two", layers);
      await using one = await snapshots.mount("one");
      await using two = await snapshots.mount("two");
      writeFileSync(join(one.path, "shared"), "changed");
      expect(readFileSync(join(two.path, "shared"), "utf8")).toBe("shared");
    });

    test("without any layer is empty and writable", async () => {
      await snapshots.prepare("scratch", []);
      await using root = await snapshots.mount("scratch");
      expect(readdirSync(root.path)).toEqual([]);
      mkdirSync(join(root.path, "dir"));
    });

    test("has the mode and owner that the highest layer gives its root", async () => {
      const chainId = digestOf("mode");
      await using staging = await snapshots.stageLayer(chainId, undefined);
      chmodSync(staging.path, 0o1777);
      await staging.commit();
      await snapshots.prepare("key", [chainId]);
      await using root = await snapshots.mount("key");
      expect(statSync(root.path).mode & 0o7777).toBe(0o1777);
    });

    test("is mounted once for several holders, and unmounted with the last", async () => {
      await snapshots.prepare("key", await commitLayers("a"));
      const first = await snapshots.mount("key");
      const second = await snapshots.mount("key");
      expect(second.path).toBe(first.path);
      await first[Symbol.asyncDispose]();
      await first[Symbol.asyncDispose]();
      expect(existsSync(join(second.path, "a"))).toBe(true);
      await second[Symbol.asyncDispose]();
      expect(existsSync(join(second.path, "a"))).toBe(false);
    });

    test("is found mounted again after a restart of the engine", async () => {
      await snapshots.prepare("key", await commitLayers("a"));
      const before = await snapshots.mount("key");
      const after = await subject.restart();
      await using adopted = await after.mount("key");
      expect(adopted.path).toBe(before.path);
      expect(readdirSync(adopted.path)).toEqual(["a"]);
    });

    test("works over 127 layers", async () => {
      const names = Array.from({ length: 127 }, (_, index) => `layer${index}`);
      const layers: Digest[] = [];
      for (const name of names) {
        const chainId = digestOf(name);
        await using staging = await snapshots.stageLayer(chainId, layers.at(-1));
        writeFileSync(join(staging.path, name), "");
        layers.push(chainId);
        await staging.commit();
      }
      await snapshots.prepare("deep", layers);
      await using root = await snapshots.mount("deep");
      expect(readdirSync(root.path)).toHaveLength(127);
    }, 60_000);

    test("can be prepared once, and only over layers that are there", async () => {
      const layers = await commitLayers("a");
      await snapshots.prepare("key", layers);
      await expect(snapshots.prepare("key", layers)).rejects.toBeInstanceOf(ConflictError);
      await expect(snapshots.prepare("other", [digestOf("none")])).rejects.toBeInstanceOf(NotFoundError);
      await expect(snapshots.mount("other")).rejects.toBeInstanceOf(NotFoundError);
    });

    test("is gone after remove, also while it is mounted and a file is open; removing again is fine", async () => {
      await snapshots.prepare("key", await commitLayers("a"));
      const root = await snapshots.mount("key");
      const file = openSync(join(root.path, "a"), "r");
      await snapshots.remove("key");
      await snapshots.remove("key");
      await root[Symbol.asyncDispose]();
      closeSync(file);
      expect(existsSync(root.path)).toBe(false);
      await expect(snapshots.mount("key")).rejects.toBeInstanceOf(NotFoundError);
    });

    test("is described by the directories behind it", async () => {
      const layers = await commitLayers("low", "high");
      await snapshots.prepare("key", layers);
      const described = snapshots.describe("key", layers);
      await using root = await snapshots.mount("key");
      expect(described.MergedDir).toBe(root.path);
      const [high = "", low = ""] = described.LowerDir.split(":");
      expect([existsSync(join(high, "high")), existsSync(join(low, "low"))]).toEqual([true, true]);
      expect(lstatSync(described.UpperDir).isDirectory()).toBe(true);
      expect(lstatSync(described.WorkDir).isDirectory()).toBe(true);
    });
  });

  test("boot removes what no one owns and keeps the rest as it is", async () => {
    const layers = await commitLayers("kept");
    await using orphan = await snapshots.stageLayer(digestOf("orphan"), undefined);
    await orphan.commit();
    await using half = await snapshots.stageLayer(digestOf("half"), undefined);
    await snapshots.prepare("running", layers);
    await snapshots.prepare("stopped", layers);
    await snapshots.prepare("forgotten", layers);
    const mounts = await Promise.all(["running", "stopped", "forgotten"].map((key) => snapshots.mount(key)));
    const [running = "", stopped = "", forgotten = ""] = mounts.map((root) => root.path);

    const after = await subject.restart();
    await after.reconcile({
      keys: new Set(["running", "stopped"]),
      mounted: new Set(["running"]),
      layers: new Set(layers),
    });

    expect(readdirSync(running)).toEqual(["kept"]);
    expect([existsSync(stopped), existsSync(forgotten), existsSync(half.path)]).toEqual([
      false,
      false,
      false,
    ]);
    expect(await after.has(digestOf("orphan"))).toBe(false);
    expect(await after.has(layers[0] as Digest)).toBe(true);
    await using root = await after.mount("stopped");
    expect(readdirSync(root.path)).toEqual(["kept"]);
    await after.remove("running");
  });
}
