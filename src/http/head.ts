/**
 * The head of an HTTP/1.1 message: parsed strictly, written plainly. Pure.
 *
 * Strict on purpose: whatever could be read in two ways (two lengths, a length beside chunks, folded lines, spaces
 * before a colon) is refused, so that nobody in front of us can be made to see other requests than we do.
 * @see RFC 9112
 */

import { ProtocolError } from "./errors.ts";
import type { ReplyHeaders, RequestHeaders } from "./headers.ts";

export interface RequestHead {
  /** `PRI` for a client that speaks HTTP/2. */
  readonly method: string;
  /** Path and query as sent: `/v1.51/info?x=1`. */
  readonly target: string;
  readonly version: "1.0" | "1.1";
  readonly headers: RequestHeaders;
  readonly framing: Framing;
  /** The connection may carry another request after this one. */
  readonly keepAlive: boolean;
  readonly expectsContinue: boolean;
  /** The protocol that the client asks to change to (`tcp`, `h2c`, `websocket`). */
  readonly upgrade: string | undefined;
}

export type Framing =
  | { readonly kind: "none" }
  | { readonly kind: "length"; readonly length: number }
  | { readonly kind: "chunked" };

const REQUEST_LINE = /^([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([\x21-\x7e\x80-\xff]+) HTTP\/(\d\.\d)$/;
const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: exactly these must not come through
const BAD_VALUE = /[\x00-\x08\x0a-\x1f\x7f]/;

/** What HTTP/2 begins with, up to the first empty line of it: a request that no client of HTTP/1.1 sends. @see RFC 9113, 3.4 */
export const HTTP2_PREFACE: Buffer = Buffer.from("PRI * HTTP/2.0\r\n\r\n");
const HTTP2_REQUEST: RequestHead = {
  method: "PRI",
  target: "*",
  version: "1.1",
  headers: new Map(),
  framing: { kind: "none" },
  keepAlive: false,
  expectsContinue: false,
  upgrade: undefined,
};

/** @param bytes everything up to, not including, the empty line. @throws ProtocolError */
export function parseRequestHead(bytes: Buffer): RequestHead {
  if (bytes.equals(HTTP2_PREFACE.subarray(0, -4))) return HTTP2_REQUEST;
  const lines = bytes.toString("latin1").split("\r\n");
  const line = REQUEST_LINE.exec(lines[0] ?? "");
  if (!line) throw new ProtocolError(400, "malformed request line");
  const [, method = "", rawTarget = "", version] = line;
  if (version !== "1.1" && version !== "1.0") throw new ProtocolError(505, "unsupported HTTP version");
  const headers = parseHeaders(lines);
  const hosts = headers.get("host");
  if (version === "1.1" && hosts?.length !== 1) {
    throw new ProtocolError(400, hosts ? "too many Host headers" : "missing required Host header");
  }
  const connection = tokens(headers.get("connection"));
  const expect = headers.get("expect")?.[0]?.toLowerCase();
  if (expect !== undefined && expect !== "100-continue") throw new ProtocolError(417, "unknown expectation");
  return {
    method,
    target: toOriginForm(rawTarget),
    version,
    headers,
    framing: framingOf(headers, version),
    keepAlive: version === "1.1" ? !connection.includes("close") : connection.includes("keep-alive"),
    expectsContinue: expect !== undefined && version === "1.1",
    upgrade: connection.includes("upgrade") ? headers.get("upgrade")?.[0]?.toLowerCase() : undefined,
  };
}

function parseHeaders(lines: readonly string[]): Map<string, string[]> {
  const headers = new Map<string, string[]>();
  for (let index = 1; index < lines.length; index++) {
    const line = lines[index] ?? "";
    const colon = line.indexOf(":");
    const name = line.slice(0, Math.max(colon, 0));
    if (!HEADER_NAME.test(name)) throw new ProtocolError(400, "malformed header line");
    const value = trimBlanks(line, colon + 1);
    if (BAD_VALUE.test(value)) throw new ProtocolError(400, `invalid value of header ${name}`);
    const key = name.toLowerCase();
    const values = headers.get(key);
    if (values) values.push(value);
    else headers.set(key, [value]);
  }
  return headers;
}

/** Of a line from there on. By hand: a pattern would try every blank within the value as the beginning of the last ones. */
function trimBlanks(line: string, start: number): string {
  let from = start;
  let to = line.length;
  while (from < to && isBlank(line.charCodeAt(from))) from++;
  while (to > from && isBlank(line.charCodeAt(to - 1))) to--;
  return line.slice(from, to);
}

function isBlank(code: number): boolean {
  return code === 32 || code === 9;
}

function framingOf(headers: RequestHeaders, version: string): Framing {
  const codings = headers.get("transfer-encoding");
  const lengths = headers.get("content-length");
  if (codings) {
    if (lengths) throw new ProtocolError(400, "both Content-Length and Transfer-Encoding");
    if (version !== "1.1" || codings.length !== 1 || codings[0]?.toLowerCase() !== "chunked") {
      throw new ProtocolError(501, "unsupported transfer encoding");
    }
    return { kind: "chunked" };
  }
  if (!lengths) return { kind: "none" };
  const length = Number(lengths[0]);
  if (lengths.length !== 1 || !/^\d+$/.test(lengths[0] ?? "") || !Number.isSafeInteger(length)) {
    throw new ProtocolError(400, "bad Content-Length");
  }
  return length === 0 ? { kind: "none" } : { kind: "length", length };
}

/** A proxy's absolute form names us anyway: `http://host/path` → `/path`. */
function toOriginForm(target: string): string {
  if (target.startsWith("/") || target === "*") return target;
  const absolute = /^https?:\/\/[^/?#]*([/?].*)?$/i.exec(target);
  if (!absolute) throw new ProtocolError(400, "malformed request target");
  const rest = absolute[1] ?? "/";
  return rest.startsWith("?") ? `/${rest}` : rest;
}

function tokens(values: readonly string[] | undefined): readonly string[] {
  return values ? values.flatMap((value) => value.split(",").map((token) => token.trim().toLowerCase())) : [];
}

/** Header values that came from elsewhere (a path, an error) lose their line breaks. */
export function formatHead(status: number, reason: string, headers: ReplyHeaders): string {
  let text = `HTTP/1.1 ${status} ${reason}\r\n`;
  for (const [name, value] of headers) text += `${name}: ${clean(value)}\r\n`;
  return `${text}\r\n`;
}

function clean(value: string): string {
  return BAD_VALUE.test(value) ? value.replace(new RegExp(BAD_VALUE, "g"), " ") : value;
}
