/** Header fields between node:http2's objects and ours. */
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http2";
import type { ReplyHeaders, RequestHeaders } from "../headers.ts";

/** Without pseudo-headers. */
export function fromNode(headers: IncomingHttpHeaders): RequestHeaders {
  const fields = new Map<string, readonly string[]>();
  for (const [name, value] of Object.entries(headers)) {
    if (name.startsWith(":") || value === undefined) continue;
    fields.set(name, Array.isArray(value) ? value : [String(value)]);
  }
  return fields;
}

/** Names in lower case; repeated ones stay so. */
export function toNode(headers: ReplyHeaders): OutgoingHttpHeaders {
  const fields: Record<string, string | string[]> = {};
  for (const [given, value] of headers) {
    const name = given.toLowerCase();
    const before = fields[name];
    fields[name] = before === undefined ? value : [...(Array.isArray(before) ? before : [before]), value];
  }
  return fields;
}
