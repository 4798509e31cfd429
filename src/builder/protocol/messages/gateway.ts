/** The messages of `moby.buildkit.v1.frontend.LLBBridge`. */
import {
  bool,
  byteStrings,
  bytes,
  bytesMap,
  enumeration,
  int32,
  int64,
  message,
  messageMap,
  messages,
  nested,
  string,
  stringMap,
  strings,
  uint32,
  uint32s,
} from "../wire/message.ts";
import { Timestamp, TypedEntry, WorkerRecord } from "./control.ts";
import { StatusMessage } from "./errors.ts";
import {
  DefinitionMessage,
  Meta,
  Mount,
  networkModes,
  Platform,
  Range,
  SecretEnv,
  SourceInfoMessage,
  securityModes,
} from "./llb.ts";
import { Stat } from "./session.ts";

export const Cap = message({
  id: string(1),
  enabled: bool(2),
  deprecated: bool(3),
  disabledReason: string(4),
  disabledReasonMsg: string(5),
  disabledAlternative: string(6),
});
export const PingRequest = message({});
export const PongResponse = message({
  frontendApiCaps: messages(1, Cap),
  llbCaps: messages(2, Cap),
  workers: messages(3, WorkerRecord),
});

const Ref = message({ id: string(1), def: nested(2, DefinitionMessage) });
const Subject = message({
  kind: enumeration(1, ["self", "raw"]),
  digests: strings(2),
  name: string(3),
});
const Attestation = message({
  kind: enumeration(1, ["in-toto", "bundle"]),
  metadata: bytesMap(2),
  ref: nested(3, Ref),
  path: string(4),
  predicateType: string(5),
  subjects: messages(6, Subject),
});
export const Result = message({
  oldRef: string(1),
  oldRefs: nested(2, message({ refs: stringMap(1) })),
  ref: nested(3, Ref),
  refs: nested(4, message({ refs: messageMap(1, Ref) })),
  metadata: bytesMap(10),
  attestations: messageMap(12, message({ attestations: messages(1, Attestation) })),
});

export const SolveRequest = message({
  definition: nested(1, DefinitionMessage),
  frontend: string(2),
  frontendOpt: stringMap(3),
  allowResultReturn: bool(5),
  allowResultArrayRef: bool(6),
  final: bool(10),
  exporterAttr: bytes(11),
  cacheImports: messages(12, TypedEntry),
  frontendInputs: messageMap(13, DefinitionMessage),
  evaluate: bool(14),
});
export const SolveResponse = message({ ref: string(1), result: nested(3, Result) });

export const ReturnRequest = message({ result: nested(1, Result), error: nested(2, StatusMessage) });
export const ReturnResponse = message({});

export const ResolveImageConfigRequest = message({
  ref: string(1),
  platform: nested(2, Platform),
  resolveMode: string(3),
  logName: string(4),
  resolverType: enumeration(5, ["registry", "oci-layout"]),
  sessionId: string(6),
  storeId: string(7),
});
export const ResolveImageConfigResponse = message({ digest: string(1), config: bytes(2), ref: string(3) });

export const ResolveSourceMetaRequest = message({
  source: nested(1, message({ identifier: string(1), attrs: stringMap(2) })),
  platform: nested(2, Platform),
  logName: string(3),
  resolveMode: string(4),
  git: nested(5, message({ returnObject: bool(1) })),
  image: nested(
    6,
    message({ noConfig: bool(1), attestationChain: bool(2), resolveAttestations: strings(3) }),
  ),
});
export const ResolveSourceMetaResponse = message({
  source: nested(1, message({ identifier: string(1), attrs: stringMap(2) })),
  image: nested(2, message({ digest: string(1), config: bytes(2) })),
  git: nested(
    3,
    message({
      checksum: string(1),
      ref: string(2),
      commitChecksum: string(3),
      commitObject: bytes(4),
      tagObject: bytes(5),
    }),
  ),
  http: nested(4, message({ checksum: string(1), filename: string(2), lastModified: nested(3, Timestamp) })),
});

export const ReadFileRequest = message({
  ref: string(1),
  path: string(2),
  range: nested(3, message({ offset: int64(1), length: int64(2) })),
  mountIndex: int32(4),
});
export const ReadFileResponse = message({ data: bytes(1) });
export const ReadDirRequest = message({
  ref: string(1),
  path: string(2),
  includePattern: string(3),
  mountIndex: int32(4),
});
export const ReadDirResponse = message({ entries: messages(1, Stat) });
export const StatFileRequest = message({ ref: string(1), path: string(2), mountIndex: int32(3) });
export const StatFileResponse = message({ stat: nested(1, Stat) });
export const EvaluateRequest = message({ ref: string(1) });
export const EvaluateResponse = message({});
export const InputsRequest = message({});
export const InputsResponse = message({ definitions: messageMap(1, DefinitionMessage) });

export const WarnRequest = message({
  digest: string(1),
  level: int64(2),
  short: bytes(3),
  detail: byteStrings(4),
  url: string(5),
  info: nested(6, SourceInfoMessage),
  ranges: messages(7, Range),
});
export const WarnResponse = message({});

export const NewContainerRequest = message({
  containerId: string(1),
  mounts: messages(2, Mount),
  network: enumeration(3, networkModes),
  platform: nested(4, Platform),
  extraHosts: messages(6, message({ host: string(1), ip: string(2) })),
  hostname: string(7),
});
export const NewContainerResponse = message({});
export const ReleaseContainerRequest = message({ containerId: string(1) });
export const ReleaseContainerResponse = message({});

export const ExecMessage = message({
  processId: string(1),
  init: nested(
    2,
    message({
      containerId: string(1),
      meta: nested(2, Meta),
      fds: uint32s(3),
      tty: bool(4),
      security: enumeration(5, securityModes),
      secretEnv: messages(6, SecretEnv),
    }),
  ),
  file: nested(3, message({ fd: uint32(1), eof: bool(2), data: bytes(3) })),
  resize: nested(4, message({ rows: uint32(1), cols: uint32(2) })),
  started: nested(5, message({})),
  exit: nested(6, message({ code: uint32(1), error: nested(2, StatusMessage) })),
  done: nested(7, message({})),
  signal: nested(8, message({ name: string(1) })),
});
