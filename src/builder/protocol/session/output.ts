/**
 * Results into the client's hands: a file as bytes, or a directory by fsutil's protocol with the daemon as the sender.
 *
 * @see https://github.com/tonistiigi/fsutil/blob/master/send.go
 */
import { UnavailableError } from "../../../core/errors.ts";
import type { OutputOptions, OutputTree, SessionOutput } from "../../session.ts";
import { openStream } from "../grpc/client.ts";
import { Code, RpcError } from "../grpc/status.ts";
import type { Channel, MetadataList } from "../grpc/transport.ts";
import { BytesMessage } from "../messages/control.ts";
import { Packet } from "../messages/session.ts";
import { isRegular, toStatMessage } from "./stats.ts";

const METHOD = "/moby.filesync.v1.FileSend/DiffCopy";
/** Clients take no message above 4 MiB. */
const LARGEST_CHUNK = 1 << 20;
const DATA_CHUNK = 32 * 1024;

export function sessionOutput(channel: Channel): SessionOutput {
  return {
    sendFile: (bytes, options) => sendFile(channel, bytes, options),
    sendDirectory: (tree, options) => sendDirectory(channel, tree, options),
  };
}

function metadataOf({ exporterId, metadata, multiPlatform }: OutputOptions): MetadataList {
  return [
    ["buildkit-attachable-exporter-id", exporterId],
    ...[...metadata].map(([name, value]) => [`exporter-md-${name}`, value] as const),
    ...(multiPlatform ? ([["buildkit-exporter-multi-platform", "1"]] as const) : []),
  ];
}

async function sendFile(
  channel: Channel,
  bytes: AsyncIterable<Uint8Array>,
  options: OutputOptions,
): Promise<void> {
  const { signal } = options;
  const types = [BytesMessage, BytesMessage] as const;
  using stream = openStream(channel, METHOD, types, { metadata: metadataOf(options), signal });
  const ended = drained(stream.messages);
  const sent = (async () => {
    for await (const chunk of bytes) {
      for (let at = 0; at < chunk.length; at += LARGEST_CHUNK) {
        await stream.send({ data: chunk.subarray(at, at + LARGEST_CHUNK) });
      }
    }
    stream.closeSend();
  })();
  // A client that refuses says why in its status, which is worth more than the broken stream.
  sent.catch(() => {});
  await Promise.race([ended, sent]);
  await ended;
  await sent;
}

/** The client has the file already, if it says so: as it should be. */
async function drained(messages: AsyncIterable<unknown>): Promise<void> {
  try {
    for await (const _ of messages);
  } catch (error) {
    if (!(error instanceof RpcError && error.code === Code.alreadyExists)) throw error;
  }
}

async function sendDirectory(channel: Channel, tree: OutputTree, options: OutputOptions): Promise<void> {
  const { signal } = options;
  using stream = openStream(channel, METHOD, [Packet, Packet], { metadata: metadataOf(options), signal });
  const files = new Map<number, string>();
  const told = (async () => {
    let count = 0;
    for await (const batch of tree.entries) {
      for (const stat of batch) {
        if (isRegular(stat.mode)) files.set(count, stat.path);
        count++;
        await stream.send({ type: "stat", stat: toStatMessage(stat) });
      }
    }
    await stream.send({ type: "stat" });
  })();
  told.catch(() => {});
  for await (const packet of stream.messages) {
    if (packet.type === "error") {
      throw new UnavailableError(`error from receiver: ${new TextDecoder().decode(packet.data)}`);
    }
    if (packet.type === "fin") {
      await told;
      await stream.send({ type: "fin" });
      stream.closeSend();
    } else if (packet.type === "request") {
      const path = files.get(packet.id);
      if (path === undefined)
        throw new UnavailableError(`the receiver asks for entry ${packet.id}, which is no file`);
      for await (const chunk of tree.read(path)) {
        for (let at = 0; at < chunk.length; at += DATA_CHUNK) {
          await stream.send({ type: "data", id: packet.id, data: chunk.subarray(at, at + DATA_CHUNK) });
        }
      }
      await stream.send({ type: "data", id: packet.id });
    }
  }
}
