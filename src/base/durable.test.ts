import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { replaceFile, syncDirectory } from "./durable.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "gantry-durable-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

test("a file is replaced as a whole, for its owner alone, and nothing stays beside it", () => {
  const path = join(directory, "state.json");
  replaceFile(path, "a longer first text");
  replaceFile(path, "second");
  expect(readFileSync(path, "utf8")).toBe("second");
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(readdirSync(directory)).toEqual(["state.json"]);
});

test("a directory can be synchronised; one that is not there is an error", async () => {
  await syncDirectory(directory);
  expect(syncDirectory(join(directory, "gone"))).rejects.toThrow("ENOENT");
});
