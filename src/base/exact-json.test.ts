import { expect, test } from "bun:test";
import { parseExactJson, stringifyExactJson } from "./exact-json.ts";

test("whole numbers keep their digits both ways, up to the ends of 64 bits", () => {
  for (const text of [
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
    "9223372036854771712",
  ]) {
    const document = `{"a":[${text},1],"s":"${text}"}`;
    expect(stringifyExactJson(parseExactJson(document))).toBe(document);
  }
  expect(parseExactJson("9007199254740993")).toBe(9007199254740993n);
  expect([
    parseExactJson("9007199254740991"),
    parseExactJson("1.5"),
    parseExactJson("12345678901234567e3"),
  ]).toEqual([9007199254740991, 1.5, 12345678901234567e3]);
});

test("what cannot be written says so", () => {
  const circle: { self?: object } = {};
  circle.self = circle;
  expect(() => stringifyExactJson(circle)).toThrow("cyclic");
});
