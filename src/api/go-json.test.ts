import { expect, test } from "bun:test";
import { describeJsonError } from "./go-json.ts";

test.each([
  ["{invalid json", "invalid character 'i' looking for beginning of object key string"],
  ["{} trailing", "unexpected content after JSON"],
  ["{}{}", "unexpected content after JSON"],
  ["{", "unexpected EOF"],
  ['{"a":', "unexpected EOF"],
  ['{"a"}', "invalid character '}' after object key"],
  ['{"a":1 2}', "invalid character '2' after object key:value pair"],
  ['{"a":1,}', "invalid character '}' looking for beginning of object key string"],
  ["[1 2]", "invalid character '2' after array element"],
  ["[1,]", "invalid character ']' looking for beginning of value"],
  ["<html>", "invalid character '<' looking for beginning of value"],
  ["tru3", "invalid character '3' in literal true (expecting 'e')"],
  ["-x", "invalid character 'x' in numeric literal"],
  ["1.x", "invalid character 'x' after decimal point in numeric literal"],
  ["1ex", "invalid character 'x' in exponent of numeric literal"],
  ['"a\nb"', "invalid character '\\n' in string literal"],
  ['"\\q"', "invalid character 'q' in string escape code"],
  ['"\\u00g0"', "invalid character 'g' in \\u hexadecimal character escape"],
  ["'", "invalid character '\\'' looking for beginning of value"],
])("of %p Go says %p", (text, message) => expect(describeJsonError(text)).toBe(message));

test("whatever it is given, it says something", () => {
  for (const text of ["[".repeat(100_000), "\u0000", "é", '{"a":"\ud800"', '{"":[{}]'])
    expect(describeJsonError(text)).not.toBe("");
});
