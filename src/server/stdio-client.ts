/** A hijacked connection as the client side of a process's stdio: frames on a multiplexed stream, bytes on a raw one. */
import { untilDetached } from "../api/detach-keys.ts";
import { encodeFrame } from "../api/frames.ts";
import type { StdioClient } from "../engine/containers/streams/stdio.ts";
import type { HijackedConnection } from "./call.ts";

export interface StdioClientOptions {
  readonly framed: boolean;
  /** For terminals: the keys that leave the process running. */
  readonly detachKeys: Uint8Array | undefined;
}

export function toStdioClient(
  connection: HijackedConnection,
  { framed, detachKeys }: StdioClientOptions,
): StdioClient {
  const { promise: detached, resolve: detach } = Promise.withResolvers<void>();
  return {
    input: detachKeys ? untilDetached(connection.input, detachKeys, detach) : connection.input,
    write: ({ stream, bytes }) => connection.write(framed ? encodeFrame(stream, bytes) : bytes),
    closed: connection.closed,
    detached,
  };
}
