import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { BuildImages } from "../../core/build-images.ts";
import type { Digest } from "../../core/ids.ts";
import type { Snapshotter } from "../../core/snapshots.ts";
import { openSqliteStateStore } from "../../drivers/state-sqlite/store.ts";
import type { PruneCacheRequest } from "../build.ts";
import { BuildCache } from "./store.ts";
import { CacheUpkeep } from "./upkeep.ts";

let root: string;
let undo: DisposableStack;
let cache: BuildCache;
let upkeep: CacheUpkeep;
let collected: Digest[];
let published: string[];
/** Layers that images have. */
let inImages: Set<string>;

const { signal } = new AbortController();
const digest = (name: string) => `sha256:${name}` as Digest;
const layer = (name: string) => ({ diffId: digest(name), chainId: digest(name), size: 0 });

/** A result of these layers. */
const add = (name: string, ...layers: string[]) =>
  cache.add({ key: name, outputs: [layers.map(layer)], description: name, type: "regular" }, [name]);

beforeEach(() => {
  root = mkdtempSync("/tmp/upkeep-test-");
  undo = new DisposableStack();
  [collected, published, inImages] = [[], [], new Set()];
  const state = undo.use(openSqliteStateStore(join(root, "gantry.db")));
  const snapshots = {
    layerUsage: async () => ({ size: 100, allocated: 100, inodes: 1 }),
  } as Partial<Snapshotter>;
  cache = new BuildCache({ state, snapshots: snapshots as Snapshotter });
  const images: Partial<BuildImages> = {
    hasLayer: (chainId) => inImages.has(chainId),
    collectLayers: async (chainIds) => void collected.push(...chainIds),
  };
  upkeep = new CacheUpkeep({
    ...{ cache, kept: [], images: images as BuildImages, snapshots: snapshots as Snapshotter },
    events: { publish: ({ action, actor }) => published.push(`${action} ${actor.attributes.reclaimed}`) },
    directory: root,
  });
});

afterEach(() => {
  cache.flush();
  undo.dispose();
  rmSync(root, { recursive: true, force: true });
});

/** @returns what went, with the bytes that it gave */
async function prune(request: Partial<PruneCacheRequest> = {}): Promise<string[]> {
  const gone: string[] = [];
  const limits = { keepDuration: 0, reservedSpace: 0, maxUsedSpace: 0, minFreeSpace: 0 };
  await upkeep.prune({ filters: [], all: false, ...limits, signal, ...request }, async (record) => {
    gone.push(`${record.description} ${record.size}`);
  });
  return gone;
}

test("a result is below those that are built on it, and equal layers count once", async () => {
  const base = add("base", "a");
  add("step", "a", "b");
  add("same", "a", "b");
  const records = await upkeep.records(signal);
  expect(records.map(({ size }) => size)).toEqual([100, 100, 0]);
  expect(records.map(({ parents }) => parents)).toEqual([[], [base.id], [base.id]]);
});

test("what a build stands on stays until the build is over", async () => {
  add("step", "a");
  const held = cache.hold([[layer("a")]]);
  expect((await upkeep.records(signal)).map(({ inUse }) => inUse)).toEqual([true]);
  expect(await prune({ all: true })).toEqual([]);
  held[Symbol.dispose]();
  expect(await prune({ all: true })).toEqual(["step 100"]);
  expect(collected).toEqual([digest("a")]);
});

test("what an image has goes with `all` only, and gives no room", async () => {
  add("shared", "a");
  add("own", "b");
  inImages.add(digest("a"));
  expect(await prune()).toEqual(["own 100"]);
  expect(await prune({ all: true })).toEqual(["shared 0"]);
  expect(collected).toEqual([digest("b")]);
  expect(published).toEqual(["prune 100", "prune 0"]);
});

test("a layer that another result has gives its room with the last of them", async () => {
  add("one", "a");
  add("two", "a");
  expect((await prune()).map((text) => text.split(" ")[1])).toEqual(["0", "100"]);
});

test("a limit stops before the cache is smaller", async () => {
  for (const name of ["a", "b", "c"]) add(name, name);
  expect(await prune({ reservedSpace: 200 })).toHaveLength(1);
  expect(await prune({ reservedSpace: 200 })).toEqual([]);
  expect(await prune({ maxUsedSpace: 150 })).toHaveLength(1);
  expect(await prune({ keepDuration: 3600e9 })).toEqual([]);
});
