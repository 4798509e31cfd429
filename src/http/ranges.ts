/**
 * Replies of known length from something that can be read from anywhere: whole, a part (`Range`), or none (`HEAD`).
 * @see RFC 9110, 14
 */
import type { Exchange } from "./exchange.ts";
import type { ReplyHeaders } from "./headers.ts";

export interface Content {
  /** Bytes. */
  readonly size: number;
  /** With quotes. Ranges are honoured only for the same one (`If-Range`). */
  readonly etag?: string;
  /** `Content-Type` and what else belongs to it. */
  readonly headers: ReplyHeaders;
  /** Bytes from `start` to before `end`. Not called where none are sent. */
  read(start: number, end: number): AsyncIterable<Uint8Array>;
}

/** Answers GET and HEAD: 200, 206, 304 or 416. Ends early, by breaking off, if the content is shorter than it said. */
export async function serveContent(exchange: Exchange, content: Content): Promise<void> {
  const { size, etag } = content;
  const headers: ReplyHeaders = [
    ...content.headers,
    ["Accept-Ranges", "bytes"],
    ...(etag === undefined ? [] : ([["ETag", etag]] as const)),
  ];
  if (etag !== undefined && matches(exchange.header("if-none-match"), etag)) {
    return await exchange.reply(304, headers, "");
  }
  const condition = exchange.header("if-range");
  const asked = condition === undefined || condition === etag ? exchange.header("range") : undefined;
  const range = parseRange(asked, size);
  if (range === "unsatisfiable") {
    return await exchange.reply(416, [...headers, ["Content-Range", `bytes */${size}`]], "");
  }
  const { start, end } = range ?? { start: 0, end: size };
  const partial: ReplyHeaders = range ? [["Content-Range", `bytes ${start}-${end - 1}/${size}`]] : [];
  const stream = exchange.stream(range ? 206 : 200, [...headers, ...partial], end - start);
  if (exchange.head.method !== "HEAD" && end > start) {
    for await (const bytes of content.read(start, end)) {
      if (exchange.signal.aborted) return stream.destroy();
      await stream.write(bytes);
    }
  }
  await stream.end();
}

export interface ByteRange {
  readonly start: number;
  /** The first byte after it. */
  readonly end: number;
}

/**
 * `bytes=0-99`, `bytes=100-`, `bytes=-5`. What makes no sense, or asks for several parts, means the whole: both is
 * allowed to a server.
 */
export function parseRange(
  header: string | undefined,
  size: number,
): ByteRange | "unsatisfiable" | undefined {
  const match = /^bytes=[ \t]*(\d{0,15})-(\d{0,15})[ \t]*$/.exec(header ?? "");
  if (!match) return undefined;
  const [, first = "", last = ""] = match;
  if (first === "" && last === "") return undefined;
  if (first === "") {
    const length = Math.min(Number(last), size);
    return length === 0 ? "unsatisfiable" : { start: size - length, end: size };
  }
  const start = Number(first);
  const end = last === "" ? size : Math.min(Number(last) + 1, size);
  // An end before its start fits no content: distribution's registries say so, and their clients rely on it.
  if (last !== "" && Number(last) < start) return "unsatisfiable";
  return start >= size ? "unsatisfiable" : { start, end };
}

function matches(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  return header.split(",").some((value) => value.trim() === "*" || value.trim().replace(/^W\//, "") === etag);
}
