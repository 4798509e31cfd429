/**
 * The server's side of a WebSocket: the handshake, messages both ways, and the same as a stream of bytes.
 * @see RFC 6455
 */
import { createHash } from "node:crypto";
import { Accumulator } from "./accumulator.ts";
import { HttpError, ProtocolError } from "./errors.ts";
import type { Exchange, RawConnection } from "./exchange.ts";
import type { ReplyHeaders } from "./headers.ts";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const MAX_MESSAGE = 1 << 20;

const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** A whole message, at most 1 MiB. */
export type WebSocketMessage =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "binary"; readonly bytes: Uint8Array };

export interface WebSocketConnection extends Disposable {
  /** Ends when the client closes. Not reading them holds the client back. */
  readonly messages: AsyncIterable<WebSocketMessage>;
  /** Resolves when more may be sent. */
  send(message: string | Uint8Array): Promise<void>;
  /** @param code as in RFC 6455, 7.4; 1000 is a normal end */
  close(code?: number): Promise<void>;
  /** Settles when the client is gone for good. */
  readonly closed: Promise<void>;
}

/** Answers an upgrade. @throws HttpError 400 if the request is no handshake of version 13 */
export function acceptWebSocket(exchange: Exchange): WebSocketConnection {
  const raw = exchange.takeOver(101, "Switching Protocols", websocketHandshake(exchange));
  return {
    messages: messagesOf(raw),
    send: (message) =>
      typeof message === "string"
        ? raw.write(encodeMessage(OPCODE.text, Buffer.from(message)))
        : raw.write(encodeMessage(OPCODE.binary, message)),
    close: (code = 1000) => endWith(raw, code),
    closed: raw.closed,
    [Symbol.dispose]: () => raw[Symbol.dispose](),
  };
}

/** A connection whose bytes travel in binary messages, whose boundaries mean nothing. The client's close ends the input. */
export function overWebsocket(raw: RawConnection): RawConnection {
  return {
    input: bytesOf(raw),
    write: (bytes) => raw.write(encodeMessage(OPCODE.binary, bytes)),
    end: () => endWith(raw, 1000),
    closed: raw.closed,
    [Symbol.dispose]: () => raw[Symbol.dispose](),
  };
}

/** The headers of the 101. @throws HttpError 400 if this is no handshake of version 13 */
export function websocketHandshake(request: Pick<Exchange, "header">): ReplyHeaders {
  const key = request.header("sec-websocket-key");
  if (request.header("upgrade")?.toLowerCase() !== "websocket" || key === undefined) {
    throw new HttpError(400, "not a websocket handshake");
  }
  if (request.header("sec-websocket-version") !== "13") {
    throw new HttpError(400, "unsupported websocket version", { headers: [["Sec-WebSocket-Version", "13"]] });
  }
  const accept = createHash("sha1")
    .update(key + GUID)
    .digest("base64");
  return [
    ["Upgrade", "websocket"],
    ["Connection", "Upgrade"],
    ["Sec-WebSocket-Accept", accept],
  ];
}

export function encodeMessage(opcode: number, payload: Uint8Array): Buffer {
  const { length } = payload;
  if (length < 126) return Buffer.concat([Uint8Array.of(0x80 | opcode, length), payload]);
  if (length < 65536) {
    return Buffer.concat([Uint8Array.of(0x80 | opcode, 126, length >> 8, length & 255), payload]);
  }
  const head = Buffer.alloc(10);
  head[0] = 0x80 | opcode;
  head[1] = 127;
  head.writeBigUInt64BE(BigInt(length), 2);
  return Buffer.concat([head, payload]);
}

interface Frame {
  readonly final: boolean;
  readonly opcode: number;
  readonly payload: Uint8Array;
}

/** Takes client frames apart, whatever the pieces they arrive in. */
export class FrameDecoder {
  readonly #pending = new Accumulator();

  /** @throws ProtocolError on what a client must not send */
  *push(bytes: Uint8Array): Generator<Frame, void, void> {
    this.#pending.push(bytes);
    for (let frame = this.#next(); frame; frame = this.#next()) yield frame;
  }

  #next(): Frame | undefined {
    const { bytes } = this.#pending;
    if (bytes.length < 2) return undefined;
    const first = bytes.readUInt8(0);
    const second = bytes.readUInt8(1);
    if ((first & 0x70) !== 0) throw new ProtocolError(400, "a websocket frame has reserved bits set");
    if ((second & 0x80) === 0) throw new ProtocolError(400, "a client's websocket frame is not masked");
    const short = second & 0x7f;
    const lengthBytes = short === 126 ? 2 : short === 127 ? 8 : 0;
    const start = 2 + lengthBytes + 4;
    if (bytes.length < start) return undefined;
    const length = lengthBytes === 0 ? short : longLength(bytes, lengthBytes);
    if (length > MAX_MESSAGE) throw new ProtocolError(400, "a websocket frame is too large");
    if (bytes.length < start + length) return undefined;
    const payload = unmasked(bytes.subarray(start, start + length), bytes.subarray(start - 4, start));
    this.#pending.drop(start + length);
    return { final: (first & 0x80) !== 0, opcode: first & 0x0f, payload };
  }
}

function longLength(bytes: Buffer, lengthBytes: 2 | 8): number {
  return lengthBytes === 2 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
}

function unmasked(bytes: Uint8Array, mask: Uint8Array): Uint8Array {
  const payload = new Uint8Array(bytes);
  for (let index = 0; index < payload.length; index++) {
    payload[index] = (payload[index] ?? 0) ^ (mask[index & 3] ?? 0);
  }
  return payload;
}

/** Data frames, until the client closes; pings are answered. */
async function* dataFrames(raw: RawConnection): AsyncGenerator<Frame, void, void> {
  const decoder = new FrameDecoder();
  for await (const bytes of raw.input) {
    for (const frame of decoder.push(bytes)) {
      if (frame.opcode === OPCODE.close) return;
      if (frame.opcode === OPCODE.ping) await raw.write(encodeMessage(OPCODE.pong, frame.payload));
      else if (frame.opcode <= OPCODE.binary) yield frame;
    }
  }
}

async function* bytesOf(raw: RawConnection): AsyncGenerator<Uint8Array, void, void> {
  for await (const { payload } of dataFrames(raw)) if (payload.length > 0) yield payload;
}

async function* messagesOf(raw: RawConnection): AsyncGenerator<WebSocketMessage, void, void> {
  const parts = new Accumulator();
  let opcode: number | undefined;
  for await (const frame of dataFrames(raw)) {
    if ((frame.opcode === OPCODE.continuation) === (opcode === undefined)) {
      throw new ProtocolError(400, "websocket fragments out of order");
    }
    opcode ??= frame.opcode;
    if (parts.length + frame.payload.length > MAX_MESSAGE) {
      await endWith(raw, 1009);
      throw new ProtocolError(400, "a websocket message is too large");
    }
    parts.push(frame.payload);
    if (!frame.final) continue;
    const bytes = parts.takeAll();
    const isText = opcode === OPCODE.text;
    opcode = undefined;
    yield isText ? { kind: "text", text: bytes.toString("utf8") } : { kind: "binary", bytes };
  }
}

async function endWith(raw: RawConnection, code: number): Promise<void> {
  await raw.write(encodeMessage(OPCODE.close, Uint8Array.of(code >> 8, code & 255)));
  await raw.end();
}
