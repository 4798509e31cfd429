import { expect, test } from "bun:test";
import { groups, namesOf, topLevel } from "./commands.ts";
import { suggest } from "./suggest.ts";

const names = [...Object.keys(groups), ...namesOf(topLevel)];

test.each([
  ["rnu", ["run"]],
  ["strat", ["start"]],
  ["imagse", ["image", "images"]],
  ["contianer", ["container"]],
  ["pul", ["pull"]],
  ["pss", ["ps"]],
  ["net", ["network"]],
])("who types %s is shown what is near", (typed, meant) => {
  expect(suggest(typed, names)).toEqual(expect.arrayContaining(meant));
  expect(suggest(typed, names)[0]).toBe(meant[0]);
});

test("what is near to nothing gets no suggestion", () => {
  for (const typed of ["frobnicate", "x", "", "42"]) expect(suggest(typed, names)).toEqual([]);
});
