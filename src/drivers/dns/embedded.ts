/**
 * Embedded DNS: two sockets of this process inside of each container's network namespace, on ports of the kernel's
 * choice, and a rule there that leads 127.0.0.11:53 to them: so a container may serve 0.0.0.0:53 itself.
 * Answers names of the container's own networks; forwards the rest, from the container's namespace.
 */
import type { Socket, TCPSocketListener, udp } from "bun";
import { log } from "../../base/log.ts";
import { messageOf, SystemError } from "../../core/errors.ts";
import { findAddress, formatAddress, toBytes } from "../../core/ipam.ts";
import type { NameScope, NameServer, NameService } from "../../core/name-server.ts";
import type { NetworkNamespace } from "../../core/network-driver.ts";
import { withNamespace } from "../../linux/namespaces.ts";
import { NftablesSocket } from "../../linux/netlink-nftables.ts";
import { setReceiveBuffer } from "../../linux/sockets.ts";
import {
  type AnswerRecord,
  addressOfReverseName,
  encodeAnswer,
  encodeName,
  isTruncated,
  parseQuestion,
  type Question,
  RCODE,
  TYPE,
  truncated,
} from "./message.ts";
import { Upstream } from "./upstream.ts";

const ADDRESS = "127.0.0.11";
const DNS_PORT = 53;
const IPPROTO = { tcp: 6, udp: 17 } as const;
const TABLE = "gantry-dns";
const MOST_TCP_CLIENTS = 64;
const TCP_IDLE_SECONDS = 10;
/** The kernel's default holds 256 questions: fewer than programs ask at once when they start. */
const UDP_RECEIVE_BUFFER = 4 << 20;
/** Longest question over TCP; longer ones end the connection. */
const MOST_TCP_BYTES = 4096;

export const embeddedNameServer: NameServer = {
  async serve(namespace, scope): Promise<NameService> {
    const service = new EmbeddedService(namespace, scope);
    try {
      await service.open();
      return service;
    } catch (error) {
      service[Symbol.dispose]();
      throw new SystemError(`failed to start embedded DNS: ${messageOf(error)}`, {
        cause: error,
        subject: namespace.id,
      });
    }
  },
};

interface TcpClient {
  received: Buffer;
}

class EmbeddedService implements NameService {
  readonly #namespace: NetworkNamespace;
  readonly #scope: NameScope;
  readonly #closing = new AbortController();
  readonly #upstream: Upstream;
  #udp: udp.Socket<"buffer"> | undefined;
  #tcp: TCPSocketListener<TcpClient> | undefined;
  #tcpClients = 0;

  constructor(namespace: NetworkNamespace, scope: NameScope) {
    this.#namespace = namespace;
    this.#scope = scope;
    this.#upstream = new Upstream(namespace, this.#closing.signal);
  }

