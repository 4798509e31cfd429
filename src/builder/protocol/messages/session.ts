/** The messages of the services that a client offers in its session. */
import {
  bigInt64,
  bytes,
  bytesMap,
  enumeration,
  int32,
  int64,
  message,
  nested,
  string,
  stringMap,
  strings,
  uint32,
} from "../wire/message.ts";

/** `fsutil.types.Stat`; the mode is Go's FileMode. */
export const Stat = message({
  path: string(1),
  mode: uint32(2),
  uid: uint32(3),
  gid: uint32(4),
  size: int64(5),
  modTime: bigInt64(6),
  linkname: string(7),
  devmajor: int64(8),
  devminor: int64(9),
  xattrs: bytesMap(10),
});

export const Packet = message({
  type: enumeration(1, ["stat", "request", "data", "fin", "error"]),
  stat: nested(2, Stat),
  id: uint32(3),
  data: bytes(4),
});

export const CredentialsRequest = message({ host: string(1) });
export const CredentialsResponse = message({ username: string(1), secret: string(2) });
export const FetchTokenRequest = message({
  clientId: string(1),
  host: string(2),
  realm: string(3),
  service: string(4),
  scopes: strings(5),
});
export const FetchTokenResponse = message({ token: string(1), expiresIn: int64(2), issuedAt: int64(3) });

export const GetSecretRequest = message({ id: string(1), annotations: stringMap(2) });
export const GetSecretResponse = message({ data: bytes(1) });

export const CheckAgentRequest = message({ id: string(1) });
export const CheckAgentResponse = message({});

export const HealthCheckRequest = message({ service: string(1) });
export const HealthCheckResponse = message({ status: int32(1) });

/** `containerd.services.content.v1` */
export const ContentInfo = message({
  digest: string(1),
  size: int64(2),
  labels: stringMap(5),
});
export const ContentInfoRequest = message({ digest: string(1) });
export const ContentInfoResponse = message({ info: nested(1, ContentInfo) });
export const ReadContentRequest = message({ digest: string(1), offset: int64(2), size: int64(3) });
export const ReadContentResponse = message({ offset: int64(1), data: bytes(2) });
export const WriteContentRequest = message({
  action: enumeration(1, ["stat", "write", "commit"]),
  ref: string(2),
  total: int64(3),
  expected: string(4),
  offset: int64(5),
  data: bytes(6),
  labels: stringMap(7),
});
export const WriteContentResponse = message({
  action: enumeration(1, ["stat", "write", "commit"]),
  offset: int64(4),
  total: int64(5),
  digest: string(6),
});
export const UpdateContentRequest = message({
  info: nested(1, ContentInfo),
  updateMask: nested(2, message({ paths: strings(1) })),
});
export const UpdateContentResponse = message({ info: nested(1, ContentInfo) });
