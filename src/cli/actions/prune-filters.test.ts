import { expect, test } from "bun:test";
import { withPruneFilters } from "./prune-filters.ts";

test("a prune keeps to the settings' filters, unless a flag says the opposite", () => {
  const settings = { pruneFilters: ["label!=keep", "label=x", "until=24h", "nonsense"] };
  expect(withPruneFilters({ settings }, {})).toEqual({ "label!": ["keep"], label: ["x"], until: ["24h"] });
  expect(withPruneFilters({ settings }, { label: ["keep", "y"] })).toEqual({
    label: ["keep", "y", "x"],
    until: ["24h"],
  });
});
