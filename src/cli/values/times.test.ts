import { expect, test } from "bun:test";
import { toEngineTime } from "./times.ts";

const now = 1_795_621_180_999;

test.each([
  ["", ""],
  ["0", "0"],
  ["0s", "1795621180"],
  ["90s", "1795621090"],
  ["1500ms", "1795621179"],
  ["-10s", "1795621190"],
  ["1795621180.5", "1795621180.5"],
  ["2026-11-25T15:39:40.25Z", "1795621180.250000000"],
])("%p is %p for the engine", (text, expected) => {
  expect(toEngineTime(text, now)).toBe(expected);
});
