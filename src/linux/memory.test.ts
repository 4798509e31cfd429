import { expect, test } from "bun:test";
import { proportionalSetSize, releaseCodePages } from "./memory.ts";

test("letting go of the executable's code makes the process smaller, and it runs on", () => {
  const before = proportionalSetSize();
  expect(releaseCodePages()).toBeGreaterThan(1e6);
  expect(proportionalSetSize()).toBeLessThan(before);
  expect(JSON.parse('{"still": ["running"]}')).toEqual({ still: ["running"] });
});
