import { expect, test } from "bun:test";
import { compareNaturally } from "./natural-order.ts";

test("names are sorted by their bytes, runs of digits by their number", () => {
  const names = ["a10", "a2", "B", "a", "_x", "ab", "a02", "1", "a-b"];
  expect(names.sort(compareNaturally)).toEqual(["1", "B", "_x", "a", "a2", "a02", "a10", "a-b", "ab"]);
});
