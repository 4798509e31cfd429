import { describe, expect, test } from "bun:test";
import {
  array,
  bool,
  bytes,
  DecodeError,
  exactInt64,
  exactUint64,
  int64,
  map,
  nullable,
  parseJson,
  string,
  stringOrArray,
  struct,
  tuple,
  uint16,
  uint64,
  word,
} from "./decode.ts";

const inner = struct("container.HostConfig", { Memory: int64, Binds: array(string), Init: bool });
const outer = struct("container.CreateRequest", {
  Image: string,
  Labels: map(string),
  HostConfig: inner,
  Cmd: stringOrArray,
});

describe("a struct", () => {
  test("takes keys whatever their case, and prefers the one that comes last", () => {
    expect(outer({ image: "a", IMAGE: "b", hostconfig: { memory: 5 } })).toEqual({
      Image: "b",
      HostConfig: { Memory: 5 },
    });
  });

  test("leaves out what is absent or null, and ignores what it does not know", () => {
    expect(outer({ Image: null, Nonsense: { a: 1 } })).toEqual({});
    expect(outer(null)).toEqual({});
    expect(outer(undefined)).toEqual({});
  });

  test("names the field's whole path in Go's words when a type is wrong", () => {
    const decode = () => outer({ HostConfig: { Memory: "1g" } });
    expect(decode).toThrow(
      new DecodeError(
        "json: cannot unmarshal string into Go struct field HostConfig.HostConfig.Memory of type int64",
      ),
    );
    expect(() => outer({ Labels: [] })).toThrow(
      "json: cannot unmarshal array into Go struct field CreateRequest.Labels of type map[string]string",
    );
    expect(() => outer({ HostConfig: { Init: 1 } })).toThrow("cannot unmarshal number into");
    expect(() => outer([])).toThrow(
      "json: cannot unmarshal array into Go value of type container.CreateRequest",
    );
  });

  test("cannot be tricked through the prototype", () => {
    const hostile = JSON.parse(
      '{"__proto__":{"Image":"x"},"constructor":1,"Labels":{"__proto__":"y"}}',
    ) as unknown;
    const decoded = outer(hostile);
    expect(decoded.Image).toBeUndefined();
    expect(Object.keys(decoded.Labels ?? {})).toEqual(["__proto__"]);
    expect(Object.getPrototypeOf(decoded.Labels)).toBe(Object.prototype);
  });
});

describe("integers", () => {
  test("accept the whole range of the Go type and no fractions", () => {
    expect(int64(-1)).toBe(-1);
    expect(() => int64(1.5)).toThrow("json: cannot unmarshal number 1.5 into Go value of type int64");
    expect(() => int64(1e300)).toThrow("cannot unmarshal number 1e+300");
    expect(() => uint16(65536)).toThrow("of type uint16");
    expect(() => uint16(-1)).toThrow("of type uint16");
    expect(Object.is(int64(-0), 0)).toBe(true);
  });

  test("stay inside of int64 when they are printed again", () => {
    for (const text of [
      "9223372036854775807",
      "-9223372036854775808",
      "9007199254740993",
      "-9007199254740993",
    ]) {
      const printed = BigInt(JSON.stringify(int64(parseJson(text))));
      expect(BigInt.asIntN(64, printed)).toBe(printed);
      expect(printed > 0n).toBe(!text.startsWith("-"));
    }
    const unsigned = BigInt(JSON.stringify(uint64(parseJson("18446744073709551615"))));
    expect(BigInt.asUintN(64, unsigned)).toBe(unsigned);
  });

  test("keep all their digits where people go to the ends of the range", () => {
    for (const text of [
      "9223372036854775807",
      "-9223372036854775808",
      "9007199254740993",
      "9223372036854771712",
    ]) {
      expect(exactInt64(parseJson(text))).toBe(BigInt(text));
    }
    expect(exactInt64(parseJson("12"))).toBe(12);
    expect(exactUint64(parseJson("18446744073709551615"))).toBe(2n ** 64n - 1n);
    expect(() => exactInt64(parseJson("9223372036854775808"))).toThrow(
      "json: cannot unmarshal number 9223372036854775808 into Go value of type int64",
    );
    expect(() => exactUint64(parseJson("-1"))).toThrow("of type uint64");
    expect(() => exactInt64(parseJson("1e19"))).toThrow("cannot unmarshal number");
  });
});

describe("the other shapes", () => {
  test("null elements of arrays and maps are zero values", () => {
    expect(array(string)(["a", null])).toEqual(["a", ""]);
    expect(map(int64)({ a: null })).toEqual({ a: 0 });
    expect(map(nullable(array(string)))({ a: null })).toEqual({ a: null });
  });

  test("Cmd is an array or one string", () => {
    expect(outer({ Cmd: "sh" }).Cmd).toEqual(["sh"]);
    expect(outer({ Cmd: ["sh", "-c"] }).Cmd).toEqual(["sh", "-c"]);
    expect(outer({ Cmd: [] }).Cmd).toEqual([]);
    expect(outer({ Cmd: null }).Cmd).toBeUndefined();
    expect(() => outer({ Cmd: 7 })).toThrow("json: cannot unmarshal number into Go value of type string");
  });

  test("a tuple has its length", () => {
    expect(tuple(int64, 2)([24])).toEqual([24, 0]);
    expect(tuple(int64, 2)([1, 2, 3])).toEqual([1, 2]);
  });

  test("words are checked", () => {
    const kind = word(["local", "swarm"], "local");
    expect(kind(undefined)).toBe("local");
    expect(() => kind("moon")).toThrow('must be one of local, swarm: "moon"');
  });

  test("bytes are base64", () => {
    expect(bytes("aGk=")).toEqual(new Uint8Array([104, 105]));
    expect(() => bytes("?")).toThrow("illegal base64");
  });

  test("what is not JSON is a DecodeError, however deep", () => {
    for (const text of ["", "{", "{} x", "{'a':1}", "[".repeat(1_000_000)]) {
      expect(() => parseJson(text)).toThrow(DecodeError);
    }
  });
});
