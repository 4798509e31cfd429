/**
 * Asking the servers above: each attempt has a socket of its own (a fresh port and a random id make a forged answer
 * hard), opened in the namespace that the server is asked from. Every wait ends.
 */
import { randomInt } from "node:crypto";
import { log } from "../../base/log.ts";
import { findAddress, toBytes } from "../../core/ipam.ts";
import type { UpstreamServer } from "../../core/name-server.ts";
import type { NetworkNamespace } from "../../core/network-driver.ts";
import { withNamespace } from "../../linux/namespaces.ts";
import { adoptSocket, beginTcpConnection } from "../../linux/sockets.ts";
import { answers, type Question, RCODE, rcodeOf, withId } from "./message.ts";

/** Of one container. @see invariants: DNS 1024 concurrent upstream queries, 4 s timeout */
const MOST_IN_FLIGHT = 1024;
/** Of all containers: each query takes a descriptor of this process. */
const MOST_OF_ALL = 4096;
const DEADLINE_MS = 4000;
const COMPLAINT_INTERVAL_MS = 60_000;
const DNS_PORT = 53;

let ofAll = 0;

export interface UpstreamRequest {
  readonly query: Uint8Array;
  readonly question: Question;
  readonly transport: "udp" | "tcp";
  readonly servers: readonly UpstreamServer[];
}

/** What one container asks of the servers above. */
export class Upstream {
  readonly #namespace: NetworkNamespace;
  readonly #signal: AbortSignal;
  #inFlight = 0;
  #dropped = 0;
  #complainedAt = Number.NEGATIVE_INFINITY;

  /** @param signal ends all waiting */
  constructor(namespace: NetworkNamespace, signal: AbortSignal) {
    this.#namespace = namespace;
    this.#signal = signal;
  }

  /** The first usable answer, with the client's id; undefined when there is none in time, or too much is under way. */
  async ask(request: UpstreamRequest): Promise<Buffer | undefined> {
    if (this.#inFlight >= MOST_IN_FLIGHT || ofAll >= MOST_OF_ALL) {
      this.#drop();
      return undefined;
    }
    this.#inFlight++;
    ofAll++;
    try {
      return await this.#askInTurn(request);
    } finally {
      this.#inFlight--;
      ofAll--;
    }
  }

  async #askInTurn(request: UpstreamRequest): Promise<Buffer | undefined> {
    const { servers, question } = request;
    let refusal: Buffer | undefined;
    for (const server of servers) {
      const answer = await this.#attempt(request, server, DEADLINE_MS / servers.length);
      if (!answer) continue;
      const own = withId(answer, question.id);
      // A server that fails or refuses is not the last word while there is another one.
      if (rcodeOf(answer) !== RCODE.SERVFAIL && rcodeOf(answer) !== RCODE.REFUSED) return own;
      refusal ??= own;
    }
    return refusal;
  }

  async #attempt(
    request: UpstreamRequest,
    server: UpstreamServer,
    milliseconds: number,
  ): Promise<Buffer | undefined> {
    const { promise, resolve } = Promise.withResolvers<Buffer | undefined>();
    const give = () => resolve(undefined);
    const timer = setTimeout(give, milliseconds);
    this.#signal.addEventListener("abort", give, { once: true });
    const exchange = request.transport === "udp" ? exchangeUdp : exchangeTcp;
    let close: (() => void) | undefined;
    try {
      close = await exchange(this.#namespace, request, server, resolve);
      return await promise;
    } catch {
      return undefined; // no route, no port, no namespace any more: as good as no answer
    } finally {
      clearTimeout(timer);
      this.#signal.removeEventListener("abort", give);
      close?.();
    }
  }

  #drop(): void {
    this.#dropped++;
    const now = performance.now();
    if (now - this.#complainedAt < COMPLAINT_INTERVAL_MS) return;
    log("warn", "too many DNS queries at once: some are not asked of the servers above", {
      ...{ container: this.#namespace.id, dropped: this.#dropped, underWay: this.#inFlight },
    });
    this.#complainedAt = now;
    this.#dropped = 0;
  }
}

/** Opens a socket in the namespace that the server is asked from. */
function opened<T>(namespace: NetworkNamespace, server: UpstreamServer, open: () => T): T {
  return server.fromHost ? open() : withNamespace("net", `/proc/self/fd/${namespace.descriptor}`, open);
}

type Exchange = (
  namespace: NetworkNamespace,
  request: UpstreamRequest,
  server: UpstreamServer,
  resolve: (answer: Buffer | undefined) => void,
) => Promise<() => void>;

/** Asks without waiting for anything but the socket. Both return what closes it. */
const exchangeUdp: Exchange = async (namespace, { query, question }, server, resolve) => {
  const id = randomInt(0x10000);
  const socket = await opened(namespace, server, () =>
    Bun.udpSocket({
      connect: { hostname: server.address, port: DNS_PORT },
      socket: {
        data: (_, bytes) => {
          if (answers(bytes, id, question)) resolve(Buffer.from(bytes));
        },
        error: () => resolve(undefined),
      },
    }),
  );
  socket.send(withId(query, id));
  return () => socket.close();
};

const exchangeTcp: Exchange = async (namespace, { query, question }, server, resolve) => {
  const address = findAddress(server.address);
  if (!address) throw new Error(`not an address: ${server.address}`);
  const id = randomInt(0x10000);
  let received = Buffer.alloc(0);
  let unsent = Buffer.alloc(2 + query.length);
  unsent.writeUInt16BE(query.length);
  unsent.set(withId(query, id), 2);
  let socket: Bun.Socket | undefined;
  const send = () => {
    if (socket && unsent.length > 0) unsent = unsent.subarray(Math.max(0, socket.write(unsent)));
  };
  const fd = opened(namespace, server, () => beginTcpConnection(address.family, toBytes(address), DNS_PORT));
  socket = await adoptSocket(fd, {
    data: (bytes) => {
      received = Buffer.concat([received, bytes]);
      if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return;
      const answer = received.subarray(2, 2 + received.readUInt16BE(0));
      resolve(answers(answer, id, question) ? answer : undefined);
    },
    close: () => resolve(undefined),
    drain: send,
  });
  send();
  return () => socket.terminate();
};
