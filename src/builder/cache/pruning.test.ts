import { expect, test } from "bun:test";
import type { CacheRecord } from "../build.ts";
import { bytesToKeep, cacheFilter } from "./pruning.ts";

const record: CacheRecord = {
  ...{ id: "abc123", parents: ["p1", "p2"], mutable: false, inUse: false, shared: true, size: 1 },
  ...{ createdAt: 0n, lastUsedAt: undefined, usageCount: 0 },
  ...{ description: "mount / from exec true", type: "regular" },
};
const fits = (...filters: string[]) => cacheFilter(filters)(record);

test("filters go by text and by flag; commas are and, several are or", () => {
  expect([fits(), fits(""), fits("type==regular,shared"), fits("type==internal", "id~=^abc")]).toEqual(
    Array(4).fill(true),
  );
  expect([
    fits("type==internal"),
    fits("private"),
    fits("type==regular,private"),
    fits("id!=abc123"),
  ]).toEqual(Array(4).fill(false));
  expect([
    fits("shared==true"),
    fits("private==false"),
    fits('type=="regular"'),
    fits("parents==p1;p2"),
  ]).toEqual(Array(4).fill(true));
});

test("a filter that is none names itself", () => {
  expect(() => cacheFilter(["size==3"])).toThrow("invalid filter of the build cache 'size==3'");
  expect(() => cacheFilter(["shared==maybe"])).toThrow("it is true or false");
  expect(() => cacheFilter(["id~=("])).toThrow("invalid filter of the build cache 'id~=('");
  expect(() => cacheFilter(["constructor"])).toThrow("invalid filter");
});

test("what may stay follows from what is reserved, used and free", () => {
  const keep = (reservedSpace: number, maxUsedSpace: number, minFreeSpace: number) =>
    bytesToKeep({ reservedSpace, maxUsedSpace, minFreeSpace }, 100, 50);
  expect(keep(0, 0, 0)).toBe(0);
  expect(keep(30, 0, 0)).toBe(30);
  expect(keep(0, 70, 0)).toBe(70);
  expect(keep(80, 70, 0)).toBe(80);
  // Room enough: nothing goes; too little: as much as is missing.
  expect(keep(0, 0, 40)).toBe(100);
  expect(keep(0, 0, 60)).toBe(90);
  expect(keep(0, 70, 60)).toBe(70);
  expect(keep(95, 0, 60)).toBe(95);
  expect(keep(0, 0, 1000)).toBe(0);
});
