/**
 * Docker's framing of several streams on one connection ("stdcopy"): 8 bytes `[stream, 0, 0, 0, length u32 BE]`
 * before each piece. Pure, but for pulling the source.
 */
import { EngineProtocolError, EngineStreamError } from "./errors.ts";

export type StreamName = "stdin" | "stdout" | "stderr";

export interface Frame {
  readonly stream: StreamName;
  readonly bytes: Uint8Array;
}

const names: readonly StreamName[] = ["stdin", "stdout", "stderr"];
const SYSTEM_ERROR = 3;
const HEADER = 8;

/**
 * Splits framed bytes into pieces, which may be smaller than the frames that were sent. A connection that ends
 * inside of a frame simply ends (the engine died).
 * @throws EngineStreamError for a frame of the system error stream
 */
export async function* readFrames(source: AsyncIterable<Uint8Array>): AsyncGenerator<Frame, void, undefined> {
  const header = Buffer.alloc(HEADER);
  let headerBytes = 0;
  let left = 0;
  let stream = 1;
  let systemError = "";
  for await (const chunk of source) {
    let at = 0;
    while (at < chunk.byteLength) {
      if (left === 0) {
        const take = Math.min(HEADER - headerBytes, chunk.byteLength - at);
        header.set(chunk.subarray(at, at + take), headerBytes);
        headerBytes += take;
        at += take;
        if (headerBytes < HEADER) continue;
        headerBytes = 0;
        stream = header.readUInt8(0);
        left = header.readUInt32BE(4);
        if (stream > SYSTEM_ERROR) throw new EngineProtocolError(`Unrecognized input header: ${stream}`);
        continue;
      }
      const take = Math.min(left, chunk.byteLength - at);
      const bytes = chunk.subarray(at, at + take);
      at += take;
      left -= take;
      if (stream === SYSTEM_ERROR) {
        systemError += Buffer.from(bytes).toString();
        if (left === 0) throw new EngineStreamError(`error from daemon in stream: ${systemError}`);
      } else {
        yield { stream: names[stream === 0 ? 1 : stream] as StreamName, bytes };
      }
    }
  }
}
