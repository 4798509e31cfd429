/**
 * How a call ended: gRPC's codes, and errors between here and there. Details travel in `grpc-status-details-bin`, their
 * values as JSON: that is BuildKit's way, and what its clients read.
 */
import { EngineError, messageOf } from "../../../core/errors.ts";
import {
  ExitError,
  SourceError,
  UnsupportedCapabilityError,
  UnsupportedRequestError,
  VertexError,
} from "../../errors.ts";
import type { SourceInfo, SourceRange } from "../../graph/definition.ts";
import { toSourceInfoMessage } from "../definitions.ts";
import { StatusMessage } from "../messages/errors.ts";
import type { Value } from "../wire/message.ts";
import type { Metadata, MetadataList } from "./transport.ts";

export const Code = {
  ok: 0,
  canceled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  alreadyExists: 6,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  unauthenticated: 16,
} as const;

export type StatusValue = Value<typeof StatusMessage>;

/** A call that failed at the other end. */
export class RpcError extends Error {
  readonly code: number;
  readonly details: StatusValue["details"];

  constructor(code: number, message: string, details: StatusValue["details"] = []) {
    super(message);
    this.name = "RpcError";
    this.code = code;
    this.details = details;
  }
}

const DETAILS = "grpc-status-details-bin";
const PREFIX = "github.com/moby/buildkit/";

/** The trailers that end a call. */
export function trailersOf(status: StatusValue): MetadataList {
  const base: [string, string][] = [
    ["grpc-status", String(status.code)],
    ["grpc-message", percentEncoded(status.message)],
  ];
  if (status.details.length === 0) return base;
  const details = Buffer.from(StatusMessage.encode(status)).toString("base64").replace(/=+$/, "");
  return [...base, [DETAILS, details]];
}

export const okTrailers: MetadataList = [["grpc-status", "0"]];

/** What the trailers of a call say; undefined: it went well. */
export function statusOf(trailers: Metadata): RpcError | undefined {
  const code = Number(trailers.get("grpc-status")?.[0] ?? Code.unknown);
  if (code === Code.ok) return undefined;
  const message = percentDecoded(trailers.get("grpc-message")?.[0] ?? "");
  const details = trailers.get(DETAILS)?.[0];
  if (details === undefined) return new RpcError(code, message);
  try {
    const status = StatusMessage.decode(Buffer.from(details, "base64"));
    return new RpcError(code, status.message || message, status.details);
  } catch {
    return new RpcError(code, message); // The details are broken; that it failed is not.
  }
}

/** An error as it is told: its code, its message, and what clients can act on. */
export function toStatus(error: unknown): StatusValue {
  return { code: codeOf(error), message: messageOf(error), details: detailsOf(error) };
}

/** A failure that a client told us, as an error with all that it said. */
export function fromStatus(status: StatusValue): RpcError {
  return new RpcError(status.code, status.message, status.details);
}

const CODES: Readonly<Record<EngineError["code"], number>> = {
  "invalid-parameter": Code.invalidArgument,
  unauthorized: Code.unauthenticated,
  forbidden: Code.permissionDenied,
  "not-found": Code.notFound,
  conflict: Code.failedPrecondition,
  "not-modified": Code.alreadyExists,
  "not-implemented": Code.unimplemented,
  unavailable: Code.unavailable,
  "no-space": Code.resourceExhausted,
  system: Code.unknown,
};

function codeOf(error: unknown): number {
  for (const cause of causesOf(error)) {
    if (cause instanceof RpcError) return cause.code;
    if (cause.name === "AbortError") return Code.canceled;
    if (cause.name === "TimeoutError") return Code.deadlineExceeded;
    // What is wrong with a build is told by its message: a code would be printed in front of it.
    if (cause instanceof EngineError && cause.code !== "invalid-parameter") return CODES[cause.code];
  }
  return Code.unknown;
}

function detailsOf(error: unknown): StatusValue["details"] {
  const details: StatusValue["details"][number][] = [];
  for (const cause of causesOf(error)) {
    if (cause instanceof RpcError) details.push(...cause.details);
    else if (cause instanceof SourceError) details.push(detail("errdefs.Source+json", sourceJson(cause)));
    else if (cause instanceof VertexError)
      details.push(detail("errdefs.Vertex+json", { digest: cause.digest }));
    else if (cause instanceof ExitError) {
      details.push(detail("gatewayapi.ExitMessage+json", { Code: cause.exitCode }));
    } else if (cause instanceof UnsupportedCapabilityError) {
      details.push(detail("errdefs.FrontendCap+json", { name: cause.capability }));
    } else if (cause instanceof UnsupportedRequestError) {
      details.push(detail("errdefs.Subrequest+json", { name: cause.request }));
    }
  }
  return details;
}

function detail(type: string, value: unknown): StatusValue["details"][number] {
  return { typeUrl: PREFIX + type, value: new TextEncoder().encode(JSON.stringify(value)) };
}

/** An error and its causes, outermost first. */
function* causesOf(error: unknown): Generator<Error, void, void> {
  for (let cause = error; cause instanceof Error; cause = cause.cause) yield cause;
}

function sourceJson({ source, ranges }: SourceError): object {
  return { info: sourceInfoJson(source), ranges: ranges.map(rangeJson) };
}

function sourceInfoJson(info: SourceInfo): object {
  const { filename, data, language, definition } = toSourceInfoMessage(info);
  return {
    filename,
    data: Buffer.from(data).toString("base64"),
    ...(definition
      ? { definition: { def: definition.def.map((op) => Buffer.from(op).toString("base64")) } }
      : {}),
    language,
  };
}

function rangeJson({ start, end }: SourceRange): object {
  return {
    start: { line: start.line, character: start.character },
    end: { line: end.line, character: end.character },
  };
}

/** Messages hold printable ASCII; everything else, and `%`, is escaped by bytes. */
function percentEncoded(text: string): string {
  let out = "";
  for (const byte of Buffer.from(text)) {
    const plain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25;
    out += plain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return out;
}

function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
