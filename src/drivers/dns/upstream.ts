/**
 * Asking the servers above: each attempt has a socket of its own (a fresh port and a random id make a forged answer
 * hard), opened in the namespace that the server is asked from. Every wait ends.
 */
import { randomInt } from "node:crypto";
import type { UpstreamServer } from "../../core/name-server.ts";
import type { NetworkNamespace } from "../../core/network-driver.ts";
import { withNamespace } from "../../linux/namespaces.ts";
import { answers, type Question, RCODE, rcodeOf, withId } from "./message.ts";

/** @see invariants: DNS 1024 concurrent upstream queries, 4 s timeout */
const MOST_IN_FLIGHT = 1024;
const DEADLINE_MS = 4000;
const DNS_PORT = 53;

let inFlight = 0;

export interface UpstreamRequest {
  readonly query: Uint8Array;
  readonly question: Question;
  readonly transport: "udp" | "tcp";
  readonly namespace: NetworkNamespace;
  readonly servers: readonly UpstreamServer[];
  readonly signal: AbortSignal;
}

/** The first usable answer, with the client's id; undefined when there is none in time, or too much is under way. */
export async function askUpstream(request: UpstreamRequest): Promise<Buffer | undefined> {
  if (inFlight >= MOST_IN_FLIGHT) return undefined;
  inFlight++;
  try {
    const { servers, question } = request;
    let refusal: Buffer | undefined;
    for (const server of servers) {
      const answer = await attempt(request, server, DEADLINE_MS / servers.length);
      if (!answer) continue;
      const own = withId(answer, question.id);
      // A server that fails or refuses is not the last word while there is another one.
      if (rcodeOf(answer) !== RCODE.SERVFAIL && rcodeOf(answer) !== RCODE.REFUSED) return own;
      refusal ??= own;
    }
    return refusal;
  } finally {
    inFlight--;
  }
}

async function attempt(
  request: UpstreamRequest,
  server: UpstreamServer,
  milliseconds: number,
): Promise<Buffer | undefined> {
  const { promise, resolve } = Promise.withResolvers<Buffer | undefined>();
  const give = () => resolve(undefined);
  const timer = setTimeout(give, milliseconds);
  request.signal.addEventListener("abort", give, { once: true });
  const id = randomInt(0x10000);
  const exchange = request.transport === "udp" ? exchangeUdp : exchangeTcp;
  let close: (() => void) | undefined;
  try {
    close = await exchange(request, server, id, resolve);
    return await promise;
  } catch {
    return undefined; // no route, no port, no namespace any more: as good as no answer
  } finally {
    clearTimeout(timer);
    request.signal.removeEventListener("abort", give);
    close?.();
  }
}

function opened<T>({ namespace }: UpstreamRequest, server: UpstreamServer, open: () => T): T {
  return server.fromHost ? open() : withNamespace("net", `/proc/self/fd/${namespace.descriptor}`, open);
}

async function exchangeUdp(
  request: UpstreamRequest,
  server: UpstreamServer,
  id: number,
  resolve: (answer: Buffer | undefined) => void,
): Promise<() => void> {
  const socket = await opened(request, server, () =>
    Bun.udpSocket({
      connect: { hostname: server.address, port: DNS_PORT },
      socket: {
        data: (_, bytes) => {
          if (answers(bytes, id, request.question)) resolve(Buffer.from(bytes));
        },
        error: () => resolve(undefined),
      },
    }),
  );
  socket.send(withId(request.query, id));
  return () => socket.close();
}

async function exchangeTcp(
  request: UpstreamRequest,
  server: UpstreamServer,
  id: number,
  resolve: (answer: Buffer | undefined) => void,
): Promise<() => void> {
  let received = Buffer.alloc(0);
  const socket = await opened(request, server, () =>
    Bun.connect({
      hostname: server.address,
      port: DNS_PORT,
      socket: {
        data: (_, bytes) => {
          received = Buffer.concat([received, bytes]);
          if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return;
          const answer = received.subarray(2, 2 + received.readUInt16BE(0));
          resolve(answers(answer, id, request.question) ? answer : undefined);
        },
        close: () => resolve(undefined),
        error: () => resolve(undefined),
      },
    }),
  );
  const query = withId(request.query, id);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(query.length);
  socket.write(Buffer.concat([length, query]));
  return () => socket.end();
}
