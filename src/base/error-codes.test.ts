import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { LinuxError } from "../linux/libc.ts";
import { codeOf, hasCode } from "./error-codes.ts";

function thrownBy(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  throw new Error("did not throw");
}

test("the platform's errors have their codes, and whatever else is thrown has none", () => {
  const missing = thrownBy(() => readFileSync("/nowhere/at/all"));
  expect(codeOf(missing)).toBe("ENOENT");
  expect(hasCode(missing, "ENOTDIR", "ENOENT")).toBe(true);
  expect(hasCode(missing, "ENOTDIR")).toBe(false);
  for (const other of [new Error("ENOENT"), "ENOENT", null, undefined, { code: "ENOENT" }]) {
    expect(codeOf(other)).toBeUndefined();
    expect(hasCode(other, "ENOENT")).toBe(false);
  }
});

test("errors of system calls have them too", () => {
  expect(hasCode(new LinuxError("umount2", 16), "EBUSY")).toBe(true);
});
