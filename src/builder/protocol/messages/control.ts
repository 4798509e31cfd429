/** The messages of `moby.buildkit.v1.Control`. */
import {
  bigInt64,
  bool,
  byteStrings,
  bytes,
  enumeration,
  int32,
  int64,
  integerMap,
  message,
  messageMap,
  messages,
  nested,
  string,
  stringMap,
  strings,
} from "../wire/message.ts";
import { StatusMessage } from "./errors.ts";
import { DefinitionMessage, Platform, ProgressGroup, Range, SourceInfoMessage } from "./llb.ts";

/** google.protobuf.Timestamp */
export const Timestamp = message({ seconds: bigInt64(1), nanos: int32(2) });

export const BytesMessage = message({ data: bytes(1) });

/** An exporter or a cache: what it is, and its attributes. */
export const TypedEntry = message({ type: string(1), attrs: stringMap(2) });

export const SolveRequest = message({
  ref: string(1),
  definition: nested(2, DefinitionMessage),
  exporter: string(3),
  exporterAttrs: stringMap(4),
  session: string(5),
  frontend: string(6),
  frontendAttrs: stringMap(7),
  cache: nested(8, message({ exports: messages(4, TypedEntry), imports: messages(5, TypedEntry) })),
  entitlements: strings(9),
  frontendInputs: messageMap(10, DefinitionMessage),
  internal: bool(11),
  exporters: messages(13, TypedEntry),
  enableSessionExporter: bool(14),
});
export const SolveResponse = message({ exporterResponse: stringMap(1) });

export const Vertex = message({
  digest: string(1),
  inputs: strings(2),
  name: string(3),
  cached: bool(4),
  started: nested(5, Timestamp),
  completed: nested(6, Timestamp),
  error: string(7),
  progressGroup: nested(8, ProgressGroup),
});
export const VertexStatus = message({
  id: string(1),
  vertex: string(2),
  name: string(3),
  current: int64(4),
  total: int64(5),
  timestamp: nested(6, Timestamp),
  started: nested(7, Timestamp),
  completed: nested(8, Timestamp),
});
export const VertexLog = message({
  vertex: string(1),
  timestamp: nested(2, Timestamp),
  stream: int64(3),
  msg: bytes(4),
});
export const VertexWarning = message({
  vertex: string(1),
  level: int64(2),
  short: bytes(3),
  detail: byteStrings(4),
  url: string(5),
  info: nested(6, SourceInfoMessage),
  ranges: messages(7, Range),
});
export const StatusRequest = message({ ref: string(1) });
export const StatusResponse = message({
  vertexes: messages(1, Vertex),
  statuses: messages(2, VertexStatus),
  logs: messages(3, VertexLog),
  warnings: messages(4, VertexWarning),
});

const GcPolicy = message({
  all: bool(1),
  keepDuration: int64(2),
  reservedSpace: int64(3),
  filters: strings(4),
  maxUsedSpace: int64(5),
  minFreeSpace: int64(6),
});
export const BuildkitVersion = message({
  package: string(1),
  version: string(2),
  revision: string(3),
  dockerfileVersion: string(4),
});
export const WorkerRecord = message({
  id: string(1),
  labels: stringMap(2),
  platforms: messages(3, Platform),
  gcPolicy: messages(4, GcPolicy),
  buildkitVersion: nested(5, BuildkitVersion),
});
export const ListWorkersRequest = message({ filter: strings(1) });
export const ListWorkersResponse = message({ record: messages(1, WorkerRecord) });
export const InfoRequest = message({});
export const InfoResponse = message({ buildkitVersion: nested(1, BuildkitVersion) });

export const UsageRecord = message({
  id: string(1),
  mutable: bool(2),
  inUse: bool(3),
  size: int64(4),
  createdAt: nested(6, Timestamp),
  lastUsedAt: nested(7, Timestamp),
  usageCount: int64(8),
  description: string(9),
  recordType: string(10),
  shared: bool(11),
  parents: strings(12),
});
export const DiskUsageRequest = message({ filter: strings(1), ageLimit: int64(2) });
export const DiskUsageResponse = message({ record: messages(1, UsageRecord) });
export const PruneRequest = message({
  filter: strings(1),
  all: bool(2),
  keepDuration: int64(3),
  reservedSpace: int64(4),
  maxUsedSpace: int64(5),
  minFreeSpace: int64(6),
});

/** Here annotations are field 5, unlike in containerd's own. */
const Descriptor = message({
  mediaType: string(1),
  digest: string(2),
  size: int64(3),
  annotations: stringMap(5),
});
const BuildResultInfo = message({
  attestations: messages(2, Descriptor),
  results: integerMap(3, Descriptor),
});
export const BuildHistoryRecord = message({
  ref: string(1),
  frontend: string(2),
  frontendAttrs: stringMap(3),
  exporters: messages(4, TypedEntry),
  error: nested(5, StatusMessage),
  createdAt: nested(6, Timestamp),
  completedAt: nested(7, Timestamp),
  logs: nested(8, Descriptor),
  exporterResponse: stringMap(9),
  result: nested(10, BuildResultInfo),
  results: messageMap(11, BuildResultInfo),
  generation: int32(12),
  trace: nested(13, Descriptor),
  pinned: bool(14),
  numCachedSteps: int32(15),
  numTotalSteps: int32(16),
  numCompletedSteps: int32(17),
  externalError: nested(18, Descriptor),
  numWarnings: int32(19),
});
export const BuildHistoryRequest = message({
  activeOnly: bool(1),
  ref: string(2),
  earlyExit: bool(3),
  filter: strings(4),
  limit: int32(5),
});
export const BuildHistoryEvent = message({
  type: enumeration(1, ["started", "complete", "deleted"]),
  record: nested(2, BuildHistoryRecord),
});
export const UpdateBuildHistoryRequest = message({
  ref: string(1),
  pinned: bool(2),
  delete: bool(3),
  finalize: bool(4),
});
export const UpdateBuildHistoryResponse = message({});
