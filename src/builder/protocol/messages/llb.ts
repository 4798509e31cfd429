/**
 * Definitions on the wire: the messages of BuildKit's `solver/pb/ops.proto`. `protocol/llb.ts` turns them into the graph.
 */
import {
  bigInt64,
  bool,
  boolMap,
  byteStrings,
  bytes,
  enumeration,
  int32,
  int32s,
  int64,
  int64s,
  lazily,
  type Message,
  message,
  messageMap,
  messages,
  nested,
  string,
  stringMap,
  strings,
  uint32,
  type Value,
} from "../wire/message.ts";

export const Platform = message({
  architecture: string(1),
  os: string(2),
  variant: string(3),
  osVersion: string(4),
  osFeatures: strings(5),
});

const Input = message({ digest: string(1), index: int64(2) });

const ProxyEnv = message({
  httpProxy: string(1),
  httpsProxy: string(2),
  ftpProxy: string(3),
  noProxy: string(4),
  allProxy: string(5),
});

export const Meta = message({
  args: strings(1),
  env: strings(2),
  cwd: string(3),
  user: string(4),
  proxyEnv: nested(5, ProxyEnv),
  extraHosts: messages(6, message({ host: string(1), ip: string(2) })),
  hostname: string(7),
  ulimits: messages(9, message({ name: string(1), soft: int64(2), hard: int64(3) })),
  cgroupParent: string(10),
  removeMountStubsRecursive: bool(11),
  validExitCodes: int32s(12),
});

const HandedMount = message({
  id: string(1),
  uid: uint32(2),
  gid: uint32(3),
  mode: uint32(4),
  optional: bool(5),
});

export const Mount = message({
  input: int64(1),
  selector: string(2),
  dest: string(3),
  output: int64(4),
  readonly: bool(5),
  mountType: enumeration(6, ["bind", "secret", "ssh", "cache", "tmpfs"]),
  tmpfs: nested(19, message({ size: int64(1) })),
  cache: nested(20, message({ id: string(1), sharing: enumeration(2, ["shared", "private", "locked"]) })),
  secret: nested(21, HandedMount),
  ssh: nested(22, HandedMount),
  resultId: string(23),
  contentCache: enumeration(24, ["default", "on", "off"]),
});

export const SecretEnv = message({ id: string(1), name: string(2), optional: bool(3) });
export const networkModes = ["sandbox", "host", "none"] as const;
export const securityModes = ["sandbox", "insecure"] as const;

const Exec = message({
  meta: nested(1, Meta),
  mounts: messages(2, Mount),
  network: enumeration(3, networkModes),
  security: enumeration(4, securityModes),
  secretEnv: messages(5, SecretEnv),
  cdiDevices: messages(6, message({ name: string(1), optional: bool(2) })),
});

const Source = message({ identifier: string(1), attrs: stringMap(2) });

/** `byId` alone tells a root user from no user: it is wrapped, so that 0 is seen. */
const User = message({
  byName: nested(1, message({ name: string(1), input: int64(2) })),
  byId: uint32(2),
});
const Chown = message({ user: nested(1, User), group: nested(2, User) });

const Copy = message({
  src: string(1),
  dest: string(2),
  owner: nested(3, Chown),
  mode: int32(4),
  followSymlink: bool(5),
  dirCopyContents: bool(6),
  attemptUnpackDockerCompatibility: bool(7),
  createDestPath: bool(8),
  allowWildcard: bool(9),
  allowEmptyWildcard: bool(10),
  timestamp: bigInt64(11),
  includePatterns: strings(12),
  excludePatterns: strings(13),
  alwaysReplaceExistingDestPaths: bool(14),
  modeStr: string(15),
  requiredPaths: strings(16),
});
const Mkfile = message({
  path: string(1),
  mode: int32(2),
  data: bytes(3),
  owner: nested(4, Chown),
  timestamp: bigInt64(5),
});
const Mkdir = message({
  path: string(1),
  mode: int32(2),
  makeParents: bool(3),
  owner: nested(4, Chown),
  timestamp: bigInt64(5),
});
const Rm = message({ path: string(1), allowNotFound: bool(2), allowWildcard: bool(3) });
const Symlink = message({
  oldpath: string(1),
  newpath: string(2),
  owner: nested(3, Chown),
  timestamp: bigInt64(4),
});

const FileActionMessage = message({
  input: int64(1),
  secondaryInput: int64(2),
  output: int64(3),
  copy: nested(4, Copy),
  mkfile: nested(5, Mkfile),
  mkdir: nested(6, Mkdir),
  rm: nested(7, Rm),
  symlink: nested(8, Symlink),
});

const IndexOnly = message({ input: int64(1) });

export const OpMessage = message({
  inputs: messages(1, Input),
  exec: nested(2, Exec),
  source: nested(3, Source),
  file: nested(4, message({ actions: messages(2, FileActionMessage) })),
  build: nested(
    5,
    message({
      builder: int64(1),
      inputs: messageMap(2, IndexOnly),
      def: nested(
        3,
        lazily(() => DefinitionMessage as Message<DefinitionValue>),
      ),
      attrs: stringMap(4),
    }),
  ),
  merge: nested(6, message({ inputs: messages(1, IndexOnly) })),
  diff: nested(7, message({ lower: nested(1, IndexOnly), upper: nested(2, IndexOnly) })),
  passthrough: nested(8, message({ id: string(1), outputs: int64s(2) })),
  platform: nested(10, Platform),
  constraints: nested(11, message({ filter: strings(1) })),
});

export const ProgressGroup = message({ id: string(1), name: string(2), weak: bool(3) });

export const OpMetadataMessage = message({
  ignoreCache: bool(1),
  description: stringMap(2),
  exportCache: nested(4, message({ value: bool(1) })),
  caps: boolMap(5),
  progressGroup: nested(6, ProgressGroup),
  linuxResources: nested(
    7,
    message({
      memory: int64(1),
      memorySwap: int64(2),
      cpuShares: int64(3),
      cpuPeriod: int64(4),
      cpuQuota: int64(5),
      cpusetCpus: string(6),
      cpusetMems: string(7),
    }),
  ),
});

const Position = message({ line: int32(1), character: int32(2) });
export const Range = message({ start: nested(1, Position), end: nested(2, Position) });
const Location = message({ sourceIndex: int32(1), ranges: messages(2, Range) });
const Locations = message({ locations: messages(1, Location) });

export const SourceInfoMessage = message({
  filename: string(1),
  data: bytes(2),
  definition: nested(
    3,
    lazily(() => DefinitionMessage as Message<DefinitionValue>),
  ),
  language: string(4),
});

/** Named, because a definition holds source files that hold definitions. */
export interface DefinitionValue {
  readonly def: readonly Uint8Array[];
  readonly metadata: ReadonlyMap<string, Value<typeof OpMetadataMessage>>;
  readonly source: SourceValue | undefined;
}
interface SourceValue {
  readonly locations: ReadonlyMap<string, Value<typeof Locations>>;
  readonly infos: readonly SourceInfoValue[];
}
export interface SourceInfoValue {
  readonly filename: string;
  readonly data: Uint8Array;
  readonly definition: DefinitionValue | undefined;
  readonly language: string;
}

export const DefinitionMessage: Message<DefinitionValue> = message({
  def: byteStrings(1),
  metadata: messageMap(2, OpMetadataMessage),
  source: nested(
    3,
    message({
      locations: messageMap(1, Locations),
      infos: messages(
        2,
        lazily(() => SourceInfoMessage as Message<SourceInfoValue>),
      ),
    }),
  ),
});