  async open(): Promise<void> {
    const path = `/proc/self/fd/${this.#namespace.descriptor}`;
    this.#udp = await withNamespace("net", path, () => this.#openUdp());
    setReceiveBuffer(descriptorOf(this.#udp), UDP_RECEIVE_BUFFER);
    // Both sockets must exist before the rule leads there.
    withNamespace("net", path, () => {
      this.#tcp = this.#openTcp();
      this.#redirect(this.#udp?.port ?? 0, this.#tcp.port);
    });
  }

  [Symbol.dispose](): void {
    this.#closing.abort();
    this.#udp?.close();
    this.#tcp?.stop(true);
  }

  #redirect(udpPort: number, tcpPort: number): void {
    using rules = NftablesSocket.open();
    const address = toBytes(findAddress(ADDRESS) ?? { family: 4, value: 0n });
    rules.redirectLocally(TABLE, [
      { protocol: IPPROTO.udp, address, port: DNS_PORT, toPort: udpPort },
      { protocol: IPPROTO.tcp, address, port: DNS_PORT, toPort: tcpPort },
    ]);
  }

  #openUdp(): Promise<udp.Socket<"buffer">> {
    return Bun.udpSocket({
      hostname: ADDRESS,
      port: 0,
      socket: {
        data: (socket, bytes, port, address) => {
          // The buffer is the socket's own: it is read again before an answer from above is there.
          const query = Buffer.from(bytes);
          const question = parseQuestion(query);
          if (!question) return;
          void this.#answer(query, question, "udp").then((answer) => {
            if (this.#closing.signal.aborted) return;
            sendOrDrop(() => socket.send(fitting(answer, question), port, address));
          });
        },
      },
    });
  }

  #openTcp(): TCPSocketListener<TcpClient> {
    return Bun.listen<TcpClient>({
      hostname: ADDRESS,
      port: 0,
      socket: {
        open: (socket) => {
          socket.data = { received: Buffer.alloc(0) };
          socket.timeout(TCP_IDLE_SECONDS);
          this.#tcpClients++;
          if (this.#tcpClients > MOST_TCP_CLIENTS) socket.end();
        },
        data: (socket, bytes) => this.#readTcp(socket, bytes),
        timeout: (socket) => {
          socket.end();
        },
        close: () => {
          this.#tcpClients--;
        },
      },
    });
  }

  #readTcp(socket: Socket<TcpClient>, bytes: Buffer): void {
    const client = socket.data;
    client.received = Buffer.concat([client.received, bytes]);
    while (client.received.length >= 2) {
      const length = client.received.readUInt16BE(0);
      if (length > MOST_TCP_BYTES) {
        socket.end();
        return;
      }
      if (client.received.length < 2 + length) return;
      const query = Buffer.from(client.received.subarray(2, 2 + length));
      client.received = client.received.subarray(2 + length);
      const question = parseQuestion(query);
      if (!question) {
        socket.end();
        return;
      }
      void this.#answer(query, question, "tcp").then((answer) => {
        const head = Buffer.alloc(2);
        head.writeUInt16BE(answer.length);
        sendOrDrop(() => socket.write(Buffer.concat([head, answer])));
      });
    }
  }

  /** Never rejects: what cannot be answered is a server's failure. */
  async #answer(query: Buffer, question: Question, transport: "udp" | "tcp"): Promise<Buffer> {
    try {
      return await this.#find(query, question, transport);
    } catch (error) {
      log("debug", "a DNS question could not be answered", { container: this.#namespace.id, error });
      return encodeAnswer(question, RCODE.SERVFAIL);
    }
  }

  async #find(query: Buffer, question: Question, transport: "udp" | "tcp"): Promise<Buffer> {
    const limit = transport === "udp" ? question.udpSize : 0xffff;
    const local = question.internet ? this.#localAnswer(question, limit) : undefined;
    if (local) return local;
    const servers = this.#scope.servers();
    const answer = await this.#upstream.ask({ query, question, transport, servers });
    return answer ?? encodeAnswer(question, RCODE.SERVFAIL);
  }

  #localAnswer(question: Question, limit: number): Buffer | undefined {
    if (question.type === TYPE.PTR) return this.#reverseAnswer(question);
    const addresses = this.#scope.addressesOf(question.name, question.type === TYPE.AAAA ? 6 : 4);
    if (!addresses) return undefined;
    // A name of ours has addresses and nothing else: other types are answered without records.
    const wanted = question.type === TYPE.A || question.type === TYPE.AAAA ? addresses : [];
    return encodeAnswer(question, RCODE.NOERROR, wanted.flatMap(toRecord), limit);
  }

  #reverseAnswer(question: Question): Buffer | undefined {
    const address = findAddress(addressOfReverseName(question.name) ?? "");
    if (!address) return undefined;
    const text = formatAddress(address);
    const name = this.#scope.nameOf(text);
    const data = name === undefined ? undefined : encodeName(name);
    if (data) return encodeAnswer(question, RCODE.NOERROR, [{ type: TYPE.PTR, data }]);
    return this.#scope.owns(text) ? encodeAnswer(question, RCODE.NXDOMAIN) : undefined;
  }
}

/** A client that has gone by now, or whose link has, is no reason for anything. */
function sendOrDrop(send: () => void): void {
  try {
    send();
  } catch (error) {
    log("debug", "a DNS answer found nobody", { error });
  }
}

function toRecord(text: string): AnswerRecord[] {
  const address = findAddress(text);
  if (!address) return [];
  return [{ type: address.family === 4 ? TYPE.A : TYPE.AAAA, data: toBytes(address) }];
}

/** It is there and missing in the types. */
function descriptorOf(socket: udp.Socket<"buffer">): number {
  return (socket as unknown as { fd: number }).fd;
}

/** An answer from above may be longer than this client takes. */
function fitting(answer: Buffer, question: Question): Buffer {
  return answer.length > question.udpSize && !isTruncated(answer) ? truncated(answer, question) : answer;
}
