/** Over the real kernel, in a network namespace of its own, with servers that are silent in every way. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { closeSync, openSync } from "node:fs";
import { eventually } from "../../../test/support/cli.ts";
import { inside, toQuery } from "../../../test/support/network-stack.ts";
import type { NameScope } from "../../core/name-server.ts";
import type { NetworkNamespace } from "../../core/network-driver.ts";
import { currentNamespacePath, withNamespace, withNewNamespace } from "../../linux/namespaces.ts";
import { setReceiveBuffer } from "../../linux/sockets.ts";
import { embeddedNameServer } from "./embedded.ts";
import { parseQuestion } from "./message.ts";
import { Upstream } from "./upstream.ts";

/** Takes queries and connections, and says nothing. */
const SILENT = "127.0.0.2";
const ANSWERING = "127.0.0.3";
/** Nobody is there to refuse. */
const GONE = "203.0.113.9";
const DNS_PORT = 53;

let namespace: NetworkNamespace;
const servers = new DisposableStack();

beforeAll(async () => {
  const descriptor = withNewNamespace("net", () => openSync(currentNamespacePath("net"), "r"));
  const path = `/proc/${process.pid}/fd/${descriptor}`;
  namespace = { id: "upstream", path, openPath: path, descriptor, [Symbol.dispose]: () => {} };
  await inside(
    { namespacePath: path },
    `ip link set lo up; ip link add up0 type bridge; ip addr add 203.0.113.1/24 dev up0; ip link set up0 up
     ip neigh add ${GONE} lladdr 02:00:00:00:00:09 dev up0`,
  );
  const silent = await withNamespace("net", path, () =>
    Bun.udpSocket({ hostname: SILENT, port: DNS_PORT, socket: { data() {} } }),
  );
  const answering = await withNamespace("net", path, () =>
    Bun.udpSocket({
      ...{ hostname: ANSWERING, port: DNS_PORT },
      socket: {
        data: (socket, query, port, from) => {
          const answer = Buffer.from(query);
          answer.writeUInt16BE(0x8180, 2);
          socket.send(answer, port, from);
        },
      },
    }),
  );
  const listening = withNamespace("net", path, () =>
    Bun.listen({ hostname: SILENT, port: DNS_PORT, socket: { data() {} } }),
  );
  const answeringTcp = withNamespace("net", path, () =>
    Bun.listen({
      ...{ hostname: ANSWERING, port: DNS_PORT },
      socket: {
        data: (socket, query) => {
          const answer = Buffer.from(query);
          answer.writeUInt16BE(0x8180, 4);
          socket.end(answer);
        },
      },
    }),
  );
  servers.defer(() => answeringTcp.stop(true));
  servers.defer(() => silent.close());
  servers.defer(() => answering.close());
  servers.defer(() => listening.stop(true));
});
afterAll(() => {
  servers.dispose();
  closeSync(namespace.descriptor);
});

function request(transport: "udp" | "tcp", ...addresses: readonly string[]) {
  const query = toQuery("example.com", 1);
  const question = parseQuestion(query);
  if (!question) throw new Error("the query is none");
  return { query, question, transport, servers: addresses.map((address) => ({ address, fromHost: false })) };
}

function newUpstream() {
  const closing = new AbortController();
  return { upstream: new Upstream(namespace, closing.signal), end: () => closing.abort() };
}

describe("a server that does not answer", () => {
  test("is given up in time, over udp and tcp, and nothing of the attempts stays open", async () => {
    const { upstream } = newUpstream();
    const attempts = (["udp", "tcp"] as const).flatMap((transport) =>
      [SILENT, GONE].map((address) => upstream.ask(request(transport, address))),
    );
    expect(await Promise.all(attempts)).toEqual([undefined, undefined, undefined, undefined]);
    const open = () =>
      inside({ namespacePath: namespace.path }, "ss -Htuan state established state syn-sent");
    await eventually(async () => (await open()) === "");
  }, 15_000);

  test.each(["udp", "tcp"] as const)(
    "over %s leaves time for the next one",
    async (transport) => {
      const { upstream } = newUpstream();
      const answer = await upstream.ask(request(transport, GONE, ANSWERING));
      expect(answer?.readUInt16BE(0)).toBe(0x1234);
    },
    15_000,
  );
});

test("one container's 1024 queries are its own: the next is not asked, and others are", async () => {
  const { upstream, end } = newUpstream();
  let settled = 0;
  const waiting = Array.from({ length: 1024 }, () =>
    upstream.ask(request("udp", SILENT)).finally(() => settled++),
  );
  expect(await upstream.ask(request("udp", ANSWERING))).toBeUndefined();
  expect(await newUpstream().upstream.ask(request("udp", ANSWERING))).toBeDefined();
  expect(settled).toBe(0);
  end();
  await Promise.all(waiting);
  expect(await newUpstream().upstream.ask(request("udp", ANSWERING))).toBeDefined();
});

test("a thousand questions at once are all answered", async () => {
  const scope: NameScope = {
    addressesOf: () => ["192.0.2.1"],
    nameOf: () => undefined,
    owns: () => true,
    servers: () => [],
  };
  using _service = await embeddedNameServer.serve(namespace, scope);
  const { promise, resolve } = Promise.withResolvers<void>();
  let answers = 0;
  const client = await withNamespace("net", namespace.path, () =>
    Bun.udpSocket({
      connect: { hostname: "127.0.0.11", port: DNS_PORT },
      socket: {
        data: () => {
          if (++answers === 1000) resolve();
        },
      },
    }),
  );
  setReceiveBuffer((client as unknown as { fd: number }).fd, 4 << 20);
  for (let i = 0; i < 1000; i++) client.send(toQuery("web", 1));
  await promise;
  client.close();
}, 10_000);
