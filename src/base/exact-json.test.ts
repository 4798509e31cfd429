import { expect, test } from "bun:test";
import { parseExactJson, stringifyExactJson, stringifyLargeNumbers } from "./exact-json.ts";

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

test("large whole numbers that were calculated are written digit by digit", () => {
  expect(stringifyLargeNumbers({ a: 2 ** 63 - 4096, b: 1.5, c: 7n, d: 2 ** 53 })).toBe(
    '{"a":9223372036854771712,"b":1.5,"c":7,"d":9007199254740992}',
  );
});

test("what cannot be written says so", () => {
  const circle: { self?: object } = {};
  circle.self = circle;
  expect(() => stringifyExactJson(circle)).toThrow("cyclic");
});
