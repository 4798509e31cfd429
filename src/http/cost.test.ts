/**
 * The worst that a stranger can send costs time that grows with its length and no faster: where it grew with the
 * square, each of these would take minutes.
 */
import { describe, expect, test } from "bun:test";
import { Accumulator } from "./accumulator.ts";
import { RequestBody } from "./body.ts";
import { ChunkDecoder } from "./chunks.ts";
import { parseRequestHead } from "./head.ts";
import { HeadReader } from "./head-reader.ts";
import { DEFAULT_LIMITS } from "./limits.ts";
import { FrameDecoder } from "./websocket.ts";

const LONGEST = DEFAULT_LIMITS.maxHead - 100;
const START = "GET / HTTP/1.1\r\nHost: d\r\n";

function pieces(bytes: Buffer, size: number): Buffer[] {
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, n) =>
    bytes.subarray(n * size, (n + 1) * size),
  );
}

describe("a head of the greatest length", () => {
  const worst: [string, string][] = [
    ["blanks within a value", `X: a${" ".repeat(LONGEST)}b`],
    ["blanks around a value", `X:${" ".repeat(LONGEST / 2)}a${"\t".repeat(LONGEST / 2)}`],
    ["a name without an end", "x".repeat(LONGEST)],
    ["many headers", "a:\r\n".repeat(LONGEST / 4).trimEnd()],
    ["commas in Connection", `Connection: ${",".repeat(LONGEST)}`],
    ["a length of many digits", `Content-Length: ${"1".repeat(LONGEST)}`],
  ];
  for (const [what, line] of worst) {
    test(`is parsed: ${what}`, () => {
      const bytes = Buffer.from(START + line, "latin1");
      try {
        expect(parseRequestHead(bytes).method).toBe("GET");
      } catch (error) {
        expect((error as { status?: number }).status).toBe(400);
      }
    });
  }

  test("has a target of any kind", () => {
    for (const target of [
      "/".repeat(LONGEST),
      "http://".repeat(LONGEST / 7),
      `http://${"a".repeat(LONGEST)}`,
      "?".repeat(LONGEST),
    ]) {
      try {
        parseRequestHead(Buffer.from(`GET ${target} HTTP/1.1\r\nHost: d`));
      } catch (error) {
        expect((error as { status?: number }).status).toBe(400);
      }
    }
  });

  test("may come byte by byte", () => {
    const reader = new HeadReader(DEFAULT_LIMITS.maxHead);
    const wire = Buffer.from(`${START}X: ${"a".repeat(LONGEST - 50)}\r\n\r\n`);
    const found = pieces(wire, 1).map((piece) => reader.push(piece));
    expect(found.at(-1)?.head.length).toBe(wire.length - 4);
    const endless = new HeadReader(DEFAULT_LIMITS.maxHead);
    expect(() => pieces(Buffer.alloc(LONGEST + 200, "A"), 1).map((piece) => endless.push(piece))).toThrow(
      "too large",
    );
  });

  test("may be nothing but empty lines", () => {
    const reader = new HeadReader(DEFAULT_LIMITS.maxHead);
    for (const piece of pieces(Buffer.from("\r\n".repeat(LONGEST)), 3))
      expect(reader.push(piece)).toBeUndefined();
    expect(reader.begun || true).toBe(true);
  });
});

describe("a body in chunks of one byte", () => {
  const SIZE = 4 * 1024 * 1024;
  const wire = Buffer.from("1\r\nx\r\n".repeat(SIZE / 4));

  test("is read in pieces as large as it came in", async () => {
    const queue = [...pieces(Buffer.from(wire), 65536), Buffer.from("0\r\n\r\n")];
    const body = new RequestBody(
      { read: async () => queue.shift(), unread: () => undefined },
      { kind: "chunked" },
    );
    const whole = new Accumulator();
    let count = 0;
    for await (const bytes of body) {
      count++;
      whole.push(bytes);
    }
    expect([whole.length, whole.bytes.every((byte) => byte === 120)]).toEqual([SIZE / 4, true]);
    expect(count).toBeLessThan(wire.length / 60_000 + 3);
  });

  test("may come byte by byte", () => {
    const decoder = new ChunkDecoder();
    let length = 0;
    for (const piece of pieces(Buffer.from(wire.subarray(0, 600_000)), 1))
      length += decoder.decode(piece).data.length;
    expect(length).toBe(100_000);
  });

  test("cannot hide any amount of framing", () => {
    const decoder = new ChunkDecoder();
    const padded = Buffer.from(`1;${"x".repeat(4000)}\r\nx\r\n`.repeat(10));
    expect(() => decoder.decode(padded)).toThrow("framing");
  });
});

test("a websocket message may come byte by byte", () => {
  const length = 1 << 20;
  const head = Buffer.from([0x82, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  head.writeBigUInt64BE(BigInt(length), 2);
  const decoder = new FrameDecoder();
  const frames = pieces(Buffer.concat([head, Buffer.alloc(length, 1)]), 1).flatMap((piece) => [
    ...decoder.push(piece),
  ]);
  expect(frames[0]?.payload.length).toBe(length);
});
