/**
 * HTTP/1.1 as the Engine API uses it (RFC 9112): one request at a time on a connection, replies with a length,
 * chunked, or up to the end of the connection, interim replies skipped, and `Upgrade` after which the connection
 * belongs to the caller. Knows nothing of engines.
 */
import { EngineProtocolError } from "./errors.ts";
import type { ByteSocket } from "./socket.ts";

export interface RequestHead {
  readonly method: string;
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
}

export interface ResponseHead {
  readonly status: number;
  readonly statusText: string;
  /** By lower-case name; repeated headers are joined with ", ". */
  readonly headers: ReadonlyMap<string, string>;
}

/** Bytes of a reply's head beyond which it is refused. */
const MAX_HEAD = 256 * 1024;
const CRLFCRLF = Buffer.from("\r\n\r\n");

export function encodeRequestHead({ method, target, headers }: RequestHead): string {
  let text = `${method} ${target} HTTP/1.1\r\n`;
  for (const name in headers) {
    const value = headers[name] as string;
    if (/[\r\n\0]/.test(value)) throw new EngineProtocolError(`invalid header value for ${name}`);
    text += `${name}: ${value}\r\n`;
  }
  return `${text}\r\n`;
}

/** Reads the head of the final reply; 1xx replies other than 101 are skipped. */
export async function readResponseHead(socket: ByteSocket): Promise<ResponseHead> {
  for (;;) {
    const head = parseHead(await readHeadText(socket));
    if (head.status >= 200 || head.status === 101) return head;
  }
}

async function readHeadText(socket: ByteSocket): Promise<string> {
  let gathered: Buffer = Buffer.alloc(0);
  for (;;) {
    const chunk = await socket.read();
    if (!chunk) {
      throw new EngineProtocolError(gathered.byteLength === 0 ? "EOF" : "unexpected EOF");
    }
    gathered = gathered.byteLength === 0 ? viewOf(chunk) : Buffer.concat([gathered, chunk]);
    const end = gathered.indexOf(CRLFCRLF);
    if (end >= 0) {
      socket.unread(gathered.subarray(end + 4));
      return gathered.toString("latin1", 0, end);
    }
    if (gathered.byteLength > MAX_HEAD) throw new EngineProtocolError("the reply's head is too large");
  }
}

function parseHead(text: string): ResponseHead {
  const [statusLine = "", ...lines] = text.split("\r\n");
  const match = /^HTTP\/1\.[01] (\d{3})(?: (.*))?$/.exec(statusLine);
  if (!match) {
    throw new EngineProtocolError(`malformed HTTP response ${JSON.stringify(statusLine.slice(0, 64))}`);
  }
  const headers = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(":");
    if (colon <= 0) throw new EngineProtocolError(`malformed header ${JSON.stringify(line.slice(0, 64))}`);
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    const before = headers.get(name);
    headers.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  return { status: Number(match[1]), statusText: match[2] ?? "", headers };
}

/**
 * The body of a reply, in chunks as they come. `onEnd` is called once, with whether the connection can carry
 * another request; leaving the iteration early calls it with false.
 */
export async function* readBody(
  socket: ByteSocket,
  method: string,
  head: ResponseHead,
  onEnd: (reusable: boolean) => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  let reusable = false;
  try {
    if (method === "HEAD" || head.status === 204 || head.status === 304) {
      reusable = keepsAlive(head);
      return;
    }
    const encoding = head.headers.get("transfer-encoding");
    const length = head.headers.get("content-length");
    if (encoding !== undefined) {
      if (!/(?:^|,)\s*chunked\s*$/i.test(encoding)) {
        throw new EngineProtocolError(`unsupported transfer encoding ${JSON.stringify(encoding)}`);
      }
      yield* readChunked(socket);
      reusable = keepsAlive(head);
    } else if (length !== undefined) {
      if (!/^\d+$/.test(length)) {
        throw new EngineProtocolError(`invalid content length ${JSON.stringify(length)}`);
      }
      yield* readExactly(socket, Number(length));
      reusable = keepsAlive(head);
    } else {
      for (let chunk = await socket.read(); chunk; chunk = await socket.read()) yield chunk;
    }
  } finally {
    onEnd(reusable);
  }
}

function keepsAlive(head: ResponseHead): boolean {
  return !/\bclose\b/i.test(head.headers.get("connection") ?? "");
}

async function* readExactly(socket: ByteSocket, length: number): AsyncGenerator<Uint8Array, void, undefined> {
  let left = length;
  while (left > 0) {
    const chunk = await socket.read();
    if (!chunk) throw new EngineProtocolError("unexpected EOF");
    if (chunk.byteLength > left) {
      socket.unread(chunk.subarray(left));
      yield chunk.subarray(0, left);
      return;
    }
    left -= chunk.byteLength;
    yield chunk;
  }
}

async function* readChunked(socket: ByteSocket): AsyncGenerator<Uint8Array, void, undefined> {
  for (;;) {
    const sizeLine = await readLine(socket);
    const size = /^([0-9a-fA-F]{1,8})[ \t]*(?:;.*)?$/.exec(sizeLine)?.[1];
    if (size === undefined) throw new EngineProtocolError("malformed chunked encoding");
    const length = Number.parseInt(size, 16);
    if (length === 0) break;
    yield* readExactly(socket, length);
    if ((await readLine(socket)) !== "") throw new EngineProtocolError("malformed chunked encoding");
  }
  while ((await readLine(socket)) !== ""); // trailers
}

async function readLine(socket: ByteSocket): Promise<string> {
  let line = "";
  for (;;) {
    const chunk = await socket.read();
    if (!chunk) throw new EngineProtocolError("unexpected EOF");
    const view = viewOf(chunk);
    const newline = view.indexOf(10);
    if (newline >= 0) {
      line += view.toString("latin1", 0, newline);
      socket.unread(view.subarray(newline + 1));
      return line.endsWith("\r") ? line.slice(0, -1) : line;
    }
    line += view.toString("latin1");
    if (line.length > MAX_HEAD) throw new EngineProtocolError("malformed chunked encoding");
  }
}

function viewOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
