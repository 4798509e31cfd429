import { expect, test } from "bun:test";
import { QueryString } from "../query.ts";
import { toCacheItem, toPruneRequest } from "./build-cache.ts";

const { signal } = new AbortController();
const asked = (query: string, minor = 51) =>
  toPruneRequest(
    { query: new QueryString(query), atLeast: ([, other]) => minor >= other, signal },
    1_000_000_000_000,
  );
const filters = (value: object) => `filters=${encodeURIComponent(JSON.stringify(value))}`;

test("limits are read as the API version has them", () => {
  expect(asked("all=1&keep-storage=5")).toMatchObject({ all: true, reservedSpace: 5, filters: [] });
  expect(asked("reserved-space=1&keep-storage=5&max-used-space=2&min-free-space=3")).toMatchObject({
    ...{ all: false, reservedSpace: 1, maxUsedSpace: 2, minFreeSpace: 3 },
  });
  expect(asked("keep-storage=5&max-used-space=2", 47)).toMatchObject({ reservedSpace: 5, maxUsedSpace: 0 });
  expect(() => asked("keep-storage=5m")).toThrow("keep-storage is in bytes and expects an integer, got 5m");
});

test("filters are told in the builder's words, and `until` as a time without use", () => {
  expect(asked(filters({ id: ["ab"], type: ["regular"] }))?.filters).toEqual(["id~=ab,type==regular"]);
  expect(asked(filters({ until: ["24h"] }))?.keepDuration).toBe(24 * 3600 * 1e9);
  expect(asked(filters({ "unused-for": { "1s": true } }))?.keepDuration).toBe(1e9);
  expect(() => asked(filters({ until: ["1h"], "unused-for": ["1h"] }))).toThrow("conflicting filters");
  expect(() => asked(filters({ type: ["a", "b"] }))).toThrow("expect only one value");
  expect(() => asked(filters({ mutable: ["true"] }))).toThrow("invalid filter 'mutable'");
});

test("records have no labels: who asks for one gets nothing removed, who asks for its absence all", () => {
  expect(asked(filters({ label: ["a"] }))).toBeUndefined();
  expect(asked(filters({ "label!": ["a"] }))).toMatchObject({ filters: [] });
});

test("a record is shown in the API's words", () => {
  const record = {
    ...{ id: "a", parents: ["b"], mutable: false, inUse: false, shared: true, size: 3, usageCount: 0 },
    ...{ createdAt: 1_700_000_000_000_000_000n, lastUsedAt: undefined, description: "d" },
    type: "regular" as const,
  };
  expect(toCacheItem(record)).toEqual({
    ...{ ID: "a", Parents: ["b"], Type: "regular", Description: "d", InUse: false, Shared: true, Size: 3 },
    ...{ CreatedAt: "2023-11-14T22:13:20Z", LastUsedAt: null, UsageCount: 0 },
  });
});
