import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { KeptDirectories } from "./kept.ts";

let base: string;
const { signal } = new AbortController();
const opened = () => {
  const workDirectory = join(base, "work");
  mkdirSync(workDirectory, { recursive: true });
  return new KeptDirectories({ directory: join(base, "kept"), workDirectory, type: "exec.cachemount" });
};

beforeEach(() => {
  base = mkdtempSync("/tmp/kept-test-");
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

test("a directory is listed with what it is, its size and its uses, also after a restart", async () => {
  const first = opened();
  const path = first.open("one", "cached mount /x");
  writeFileSync(join(path, "data"), Buffer.alloc(100_000, 1));
  first.open("one", "cached mount /x");
  const [record, ...more] = await opened().records(signal);
  expect(more).toEqual([]);
  expect(record).toMatchObject({ id: "one", description: "cached mount /x", usageCount: 2, mutable: true });
  expect(record?.size).toBeGreaterThan(99_999);
  expect(Number(record?.lastUsedAt)).toBeGreaterThanOrEqual(Number(record?.createdAt));
});

test("one that is in use stays until nobody uses it", async () => {
  const kept = opened();
  const [one, two] = [kept.use("one"), kept.use("one")];
  kept.open("one", "");
  one[Symbol.dispose]();
  expect(await kept.remove("one")).toBe(false);
  expect((await kept.records(signal))[0]?.inUse).toBe(true);
  two[Symbol.dispose]();
  expect(await kept.remove("one")).toBe(true);
  expect(await kept.remove("one")).toBe(false);
  expect([readdirSync(join(base, "kept")), readdirSync(join(base, "work"))]).toEqual([[], []]);
});

test("one of an earlier version, or with spoiled facts, is listed all the same", async () => {
  const kept = opened();
  mkdirSync(join(base, "kept", "old"));
  writeFileSync(join(kept.open("spoiled", ""), "facts.json"), "{");
  const records = await kept.records(signal);
  expect(records.map(({ id }) => id).sort()).toEqual(["old", "spoiled"]);
});
