import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";

const repository = resolve(import.meta.dir, "../..");
const page = readFileSync(resolve(repository, "docs/invariants.md"), "utf8");

test("every rule has its line", () => {
  const ids = [...page.matchAll(/^\| (S\d\d) \|/gm)].map(([, id]) => id);
  expect(ids).toEqual(Array.from({ length: 50 }, (_none, index) => `S${String(index + 1).padStart(2, "0")}`));
});

test("docs/invariants.md leads to tests that are there", () => {
  const named = [...page.matchAll(/“([^”]+)” \(`([^`]+)`\)/g)];
  expect(named.length).toBeGreaterThan(100);
  const gone = named.filter(([, words = "", file = ""]) => {
    const path = resolve(repository, file);
    return !existsSync(path) || !readFileSync(path, "utf8").includes(words);
  });
  expect(gone.map(([line]) => line)).toEqual([]);
});
