/** Both ends over sockets that begin with HTTP/1.1 and are upgraded, as Docker's clients do it. */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { connect as connectSocket, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RawConnection } from "../exchange.ts";
import { createHost } from "../index.ts";
import { eventually } from "../testing.ts";
import { type Http2Client, type Http2Handler, openHttp2Client, StreamReset, serveHttp2 } from "./index.ts";

const SWITCH = [
  ["Connection", "Upgrade"],
  ["Upgrade", "h2c"],
] as const;

/** A host that serves `handler` over whatever is upgraded, and a client on such a connection. */
async function pair(handler: Http2Handler) {
  const directory = mkdtempSync(join(tmpdir(), "gantry-h2-"));
  const host = createHost();
  const path = join(directory, "s");
  await host.listen({ kind: "unix", path }, async (exchange) => {
    await serveHttp2(exchange.takeOver(101, "Switching Protocols", SWITCH), handler, exchange.signal);
  });
  const client = openHttp2Client(await upgrade(path));
  return {
    host,
    path,
    client,
    [Symbol.asyncDispose]: async () => {
      client[Symbol.dispose]();
      await host.close(200);
      rmSync(directory, { recursive: true });
    },
  };
}

/** The client's side of an upgrade. */
async function upgrade(path: string): Promise<RawConnection> {
  const socket = connectSocket({ path, allowHalfOpen: true });
  socket.write("POST /grpc HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
  const raw = fromSocket(socket);
  const input = raw.input[Symbol.asyncIterator]();
  let head = Buffer.alloc(0);
  while (!head.includes("\r\n\r\n")) {
    const next = await input.next();
    if (next.done) throw new Error("the server closed before it switched");
    head = Buffer.concat([head, next.value]);
  }
  const early = head.subarray(head.indexOf("\r\n\r\n") + 4);
  return {
    ...raw,
    input: (async function* () {
      if (early.length > 0) yield early;
      yield* { [Symbol.asyncIterator]: () => input };
    })(),
  };
}

function fromSocket(socket: Socket): RawConnection {
  const { promise: closed, resolve } = Promise.withResolvers<void>();
  socket.on("close", () => resolve()).on("error", () => resolve());
  return {
    input: socket as AsyncIterable<Buffer>,
    write: (bytes) => new Promise((done) => void socket.write(bytes, () => done())),
    end: async () => void socket.end(),
    closed,
    [Symbol.dispose]: () => void socket.destroy(),
  };
}

async function text(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const bytes of body) chunks.push(bytes);
  return Buffer.concat(chunks).toString();
}

const call = (client: Http2Client, path: string, body = "") => {
  const made = client.request({ path, headers: [["content-type", "application/grpc"]] });
  if (body) void made.write(Buffer.from(body));
  made.end();
  return made;
};

const echo: Http2Handler = async (exchange) => {
  exchange.respond(200, [["content-type", "application/grpc"]]);
  for await (const bytes of exchange.body) await exchange.write(bytes);
  await exchange.end([
    ["grpc-status", "0"],
    ["x-path", exchange.path],
    ["x-bin", "a"],
    ["x-bin", "b"],
  ]);
};

