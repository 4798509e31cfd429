/** Whatever comes over the wire, the daemon goes on. */
import { describe, expect, test } from "bun:test";
import { anything } from "../api/decode.ts";
import { parseReference } from "../core/references.ts";
import { eventually, request, serve, Wire } from "./testing.ts";

/** The same noise each time: a failure can be looked at again. */
function* noise(seed: number): Generator<number, never, void> {
  for (let state = seed; ; ) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    yield state / 2 ** 32;
  }
}

test("requests that were damaged at random are answered or cut off, and the next client is served", async () => {
  await using server = await serve({
    ContainerCreate: async (call) => call.json(await call.decode(anything)),
    ContainerList: (call) => {
      call.query.filters(["label"]);
      call.query.integer("limit");
      call.json([]);
    },
    ImageLoad: async (call) => {
      const stream = call.stream();
      for await (const bytes of call.body) await stream.writeJson(bytes.length);
    },
    ContainerAttach: async (call) => {
      using connection = call.hijack({ contentType: "x" });
      for await (const bytes of connection.input) await connection.write(bytes);
    },
    ContainerAttachWebsocket: async (call) => {
      using connection = call.hijack({ contentType: "x" });
      for await (const bytes of connection.input) await connection.write(bytes);
    },
  });
  const samples = [
    request("POST", "/v1.51/containers/create?name=x", "", '{"Image":"a","HostConfig":{"Binds":["/a:/b"]}}'),
    request("GET", '/v1.41/containers/json?limit=3&filters={"label":["a"]}'),
    "POST /images/load HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    `${request("POST", "/containers/a/attach", "Connection: Upgrade\r\nUpgrade: tcp\r\n")}typed`,
    `${request("GET", "/containers/a/attach/ws", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: a\r\nSec-WebSocket-Version: 13\r\n")}\x82\x81abcdx`,
  ];
  const random = noise(7);
  const pick = (below: number) => Math.floor(random.next().value * below);
  for (let round = 0; round < 400; round++) {
    const bytes = Buffer.from(samples[pick(samples.length)] ?? "", "latin1");
    for (let damage = pick(4); damage >= 0; damage--) bytes[pick(bytes.length)] = pick(256);
    const cut = pick(3) === 0 ? pick(bytes.length) : bytes.length;
    const wire = new Wire(server.path).send(bytes.subarray(0, cut).toString("latin1"));
    if (pick(2) === 0) wire.halfClose();
    await Bun.sleep(pick(2));
    wire.socket.destroy();
  }
  await eventually(() => server.server.load.connections === 0 && server.server.load.calls === 0);
  using wire = new Wire(server.path).send(request("GET", "/_ping"));
  expect(await wire.until("\r\n\r\nOK")).toStartWith("HTTP/1.1 200 ");
}, 20_000);

describe("the worst that a request can carry costs time that grows with its length, and the next client is served", () => {
  const long = 200_000;
  const requests: [string, string][] = [
    ["an endless path", request("GET", `/containers/${"/".repeat(long)}`)],
    ["a path of percent signs", request("GET", `/images/${"%25".repeat(long / 3)}/json`)],
    ["a path that almost ends", request("GET", `/images/${"/json".repeat(long / 5)}x`)],
    ["an absurd version", request("GET", `/v${"1.".repeat(long / 2)}/info`)],
    ["many parameters", request("GET", `/containers/json?${"a=1&".repeat(long / 4)}`)],
    ["a number of many digits", request("GET", `/containers/json?limit=${"1".repeat(long)}`)],
    [
      "filters of many names",
      request("GET", `/containers/json?filters={${'"label":[],'.repeat(long / 11)}"label":[]}`),
    ],
    ["filters without an end", request("GET", `/containers/json?filters=${"[".repeat(long)}`)],
    ["deep JSON", request("POST", "/containers/create", "", "[".repeat(4 * 1024 * 1024 - 1))],
    ["deep objects", request("POST", "/containers/create", "", '{"a":'.repeat(800_000))],
    ["escapes", request("POST", "/containers/create", "", `"${'\\"'.repeat(2_000_000)}`)],
    [
      "a content type",
      request("POST", "/containers/create", `Content-Type: ${"a;".repeat(long / 2)}\r\n`, ""),
    ],
    ["a host", `GET /_ping HTTP/1.1\r\nHost: ${"[".repeat(long)}\r\n\r\n`],
  ];
  for (const [what, bytes] of requests) {
    test(what, async () => {
      await using server = await serve({
        ContainerCreate: async (call) => call.json(await call.decode(anything)),
        ContainerList: (call) => {
          call.query.filters(["label"]);
          call.json(call.query.integer("limit") ?? null);
        },
        ImageInspect: (call) => call.json(parseReference(call.param("name"))),
      });
      using wire = new Wire(server.path).send(bytes);
      expect(await wire.until("\r\n\r\n")).toMatch(/^HTTP\/1.1 [24]\d\d /);
      using next = new Wire(server.path).send(request("GET", "/_ping"));
      await next.until("\r\n\r\nOK");
    });
  }

  test("image references", () => {
    for (const part of ["a", "a/", "a-", "a.", "a__", "a.b/", "a:", "A", "@a"]) {
      expect(() => parseReference(`${part.repeat(long)}!`)).toThrow();
    }
  });
});
