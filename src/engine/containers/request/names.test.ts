import { expect, test } from "bun:test";
import { parseContainerName, randomContainerName } from "./names.ts";
import { parseSignal } from "./signals.ts";

test("a name may have a slash in front, and nothing that is special to a path or a shell", () => {
  expect(parseContainerName("/web-1.a_b")).toBe("web-1.a_b");
  for (const name of ["a", "-a", "a b", "a/b", "ä1", ""]) {
    expect(() => parseContainerName(name)).toThrow("only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed");
  }
});

test("random names are legal, and a digit follows when all were taken", () => {
  expect(parseContainerName(randomContainerName(() => false))).toMatch(/^[a-z]+_[a-z]+$/);
  expect(randomContainerName((name) => !/\d/.test(name))).toMatch(/^[a-z]+_[a-z]+\d+$/);
});

test("signals are known by name, short name and number", () => {
  expect(["SIGTERM", "term", "15", "KILL", "RTMIN+3", "SIGRTMAX-1"].map(parseSignal)).toEqual([
    15, 15, 15, 9, 37, 63,
  ]);
  for (const text of ["", "0", "65", "SIGFOO", "-9", "RTMAX+1"]) {
    expect(() => parseSignal(text)).toThrow(`invalid signal: ${text}`);
  }
});
