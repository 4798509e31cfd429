import { expect, test } from "bun:test";
import { parseCustomHeaders } from "./custom-headers.ts";

test("a line of CSV makes headers; the last of a name wins", () => {
  expect(parseCustomHeaders('one= 1,"x-two=a,b",four=,five=a=b,FIVE=c')).toEqual({
    One: " 1",
    "X-Two": "a,b",
    Five: "c",
  });
  expect(() => parseCustomHeaders("a=1,b")).toThrow(`missing "=" in key=value pair: 'b'`);
  expect(() => parseCustomHeaders("=1")).toThrow("with an empty key: '=1'");
});
