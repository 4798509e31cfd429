import { describe, expect, test } from "bun:test";
import { type ByteSource, RequestBody } from "./body.ts";
import type { Framing } from "./head.ts";

function source(pieces: readonly string[]): ByteSource & { rest(): string } {
  const queue: Buffer[] = pieces.map((piece) => Buffer.from(piece));
  return {
    read: async () => queue.shift(),
    unread: (bytes) => void queue.unshift(bytes),
    rest: () => Buffer.concat(queue).toString(),
  };
}

async function readAll(framing: Framing, pieces: readonly string[]): Promise<{ text: string; rest: string }> {
  const from = source(pieces);
  const body = new RequestBody(from, framing);
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  expect(body.finished).toBe(true);
  return { text: Buffer.concat(chunks).toString(), rest: from.rest() };
}

describe("a body", () => {
  test("with a length ends there and leaves the rest to the next request", async () => {
    expect(await readAll({ kind: "length", length: 5 }, ["he", "lloGET /"])).toEqual({
      text: "hello",
      rest: "GET /",
    });
  });

  test("in chunks is put together wherever the bytes are split", async () => {
    const wire = "5;ext=1\r\nhello\r\n1\r\n!\r\n0\r\nX-Trailer: 1\r\n\r\nGET /";
    for (let at = 1; at < wire.length; at++) {
      const pieces = [wire.slice(0, at), wire.slice(at)];
      expect(await readAll({ kind: "chunked" }, pieces)).toEqual({ text: "hello!", rest: "GET /" });
    }
    expect((await readAll({ kind: "chunked" }, wire.split(""))).text).toBe("hello!");
  });

  const broken: [string, Framing, string[]][] = [
    ["that stops early", { kind: "length", length: 5 }, ["he"]],
    ["whose chunks stop early", { kind: "chunked" }, ["5\r\nhe"]],
    ["with a size that is no number", { kind: "chunked" }, ["xyz\r\n"]],
    ["with a negative size", { kind: "chunked" }, ["-1\r\n"]],
    ["with an absurd size", { kind: "chunked" }, ["fffffffffffffffff\r\n"]],
    ["with a chunk longer than it says", { kind: "chunked" }, ["2\r\nhello\r\n0\r\n\r\n"]],
    ["with bare line feeds", { kind: "chunked" }, ["2\nhe\n0\n\n"]],
    ["with an endless size line", { kind: "chunked" }, ["1;".padEnd(9000, "x")]],
    [
      "with endless trailers",
      { kind: "chunked" },
      [
        "0\r\n",
        ..."x"
          .repeat(9)
          .split("")
          .map(() => `${"a: b".padEnd(4000)}\r\n`),
      ],
    ],
  ];
  for (const [what, framing, pieces] of broken) {
    test(`${what} is refused`, async () => {
      expect(readAll(framing, pieces)).rejects.toThrow();
    });
  }

  test("asks the client to continue once somebody reads it", async () => {
    let asked = 0;
    const body = new RequestBody(source(["ab"]), { kind: "length", length: 2 }, () => {
      asked++;
    });
    expect(body.awaitsContinue).toBe(true);
    await body.read();
    expect([asked, body.awaitsContinue]).toEqual([1, false]);
  });
});
