/** A content store on the client's side: OCI layouts that are built from, caches that are kept in directories. */
import type { SessionContent } from "../../session.ts";
import { type CallOptions, callOnce, openStream } from "../grpc/client.ts";
import { Code, RpcError } from "../grpc/status.ts";
import type { Channel } from "../grpc/transport.ts";
import {
  ContentInfoRequest,
  ContentInfoResponse,
  ReadContentRequest,
  ReadContentResponse,
  UpdateContentRequest,
  UpdateContentResponse,
  WriteContentRequest,
  WriteContentResponse,
} from "../messages/session.ts";

const SERVICE = "/containerd.services.content.v1.Content";
const CHUNK = 1 << 20;

/** @param storeId `oci:NAME`, `local:DIR`, `export` */
export function sessionContent(channel: Channel, storeId: string): SessionContent {
  const withStore = (options: { signal?: AbortSignal }): CallOptions => ({
    metadata: [["buildkit-attachable-store-id", storeId]],
    ...options,
  });
  return {
    async stat(digest, { signal }) {
      try {
        const { info } = await callOnce(
          channel,
          `${SERVICE}/Info`,
          [ContentInfoRequest, ContentInfoResponse],
          { digest },
          withStore({ signal }),
        );
        return info && { size: info.size };
      } catch (error) {
        if (error instanceof RpcError && error.code === Code.notFound) return undefined;
        throw error;
      }
    },
    async *read(digest, { signal }) {
      const types = [ReadContentRequest, ReadContentResponse] as const;
      using stream = openStream(channel, `${SERVICE}/Read`, types, withStore({ signal }));
      await stream.send({ digest });
      stream.closeSend();
      for await (const { data } of stream.messages) yield data;
    },
    async write(bytes, { digest, size }, { signal }) {
      const types = [WriteContentRequest, WriteContentResponse] as const;
      using stream = openStream(channel, `${SERVICE}/Write`, types, withStore({ signal }));
      const replies = stream.messages[Symbol.asyncIterator]();
      const ref = `gantry-${digest}`;
      let offset = 0;
      try {
        for await (const chunk of bytes) {
          for (let at = 0; at < chunk.length; at += CHUNK) {
            const data = chunk.subarray(at, at + CHUNK);
            await stream.send({ action: "write", ref, total: size, expected: digest, offset, data });
            await replies.next();
            offset += data.length;
          }
        }
        await stream.send({ action: "commit", ref, total: size, expected: digest, offset });
        await replies.next();
        stream.closeSend();
        while (!(await replies.next()).done);
      } catch (error) {
        // There already: as it should be.
        if (!(error instanceof RpcError && error.code === Code.alreadyExists)) throw error;
      }
    },
    async label(digest, labels) {
      const info = { digest, size: 0, labels: new Map(Object.entries(labels)) };
      const paths = Object.keys(labels).map((name) => `labels.${name}`);
      await callOnce(
        channel,
        `${SERVICE}/Update`,
        [UpdateContentRequest, UpdateContentResponse],
        { info, updateMask: { paths } },
        withStore({}),
      );
    },
  };
}
