import { describe, expect, test } from "bun:test";
import { encodeFrame, type Frame, FrameDecoder } from "./frames.ts";

const golden = Buffer.from("0100000000000003686921" + "020000000000000178", "hex");

function decode(pieces: readonly Uint8Array[]): Record<string, string> {
  const decoder = new FrameDecoder();
  const text: Record<string, string> = {};
  for (const piece of pieces) {
    for (const frame of decoder.push(piece)) {
      text[frame.stream] = (text[frame.stream] ?? "") + Buffer.from(frame.bytes).toString();
    }
  }
  return text;
}

describe("frames", () => {
  test("have Docker's bytes", () => {
    const bytes = Buffer.concat([
      encodeFrame("stdout", Buffer.from("hi!")),
      encodeFrame("stderr", Buffer.from("x")),
    ]);
    expect(bytes.toString("hex")).toBe(golden.toString("hex"));
  });

  test("are put together again wherever the bytes are split", () => {
    for (let at = 0; at <= golden.length; at++) {
      expect(decode([golden.subarray(0, at), golden.subarray(at)])).toEqual({ stdout: "hi!", stderr: "x" });
    }
    expect(decode([...golden].map((byte) => Uint8Array.of(byte)))).toEqual({ stdout: "hi!", stderr: "x" });
  });

  test("may be empty", () => {
    const frames: Frame[] = [...new FrameDecoder().push(encodeFrame("stdout", new Uint8Array()))];
    expect(frames).toEqual([]);
  });

  test("a decoder knows whether the end is clean", () => {
    const decoder = new FrameDecoder();
    [...decoder.push(golden.subarray(0, 12))];
    expect(decoder.complete).toBe(false);
    [...decoder.push(golden.subarray(12))];
    expect(decoder.complete).toBe(true);
  });

  test("raw bytes are refused, not misread", () => {
    expect(() => [...new FrameDecoder().push(Buffer.from("total 12\n"))]).toThrow(
      "Unrecognized input header: 116",
    );
  });
});
