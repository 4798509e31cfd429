import { expect, test } from "bun:test";
import { chooseEncoding } from "./content-encoding.ts";

test.each<[string | undefined, string | undefined]>([
  [undefined, undefined],
  ["", undefined],
  ["gzip", "gzip"],
  ["GZIP", "gzip"],
  ["deflate", "deflate"],
  ["deflate, gzip", "gzip"],
  ["gzip;q=0.5, deflate;q=0.8", "deflate"],
  ["*", "gzip"],
  ["gzip;q=0, *;q=0.1", "deflate"],
  ["gzip;q=0", undefined],
  ["identity, gzip;q=0.5", undefined],
  ["identity", undefined],
  ["br", undefined],
  ["gzip;q=nonsense", undefined],
])("Accept-Encoding: %p takes %p", (header, expected) => {
  expect(chooseEncoding(header, ["gzip", "deflate"])).toBe(expected as never);
});
