import { expect, test } from "bun:test";
import type { ProgressFact } from "../progress.ts";
import { checkCacheExports, warnOfCacheImports } from "./caches.ts";
import { BuildProgress } from "./progress-log.ts";

function watched() {
  const facts: ProgressFact[] = [];
  const progress = new BuildProgress((fact) => facts.push(fact));
  const warnings = () => facts.flatMap((fact) => (fact.type === "warning" ? [fact.warning.short] : []));
  return { progress, warnings };
}

test("a cache that is an output is refused by name, an inline one is told not to be written", () => {
  const { progress, warnings } = watched();
  checkCacheExports([], progress);
  expect(() => checkCacheExports([{ type: "registry", attrs: {} }], progress)).toThrow(
    "--cache-to type=registry",
  );
  expect(warnings()).toEqual([]);
  checkCacheExports([{ type: "inline", attrs: {} }], progress);
  expect(warnings()).toEqual([
    "The inline build cache was not written into the image: it is not implemented",
  ]);
});

test("each cache that is not read is told of once, whichever way it was named", () => {
  const { progress, warnings } = watched();
  const one = { type: "registry", attrs: { ref: "example.com/a" } };
  warnOfCacheImports([one, { type: "gha", attrs: {} }], progress);
  warnOfCacheImports([one], progress);
  expect(warnings()).toEqual([
    "The build cache type=registry example.com/a was not read: importing caches is not implemented",
    "The build cache type=gha was not read: importing caches is not implemented",
  ]);
});
