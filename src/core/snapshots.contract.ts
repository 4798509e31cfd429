/** What every snapshotter must do, whatever the driver. Needs root: the mounts are real. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { chainIdOf, digestOf } from "./digests.ts";
import { ConflictError, NotFoundError } from "./errors.ts";
import type { Digest } from "./ids.ts";
import type { LayerCompression, MountedRoot, Snapshotter } from "./snapshots.ts";

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
    test("has places for what is mounted in every container, that are none of its changes", async () => {
      const chainId = digestOf("an image with links");
      const staging = await snapshots.stageLayer(chainId, undefined);
      mkdirSync(join(staging.path, "etc"), { mode: 0o750 });
      chownSync(join(staging.path, "etc"), 7, 8);
      for (const [name, target] of [
        ["etc/hosts", "nowhere"],
        ["etc/hostname", "../../../etc/hostname"],
        ["etc/resolv.conf", "/run/resolv.conf"],
        ["proc", "/etc"],
      ] as const) {
        symlinkSync(target, join(staging.path, name));
      }
      await staging.commit();
      await staging[Symbol.asyncDispose]();
      for (const key of ["first", "second"]) {
        await snapshots.prepare(key, [chainId], { mountPoints: true });
        await using root = await snapshots.mount(key);
        for (const name of ["hosts", "hostname", "resolv.conf"]) {
          const found = lstatSync(join(root.path, "etc", name));
          expect([name, found.isFile(), found.size]).toEqual([name, true, 0]);
        }
        expect(lstatSync(join(root.path, "proc")).isDirectory()).toBe(true);
        expect(readlinkSync(join(root.path, "etc/mtab"))).toBe("/proc/mounts");
        const etc = lstatSync(join(root.path, "etc"));
        expect([etc.uid, etc.gid, etc.mode & 0o7777]).toEqual([7, 8, 0o750]);
        expect(await snapshots.changes(key, signal)).toEqual([]);
      }
      await snapshots.prepare("plain", [chainId]);
      await using plain = await snapshots.mount("plain");
      expect(lstatSync(join(plain.path, "etc/hosts")).isSymbolicLink()).toBe(true);
      await snapshots.prepare("scratch", [], { mountPoints: true });
      await using scratch = await snapshots.mount("scratch");
      expect(readdirSync(scratch.path).sort()).toEqual([".dockerenv", "dev", "etc", "proc", "sys"]);
    });

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

  describe("what a writable top changed", () => {
    /** Over two layers: `base/` with files, and one on top. */
    async function prepareTop(key: string): Promise<{ layers: Digest[]; path: string; root: MountedRoot }> {
      const below = digestOf("below");
      await using staging = await snapshots.stageLayer(below, undefined);
      for (const name of ["base", "gone", "swapped"]) {
        mkdirSync(join(staging.path, name));
        writeFileSync(join(staging.path, name, "one"), "one");
        writeFileSync(join(staging.path, name, "two"), "two");
      }
      symlinkSync("base", join(staging.path, "link"));
      await staging.commit();
      const layers = [below, ...(await commitLayers("unused")).slice(1)];
      await snapshots.prepare(key, layers);
      const root = await snapshots.mount(key);
      return { layers, path: root.path, root };
    }

    function changeEverything(path: string): void {
      writeFileSync(join(path, "base", "one"), "changed");
      rmSync(join(path, "base", "two"));
      writeFileSync(join(path, "base", "new"), "new");
      rmSync(join(path, "gone"), { recursive: true });
      rmSync(join(path, "swapped"), { recursive: true });
      mkdirSync(join(path, "swapped"));
      writeFileSync(join(path, "swapped", "two"), "other");
      rmSync(join(path, "link"));
      mkdirSync(join(path, "link"));
      mkdirSync(join(path, "fresh", "deep"), { recursive: true });
      writeFileSync(join(path, "fresh", "a"), "linked", { mode: 0o640 });
      linkSync(join(path, "fresh", "a"), join(path, "fresh", "b"));
      chownSync(join(path, "fresh", "a"), 12, 34);
      Bun.spawnSync(["mknod", join(path, "fresh", "device"), "b", "7", "300"]);
      Bun.spawnSync(["mkfifo", join(path, "fresh", "fifo")]);
      for (const name of ["fresh/a", "fresh", "fresh/deep", "base/new"])
        utimesSync(join(path, name), 1e9, 1e9);
    }

    test("is told in order, parents of a change with it", async () => {
      const { path, root } = await prepareTop("key");
      await using _ = root;
      changeEverything(path);
      expect(await changesOf("key")).toEqual([
        "modified /base",
        "added /base/new",
        "modified /base/one",
        "deleted /base/two",
        "added /fresh",
        "added /fresh/a",
        "added /fresh/b",
        "added /fresh/deep",
        "added /fresh/device",
        "added /fresh/fifo",
        "deleted /gone",
        "modified /link",
        "modified /swapped",
        "deleted /swapped/one",
        "modified /swapped/two",
      ]);
    });

    test("is nothing where a file was only touched open, or changed and changed back", async () => {
      const { path, root } = await prepareTop("key");
      await using _ = root;
      closeSync(openSync(join(path, "base", "one"), "a"));
      const { mode } = statSync(join(path, "base", "two"));
      chmodSync(join(path, "base", "two"), 0o600);
      chmodSync(join(path, "base", "two"), mode & 0o7777);
      expect(await changesOf("key")).toEqual([]);
    });

    test("is told also where size and time are as they were", async () => {
      const { path, root } = await prepareTop("key");
      await using _ = root;
      const { atime, mtime } = statSync(join(path, "base", "one"));
      writeFileSync(join(path, "base", "one"), "eno");
      utimesSync(join(path, "base", "one"), atime, mtime);
      expect(await changesOf("key")).toContain("modified /base/one");
    });

    test("is the same over another parent", async () => {
      const { path, root } = await prepareTop("key");
      writeFileSync(join(path, "base", "one"), "changed");
      rmSync(join(path, "base", "two"));
      await root[Symbol.asyncDispose]();
      const layer = await snapshots.commit("key", { keep: false, signal });
      const other = digestOf("other");
      await using staging = await snapshots.stageLayer(other, undefined);
      mkdirSync(join(staging.path, "base"));
      for (const name of ["one", "two", "three"]) writeFileSync(join(staging.path, "base", name), name);
      await staging.commit();
      const chainId = await snapshots.restack(layer, other, { signal });
      expect(chainId).toBe(chainIdOf([other, layer.diffId]));
      expect(await snapshots.restack(layer, other, { signal })).toBe(chainId);
      await snapshots.prepare("over", [other, chainId]);
      await using over = await snapshots.mount("over");
      expect(readdirSync(join(over.path, "base")).sort()).toEqual(["one", "three"]);
      expect(readFileSync(join(over.path, "base", "one"), "utf8")).toBe("changed");
      const missing = { chainId: digestOf("none"), diffId: layer.diffId };
      await expect(snapshots.restack(missing, undefined, { signal })).rejects.toBeInstanceOf(NotFoundError);
    });

    test("of a top that is not there cannot be told", async () => {
      await expect(snapshots.changes("none", signal)).rejects.toBeInstanceOf(NotFoundError);
      await expect(snapshots.commit("none", { keep: true, signal })).rejects.toBeInstanceOf(NotFoundError);
    });

    async function changesOf(key: string): Promise<string[]> {
      return (await snapshots.changes(key, signal)).map(({ kind, path }) => `${kind} ${path}`);
    }

    test.each([true, false])("becomes a layer that looks the same, kept: %p", async (keep) => {
      const { path, root, layers } = await prepareTop("key");
      changeEverything(path);
      const before = treeOf(path);
      if (!keep) await root[Symbol.asyncDispose]();
      let copied = 0;
      const layer = await snapshots.commit("key", { keep, signal, onCopied: async () => void copied++ });
      expect(copied).toBe(keep ? 1 : 0);
      expect(layer.size).toBe("changed".length + "new".length + "other".length + "linked".length);
      expect(layer.chainId).toBe(chainIdOf([...layers, layer.diffId]));
      if (keep) {
        writeFileSync(join(path, "after"), "written later");
        await root[Symbol.asyncDispose]();
      } else await expect(snapshots.mount("key")).rejects.toBeInstanceOf(NotFoundError);
      await snapshots.prepare("again", [...layers, layer.chainId]);
      await using again = await snapshots.mount("again");
      expect(treeOf(again.path)).toEqual(before);
      await snapshots.remove("key");
    });

    test("is the same archive, kept or not, and as the layer of another top", async () => {
      const digests = new Set<string>();
      for (const keep of [true, false]) {
        const { path, root, layers } = await prepareTop(`key-${keep}`);
        changeEverything(path);
        for (const name of [
          "base",
          "base/one",
          "fresh/b",
          "fresh/device",
          "fresh/fifo",
          "link",
          "swapped",
          "swapped/two",
        ])
          utimesSync(join(path, name), 1e9, 1e9);
        await root[Symbol.asyncDispose]();
        const layer = await snapshots.commit(`key-${keep}`, { keep, signal });
        digests.add(layer.diffId);
        for (const compression of ["none", "gzip", "zstd"] as const) {
          const file = join(layers[0] ? path : "", "..", `packed-${keep}`);
          const packed = await snapshots.packLayer(layer.chainId, { file, compression, signal });
          const bytes = readFileSync(file);
          expect(digestOf(bytes)).toBe(packed.digest);
          expect(bytes.byteLength).toBe(packed.size);
          expect(packed.diffId).toBe(layer.diffId);
          digests.add(digestOf(unpacked(bytes, compression)));
          rmSync(file);
        }
        await snapshots.removeLayer(layer.chainId);
        await snapshots.remove(`key-${keep}`);
        await snapshots.removeLayer(layers[0] as Digest);
      }
      expect(digests.size).toBe(1);
    });

    test("is an archive that other programs read", async () => {
      const { path, root } = await prepareTop("key");
      changeEverything(path);
      await root[Symbol.asyncDispose]();
      const layer = await snapshots.commit("key", { keep: false, signal });
      const file = join(path, "..", "packed");
      await snapshots.packLayer(layer.chainId, { file, compression: "gzip", signal });
      const listed = Bun.spawnSync(["tar", "--numeric-owner", "-tvzf", file]).stdout.toString();
      rmSync(file);
      expect(
        listed
          .split("\n")
          .map((line) => line.split(/\s+/).slice(5).join(" "))
          .filter(Boolean),
      ).toEqual([
        "base/",
        "base/new",
        "base/one",
        "base/.wh.two",
        "fresh/",
        "fresh/a",
        "fresh/b link to fresh/a",
        "fresh/deep/",
        "fresh/device",
        "fresh/fifo",
        ".wh.gone",
        "link/",
        "swapped/",
        "swapped/.wh.one",
        "swapped/two",
      ]);
      expect(listed).toMatch(/-rw-r----- 12\/34\s+6 2001-09-09 \S+ fresh\/a/);
      expect(listed).toMatch(/b\S+ 0\/0\s+7,300 /);
    });

    test("is an empty archive where nothing changed", async () => {
      const { root } = await prepareTop("key");
      await root[Symbol.asyncDispose]();
      const { entries, size, diffId } = await snapshots.commit("key", { keep: true, signal });
      expect([entries, size, diffId]).toEqual([0, 0, digestOf(new Uint8Array(1024))]);
    });

    test("is not made into a layer under a mount", async () => {
      const { root } = await prepareTop("key");
      await using _ = root;
      await expect(snapshots.commit("key", { keep: false, signal })).rejects.toBeInstanceOf(ConflictError);
    });

    test("is a layer once, however many make it", async () => {
      for (const key of ["one", "two"]) await snapshots.prepare(key, []);
      const [one, two] = await Promise.all(
        ["one", "two"].map((key) => snapshots.commit(key, { keep: false, signal })),
      );
      expect(one?.chainId).toBe(two?.chainId as Digest);
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

/** Everything that a layer keeps of a tree, by path. */
function treeOf(root: string, path = ""): Record<string, string> {
  const tree: Record<string, string> = {};
  for (const name of readdirSync(join(root, path)).sort()) {
    const inner = join(path, name);
    const stats = lstatSync(join(root, inner));
    const { mode, uid, gid, rdev, nlink } = stats;
    const content = stats.isFile() ? readFileSync(join(root, inner), "utf8") : "";
    const target = stats.isSymbolicLink() ? readlinkSync(join(root, inner)) : "";
    const time = stats.isDirectory() ? 0 : stats.mtimeMs;
    tree[inner] = [
      mode.toString(8),
      uid,
      gid,
      rdev,
      stats.isDirectory() ? 0 : nlink,
      time,
      content,
      target,
    ].join(" ");
    if (stats.isDirectory()) Object.assign(tree, treeOf(root, inner));
  }
  return tree;
}

function unpacked(bytes: Buffer, compression: LayerCompression): Buffer {
  if (compression === "none") return bytes;
  return compression === "gzip" ? gunzipSync(bytes) : zstdDecompressSync(bytes);
}
