/**
 * The server's side of a WebSocket, as far as attaching needs it: the handshake, and messages as a stream of bytes.
 * Fragments, pings and closing are handled; message boundaries mean nothing here.
 * @see RFC 6455
 */
import { createHash } from "node:crypto";
import { InvalidParameterError } from "../core/errors.ts";
import type { HijackedConnection } from "./call.ts";
import type { RawConnection } from "./http1/connection.ts";
import type { ReplyHeaders } from "./http1/head.ts";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const MAX_FRAME = 1 << 20;

/** @param header reads a request header. @throws InvalidParameterError if this is no handshake of version 13 */
export function websocketHandshake(header: (name: string) => string | undefined): ReplyHeaders {
  const key = header("sec-websocket-key");
  if (header("upgrade")?.toLowerCase() !== "websocket" || key === undefined) {
    throw new InvalidParameterError("not a websocket handshake");
  }
  if (header("sec-websocket-version") !== "13")
    throw new InvalidParameterError("unsupported websocket version");
  return [
    ["Upgrade", "websocket"],
    ["Connection", "Upgrade"],
    [
      "Sec-WebSocket-Accept",
      createHash("sha1")
        .update(key + GUID)
        .digest("base64"),
    ],
  ];
}

const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

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

interface Message {
  readonly opcode: number;
  readonly payload: Uint8Array;
}

/** Takes client frames apart, whatever the pieces they arrive in. */
export class MessageDecoder {
  #pending: Buffer = Buffer.alloc(0);

  /** @throws InvalidParameterError on what a client must not send */
  *push(bytes: Uint8Array): Generator<Message, void, void> {
    this.#pending = this.#pending.length === 0 ? Buffer.from(bytes) : Buffer.concat([this.#pending, bytes]);
    for (let message = this.#next(); message; message = this.#next()) yield message;
  }

  #next(): Message | undefined {
    const bytes = this.#pending;
    if (bytes.length < 2) return undefined;
    const opcode = bytes.readUInt8(0) & 0x0f;
    const second = bytes.readUInt8(1);
    if ((second & 0x80) === 0) throw new InvalidParameterError("a client's websocket frame is not masked");
    const short = second & 0x7f;
    const lengthBytes = short === 126 ? 2 : short === 127 ? 8 : 0;
    const start = 2 + lengthBytes + 4;
    if (bytes.length < start) return undefined;
    const length =
      lengthBytes === 0
        ? short
        : lengthBytes === 2
          ? bytes.readUInt16BE(2)
          : Number(bytes.readBigUInt64BE(2));
    if (length > MAX_FRAME) throw new InvalidParameterError("a websocket frame is too large");
    if (bytes.length < start + length) return undefined;
    const mask = bytes.subarray(start - 4, start);
    const payload = new Uint8Array(bytes.subarray(start, start + length));
    for (let index = 0; index < length; index++) {
      payload[index] = (payload[index] ?? 0) ^ (mask[index & 3] ?? 0);
    }
    this.#pending = bytes.subarray(start + length);
    return { opcode, payload };
  }
}

/** A hijacked connection whose bytes travel in binary messages. The client's close message ends the input. */
export function overWebsocket(raw: RawConnection): HijackedConnection {
  return {
    input: messagesOf(raw),
    write: (bytes) => raw.write(encodeMessage(OPCODE.binary, bytes)),
    end: async () => {
      await raw.write(encodeMessage(OPCODE.close, Uint8Array.of(3, 232)));
      await raw.end();
    },
    closed: raw.closed,
    [Symbol.dispose]: () => raw[Symbol.dispose](),
  };
}

async function* messagesOf(raw: RawConnection): AsyncGenerator<Uint8Array, void, void> {
  const decoder = new MessageDecoder();
  for await (const bytes of raw.input) {
    for (const { opcode, payload } of decoder.push(bytes)) {
      if (opcode === OPCODE.close) return;
      if (opcode === OPCODE.ping) await raw.write(encodeMessage(OPCODE.pong, payload));
      else if (opcode <= OPCODE.binary && payload.length > 0) yield payload;
    }
  }
}
