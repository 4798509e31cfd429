/** The relay, through published ports: host IPv6 to containers that have IPv4 only, and `::1`. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { eventually } from "../../../../test/support/cli.ts";
import {
  callTcp,
  callUdp,
  greetTcp,
  greetUdp,
  NetworkGround,
  type NetworkStack,
  outside,
} from "../../../../test/support/network-stack.ts";
import { withNamespace } from "../../../linux/namespaces.ts";

const ground = new NetworkGround();
const PORT = 5470;
let stack: NetworkStack;

beforeAll(async () => {
  stack = await ground.open();
  await stack.networks.sandboxes.recover([]);
});
afterAll(async () => {
  stack[Symbol.dispose]();
  await ground[Symbol.asyncDispose]();
});

function publishing(name: string, binding: object, key = "80/tcp") {
  return stack.container(name, { PortBindings: { [key]: [binding] } });
}

/** Process ids of this ground's relay. */
function relays(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const args = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
        return args.includes("relay-ports") && args.includes(ground.directory);
      } catch {
        return false; // it ended meanwhile
      }
    })
    .map(Number);
}

test("a port of a container without IPv6 answers at ::1, and at no other address than the one that was asked for", async () => {
  await using everywhere = await stack.start(publishing("everywhere", { HostPort: String(PORT) }));
  await using loopback = await stack.start(
    publishing("loopback", { HostIp: "::1", HostPort: String(PORT + 1) }),
  );
  using _one = greetTcp(everywhere, 80);
  using _two = greetTcp(loopback, 80);
  expect(await callTcp(undefined, "::1", PORT)).toStartWith("hello ");
  expect(await callTcp(undefined, "127.0.0.1", PORT)).toStartWith("hello ");
  expect(await callTcp(undefined, "::1", PORT + 1)).toStartWith("hello ");
  expect(await callTcp(undefined, "127.0.0.1", PORT + 1)).toBe("refused");
  expect(loopback.ports).toEqual({ "80/tcp": [{ HostIp: "::1", HostPort: String(PORT + 1) }] });
  expect(await outside(`ss -Hltn "sport = :${PORT + 1}"`)).toContain("[::1]");
});

test("udp is relayed too, each client by its own socket", async () => {
  await using sandbox = await stack.start(publishing("udp", { HostPort: String(PORT) }, "53/udp"));
  using _server = await greetUdp(sandbox, 53);
  expect(await callUdp(undefined, "::1", PORT)).toStartWith("hello ");
  expect(await callUdp(undefined, "::1", PORT)).toStartWith("hello ");
});

test("a client that ends its sending still reads all of the answer", async () => {
  await using sandbox = await stack.start(publishing("echo", { HostPort: String(PORT) }));
  using listener = withNamespace("net", sandbox.namespacePath, () => serveHalfClosed(3_000_000));
  const answer = await outside(
    `python3 -c "
import socket
s = socket.create_connection(('::1', ${PORT}))
s.sendall(b'x' * 2000000)
s.shutdown(socket.SHUT_WR)
count = 0
while True:
    b = s.recv(65536)
    if not b: break
    count += len(b)
print(count)"`,
  );
  expect(answer).toBe("3000000");
  expect(listener.received()).toBe(2_000_000);
});

/** Reads to the end of what a client sends, and only then answers. */
function serveHalfClosed(bytes: number): Disposable & { received(): number } {
  let received = 0;
  const answer = Buffer.alloc(bytes);
  const sent = new WeakMap<object, number>();
  const send = (socket: Bun.Socket<undefined>) => {
    const at = sent.get(socket) ?? 0;
    const now = at + Math.max(0, socket.write(answer.subarray(at)));
    sent.set(socket, now);
    if (now === bytes) socket.end();
  };
  const server = Bun.listen({
    ...{ hostname: "0.0.0.0", port: 80, allowHalfOpen: true },
    socket: {
      data: (_, chunk) => {
        received += chunk.length;
      },
      end: send,
      drain: (socket) => {
        if (sent.has(socket)) send(socket);
      },
    },
  });
  return { received: () => received, [Symbol.dispose]: () => server.stop(true) };
}

test("a daemon that is killed is not noticed; the next one takes the port over and gives it back at the end", async () => {
  const container = publishing("lasting", { HostPort: String(PORT) });
  const sandbox = await stack.start(container);
  using _server = greetTcp(sandbox, 80);
  stack[Symbol.dispose]();
  expect(await callTcp(undefined, "::1", PORT)).toStartWith("hello ");
  stack = await ground.open();
  stack.records.set(container.id, { ...container, state: { ...container.state, pid: process.pid } });
  const [again] = (await stack.networks.sandboxes.recover([container])).values();
  expect(await callTcp(undefined, "::1", PORT)).toStartWith("hello ");
  expect(relays()).toHaveLength(1);
  await again?.[Symbol.asyncDispose]();
  await using next = await stack.start(publishing("next", { HostPort: String(PORT) }));
  using _other = greetTcp(next, 80);
  expect(await callTcp(undefined, "::1", PORT)).toStartWith("hello ");
});

test("a relay that dies is started again, and ends when nothing is relayed and its daemon is gone", async () => {
  {
    await using sandbox = await stack.start(publishing("healed", { HostPort: String(PORT) }));
    using _server = greetTcp(sandbox, 80);
    expect(await callTcp(undefined, "::1", PORT)).toStartWith("hello ");
    const [pid = 0] = relays();
    process.kill(pid, "SIGKILL");
    await eventually(() => relays().length === 1 && !relays().includes(pid));
    expect(await callTcp(undefined, "::1", PORT)).toStartWith("hello ");
  }
  expect(await callTcp(undefined, "::1", PORT)).toBe("refused");
  stack[Symbol.dispose]();
  await eventually(() => relays().length === 0);
  stack = await ground.open();
  await stack.networks.sandboxes.recover([]);
});