describe("HTTP/2 on an upgraded socket", () => {
  test("carries requests and replies with trailers, many at a time", async () => {
    await using both = await pair(echo);
    const calls = Array.from({ length: 50 }, (_, n) => call(both.client, `/s/${n}`, `body ${n}`));
    for (const [n, made] of calls.entries()) {
      const { status, headers } = await made.response();
      expect([status, headers.get("content-type")]).toEqual([200, ["application/grpc"]]);
      expect(await text(made.body)).toBe(`body ${n}`);
      const trailers = await made.trailers();
      expect([trailers.get("grpc-status"), trailers.get("x-path")]).toEqual([["0"], [`/s/${n}`]]);
      expect(trailers.get("x-bin")?.join(", ")).toBe("a, b");
    }
  });

  test("carries a reply of trailers alone", async () => {
    await using both = await pair((exchange) => exchange.end([["grpc-status", "12"]]));
    const made = call(both.client, "/no/such");
    expect((await made.response()).headers.get("grpc-status")).toEqual(["12"]);
    expect(await text(made.body)).toBe("");
    expect((await made.trailers()).get("grpc-status")).toEqual(["12"]);
  });

  test("goes both ways at once, and megabytes of it", async () => {
    await using both = await pair(echo);
    const made = both.client.request({ path: "/s/big", headers: [] });
    const size = 20 * 1024 * 1024;
    const sending = (async () => {
      for (let sent = 0; sent < size; sent += 65536) await made.write(Buffer.alloc(65536, 1));
      made.end();
    })();
    let got = 0;
    for await (const bytes of made.body) got += bytes.length;
    await sending;
    expect(got).toBe(size);
  });

  test("holds back who sends what nobody reads", async () => {
    const { promise: go, resolve } = Promise.withResolvers<void>();
    await using both = await pair(async (exchange) => {
      exchange.respond(200, []);
      await go;
      const body = await text(exchange.body);
      await exchange.end([["x-length", String(body.length)]]);
    });
    const made = both.client.request({ path: "/s/held", headers: [] });
    let written = 0;
    const sending = (async () => {
      for (; written < 16; written++) await made.write(Buffer.alloc(1024 * 1024));
      made.end();
    })();
    await made.response();
    const before = written;
    expect(before).toBeLessThan(8);
    resolve();
    await sending;
    expect((await made.trailers()).get("x-length")).toEqual([String(16 * 1024 * 1024)]);
  });

  test("tells the server that a call was given up, and the client that it was reset", async () => {
    const seen: string[] = [];
    await using both = await pair(async (exchange) => {
      exchange.respond(200, []);
      if (exchange.path === "/fails") throw new Error("bug");
      await new Promise<void>((resolve) => exchange.signal.addEventListener("abort", () => resolve()));
      seen.push((exchange.signal.reason as Error).name);
    });
    const abort = new AbortController();
    const made = both.client.request({ path: "/waits", headers: [], signal: abort.signal });
    await made.response();
    abort.abort();
    await eventually(() => seen.length === 1);
    expect(seen).toEqual(["AbortError"]);
    expect(made.trailers()).rejects.toBeInstanceOf(StreamReset);
    const failed = call(both.client, "/fails");
    await expect(text(failed.body)).rejects.toBeInstanceOf(StreamReset);
    expect(await Promise.resolve(call(both.client, "/waits").response())).toMatchObject({ status: 200 });
  });

  test("answers pings, and a peer that is gone ends everything at both ends", async () => {
    let aborted = 0;
    await using both = await pair(async (exchange) => {
      exchange.signal.addEventListener("abort", () => aborted++);
      exchange.respond(200, []);
      await new Promise<void>((resolve) => exchange.signal.addEventListener("abort", () => resolve()));
    });
    await both.client.ping(2000);
    const made = both.client.request({ path: "/waits", headers: [] });
    await made.response();
    await both.host.close(50);
    await both.client.closed;
    await eventually(() => aborted === 1);
    await expect(made.trailers()).rejects.toBeInstanceOf(StreamReset);
    await expect(call(both.client, "/late").response()).rejects.toBeInstanceOf(StreamReset);
    await expect(both.client.ping(200)).rejects.toThrow();
  });

  test("a client that vanishes in the middle leaves nothing", async () => {
    let aborted = 0;
    await using both = await pair(async (exchange) => {
      exchange.respond(200, []);
      await new Promise<void>((resolve) => exchange.signal.addEventListener("abort", () => resolve()));
      aborted++;
    });
    await both.client.request({ path: "/waits", headers: [] }).response();
    both.client[Symbol.dispose]();
    await eventually(() => aborted === 1 && both.host.load.exchanges === 0);
    await eventually(() => both.host.load.connections === 0);
  });

  test("what is no HTTP/2 ends the connection and nothing else", async () => {
    await using both = await pair(echo);
    const raw = await upgrade(both.path);
    await raw.write(Buffer.from("this is no preface, by no means at all"));
    await text(raw.input);
    raw[Symbol.dispose]();
    expect(await text(call(both.client, "/s/x", "still here").body)).toBe("still here");
  });

  test("is spoken from the first byte on by a client that knows, where the endpoint allows it", async () => {
    await using both = await pair(echo);
    const path = `${both.path}2`;
    await both.host.listen({ kind: "unix", path }, (exchange) => exchange.reply(200, [], "one"), {
      http2: (raw, exchange) => serveHttp2(raw, echo, exchange.signal),
    });
    using knows = openHttp2Client(fromSocket(connectSocket({ path, allowHalfOpen: true })));
    expect(await text(call(knows, "/s/x", "straight").body)).toBe("straight");
    using refused = openHttp2Client(fromSocket(connectSocket({ path: both.path, allowHalfOpen: true })));
    await refused.closed;
    await expect(call(refused, "/s/x").response()).rejects.toBeInstanceOf(StreamReset);
  });

  test("hears a client whose first frames come with the request", async () => {
    await using both = await pair(echo);
    const socket = connectSocket(both.path);
    const early = Buffer.concat([
      Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
      Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]),
    ]);
    socket.write(
      Buffer.concat([Buffer.from("POST /grpc HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\n\r\n"), early]),
    );
    let received = Buffer.alloc(0);
    socket.on("data", (bytes: Buffer) => {
      received = Buffer.concat([received, bytes]);
    });
    const acknowledged = Buffer.from([0, 0, 0, 4, 1, 0, 0, 0, 0]);
    await eventually(() => received.includes(acknowledged));
    socket.destroy();
  });
});
