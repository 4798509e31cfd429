/** Progress as the messages of `Control.Status`, and of the trace that `POST /build?version=2` sends. */
import type { BuildWarning } from "../../frontend.ts";
import type { ProgressFact, VertexFact, VertexLogFact, VertexStatusFact } from "../../progress.ts";
import { toSourceInfoMessage } from "../definitions.ts";
import type { StatusResponse, Vertex, VertexLog, VertexStatus, VertexWarning } from "../messages/control.ts";
import type { Value } from "../wire/message.ts";
import { toTimestamp, toTimestampMaybe } from "./times.ts";

export type StatusValue = Value<typeof StatusResponse>;

/** What output a message carries at most. */
const LARGEST_OUTPUT = 1 << 20;

/** One message for each MiB of output. */
export function toStatusMessages(facts: readonly ProgressFact[]): StatusValue[] {
  const messages: StatusValue[] = [];
  let current = emptyStatus();
  let output = 0;
  for (const fact of facts) {
    if (fact.type === "vertex") current.vertexes.push(toVertexMessage(fact.vertex));
    else if (fact.type === "status") current.statuses.push(toVertexStatusMessage(fact.status));
    else if (fact.type === "warning") current.warnings.push(toWarningMessage(fact.warning));
    else {
      current.logs.push(toLogMessage(fact.log));
      output += fact.log.bytes.length;
    }
    if (output < LARGEST_OUTPUT) continue;
    messages.push(current);
    current = emptyStatus();
    output = 0;
  }
  const isEmpty = Object.values(current).every((list) => list.length === 0);
  return isEmpty ? messages : [...messages, current];
}

function emptyStatus(): {
  vertexes: Value<typeof Vertex>[];
  statuses: Value<typeof VertexStatus>[];
  logs: Value<typeof VertexLog>[];
  warnings: Value<typeof VertexWarning>[];
} {
  return { vertexes: [], statuses: [], logs: [], warnings: [] };
}

function toVertexMessage(vertex: VertexFact): Value<typeof Vertex> {
  return {
    ...vertex,
    started: toTimestampMaybe(vertex.started),
    completed: toTimestampMaybe(vertex.completed),
    progressGroup: vertex.progressGroup,
  };
}

function toVertexStatusMessage(status: VertexStatusFact): Value<typeof VertexStatus> {
  return {
    ...status,
    timestamp: toTimestamp(status.timestamp),
    started: toTimestampMaybe(status.started),
    completed: toTimestampMaybe(status.completed),
  };
}

function toLogMessage(log: VertexLogFact): Value<typeof VertexLog> {
  const stream = log.stream === "stdout" ? 1 : 2;
  return { vertex: log.vertex, timestamp: toTimestamp(log.timestamp), stream, msg: log.bytes };
}

function toWarningMessage(warning: BuildWarning): Value<typeof VertexWarning> {
  const encoder = new TextEncoder();
  return {
    vertex: warning.vertex ?? "",
    level: warning.level,
    short: encoder.encode(warning.short),
    detail: warning.detail.map((line) => encoder.encode(line)),
    url: warning.url,
    info: warning.source && toSourceInfoMessage(warning.source),
    ranges: warning.ranges,
  };
}
