/**
 * A directory of the client's, received: fsutil's protocol over `FileSync.DiffCopy`. The client tells every entry first,
 * then sends the bytes of those files that are asked for by their number.
 *
 * @see https://github.com/tonistiigi/fsutil/blob/master/receive.go
 */
import { InvalidParameterError, UnavailableError } from "../../../core/errors.ts";
import type { FileStat } from "../../frontend.ts";
import type { DirectoryOptions, DirectoryTransfer } from "../../session.ts";
import { openStream, type RpcStream } from "../grpc/client.ts";
import type { Channel, MetadataList } from "../grpc/transport.ts";
import { Packet } from "../messages/session.ts";
import type { Value } from "../wire/message.ts";
import { Inbox } from "./inbox.ts";
import { checkEntry } from "./paths.ts";
import { fromStatMessage } from "./stats.ts";

const METHOD = "/moby.filesync.v1.FileSync/DiffCopy";
const BATCH = 512;
type PacketValue = Value<typeof Packet>;

export interface DataChunk {
  readonly index: number;
  readonly bytes: Uint8Array;
  readonly end: boolean;
}

export function openTransfer(channel: Channel, name: string, options: DirectoryOptions): DirectoryTransfer {
  const metadata = [
    ...listOf("include-patterns", options.includePatterns),
    ...listOf("exclude-patterns", options.excludePatterns),
    ...listOf("followpaths", options.followPaths),
    ...listOf("dir-name", [name]),
  ];
  const stream = openStream(channel, METHOD, [Packet, Packet], { metadata, signal: options.signal });
  return new Transfer(stream);
}

/** Values that are not ASCII are escaped as in a query, and a second header says so. */
function listOf(name: string, values: readonly string[]): MetadataList {
  const plain = values.every((value) => /^[\x20-\x7e]*$/.test(value));
  if (plain) return values.map((value) => [name, value]);
  return [[`${name}-encoded`, "1"], ...values.map((value) => [name, encodeURIComponent(value)] as const)];
}

class Transfer implements DirectoryTransfer {
  readonly entries: AsyncIterable<readonly FileStat[]>;
  readonly data: AsyncIterable<DataChunk>;
  readonly #stream: RpcStream<PacketValue, PacketValue>;
  readonly #entries = new Inbox<readonly FileStat[]>();
  readonly #data = new Inbox<DataChunk>();
  readonly #finished = Promise.withResolvers<void>();
  /** Requests in the order in which they were made: one is sent after the other. */
  #sending: Promise<void> = Promise.resolve();
  #finishing = false;

  constructor(stream: RpcStream<PacketValue, PacketValue>) {
    this.#stream = stream;
    this.entries = this.#entries;
    this.data = this.#data;
    this.#finished.promise.catch(() => {}); // Told by `finish`, if anybody waits for it.
    void this.#receive();
  }

  request(index: number): void {
    this.#send({ type: "request", id: index });
  }

  async finish(): Promise<void> {
    this.#finishing = true;
    this.#send({ type: "fin" });
    await this.#finished.promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stream[Symbol.dispose]();
    await this.#sending;
  }

  #send(packet: Partial<PacketValue>): void {
    this.#sending = this.#sending
      .then(() => this.#stream.send(packet))
      .catch((error: unknown) => this.#fail(error));
  }

  async #receive(): Promise<void> {
    const order = { last: "", seen: new Set<string>() };
    let batch: FileStat[] = [];
    let told = false;
    try {
      for await (const packet of this.#stream.messages) {
        if (packet.type === "error") {
          throw new UnavailableError(`error from sender: ${new TextDecoder().decode(packet.data)}`);
        }
        if (packet.type === "stat" && packet.stat) {
          if (told) throw new InvalidParameterError("filesync: an entry after the last one");
          const stat = fromStatMessage(packet.stat);
          checkEntry(stat, order);
          batch.push(stat);
          if (batch.length < BATCH) continue;
        }
        if (batch.length > 0) await this.#entries.put(batch);
        batch = [];
        if (packet.type === "stat" && !packet.stat) {
          told = true;
          this.#entries.end();
        } else if (packet.type === "data") {
          const { id, data } = packet;
          await this.#data.put({ index: id, bytes: data, end: data.length === 0 });
        } else if (packet.type === "fin") break;
      }
      this.#end();
    } catch (error) {
      this.#fail(error);
    }
  }

  #end(): void {
    if (!this.#finishing) {
      this.#fail(new UnavailableError("the client ended the transfer too early"));
      return;
    }
    this.#entries.end();
    this.#data.end();
    this.#stream.closeSend();
    this.#finished.resolve();
  }

  #fail(error: unknown): void {
    this.#entries.fail(error);
    this.#data.fail(error);
    this.#finished.reject(error);
    this.#stream[Symbol.dispose]();
  }
}
