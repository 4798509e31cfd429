import { describe, expect, test } from "bun:test";
import { QueryString } from "./query.ts";

describe("a query", () => {
  test("has Docker's idea of true", () => {
    const query = new QueryString("a=1&b=0&c=false&d=&e=None&f=yes&g&h=No");
    const flags = [..."abcdefgh"].map((name) => query.flag(name));
    expect(flags).toEqual([true, false, false, false, false, true, false, false]);
    expect([query.flag("z"), query.flag("z", true), query.flag("b", true)]).toEqual([false, true, false]);
  });

  test("reads integers in strconv's words", () => {
    const query = new QueryString("a=-5&b=&c=x&d=1.5&e=99999999999999999999");
    expect([query.integer("a"), query.integer("b"), query.integer("z")]).toEqual([-5, undefined, undefined]);
    expect(() => query.integer("c")).toThrow('strconv.Atoi: parsing "x": invalid syntax');
    expect(() => query.integer("d")).toThrow("invalid syntax");
    expect(() => query.integer("e")).toThrow("value out of range");
  });

  test("decodes values and keeps repeated ones", () => {
    const query = new QueryString("t=a%2Fb&t=c+d&x=%zz");
    expect(query.all("t")).toEqual(["a/b", "c d"]);
    expect(query.get("x")).toBe("%zz");
  });
});

describe("filters", () => {
  const filters = (value: unknown) =>
    new QueryString(
      `filters=${encodeURIComponent(typeof value === "string" ? value : JSON.stringify(value))}`,
    ).filters(["label", "status"]);

  test("are read in both forms", () => {
    expect(filters({ label: ["a=b", "c"] })).toEqual(new Map([["label", new Set(["a=b", "c"])]]));
    expect(filters({ label: { "a=b": true } })).toEqual(new Map([["label", new Set(["a=b"])]]));
    expect(new QueryString("").filters([])).toEqual(new Map());
    expect(filters("")).toEqual(new Map());
  });

  test("with an unknown name are refused with it", () => {
    expect(() => filters({ nope: ["x"] })).toThrow("invalid filter 'nope'");
  });

  test("that make no sense are refused", () => {
    for (const value of ["{x", "[]", "7", { label: "a" }, { label: [1] }, { label: { a: 1 } }]) {
      expect(() => filters(value)).toThrow("invalid filter");
    }
  });
});
