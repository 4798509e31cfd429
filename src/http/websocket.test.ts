import { describe, expect, test } from "bun:test";
import type { RawConnection } from "./exchange.ts";
import { encodeMessage, FrameDecoder, overWebsocket, websocketHandshake } from "./websocket.ts";

function masked(opcode: number, text: string, final = true): Buffer {
  const mask = Buffer.from([1, 2, 3, 4]);
  const payload = Buffer.from(text).map((byte, index) => byte ^ (mask[index & 3] ?? 0));
  return Buffer.concat([Uint8Array.of((final ? 0x80 : 0) | opcode, 0x80 | text.length), mask, payload]);
}

describe("a websocket", () => {
  test("is shaken hands with as the RFC's example says", () => {
    const headers = new Map([
      ["upgrade", "websocket"],
      ["sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="],
      ["sec-websocket-version", "13"],
    ]);
    expect(websocketHandshake({ header: (name) => headers.get(name) })).toContainEqual([
      "Sec-WebSocket-Accept",
      "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
    ]);
    expect(() => websocketHandshake({ header: () => undefined })).toThrow("not a websocket handshake");
  });

  test("has frames that are read wherever the bytes are split", () => {
    const wire = Buffer.concat([masked(2, "hello"), masked(1, "x")]);
    for (let at = 0; at <= wire.length; at++) {
      const decoder = new FrameDecoder();
      const texts = [wire.subarray(0, at), wire.subarray(at)].flatMap((piece) =>
        [...decoder.push(piece)].map(({ payload }) => Buffer.from(payload).toString()),
      );
      expect(texts).toEqual(["hello", "x"]);
    }
  });

  test("refuses what a client must not send", () => {
    expect(() => [...new FrameDecoder().push(encodeMessage(2, Buffer.from("a")))]).toThrow("not masked");
    const huge = Buffer.from([0x82, 0xff, 0, 0, 1, 0, 0, 0, 0, 0, 1, 2, 3, 4]);
    expect(() => [...new FrameDecoder().push(huge)]).toThrow("too large");
  });

  test("answers pings, joins fragments, and ends at the close message", async () => {
    const written: string[] = [];
    const raw = {
      input: (async function* () {
        yield masked(2, "a", false);
        yield masked(9, "p");
        yield masked(0, "b");
        yield masked(8, "");
        yield masked(2, "never");
      })(),
      write: async (bytes: Uint8Array) => void written.push(Buffer.from(bytes).toString("hex")),
    } as unknown as RawConnection;
    let text = "";
    for await (const bytes of overWebsocket(raw).input) text += Buffer.from(bytes).toString();
    expect([text, written]).toEqual(["ab", ["8a0170"]]);
  });
});
