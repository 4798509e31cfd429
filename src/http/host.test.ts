/** The host as a server of any kind sees it; nothing of Docker's in here. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { request as httpsRequest } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as tlsConnect } from "node:tls";
import {
  acceptWebSocket,
  createHost,
  type ExchangeHandler,
  type HostOptions,
  HttpError,
  type HttpHost,
  readWhole,
  serveContent,
} from "./index.ts";
import { eventually, Wire } from "./testing.ts";
import { encodeMessage, FrameDecoder } from "./websocket.ts";

let directory = "";
const file = (name: string) => join(directory, name);
const pem = (name: string) => readFileSync(file(name), "utf8");

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "gantry-http-"));
  const openssl = (...args: string[]) => execFileSync("openssl", args, { cwd: directory, stdio: "ignore" });
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  for (const name of ["ca", "first", "second"]) {
    const subject = ["-subj", `/CN=${name}`, "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"];
    openssl("req", "-x509", ...key, "-keyout", `${name}.key`, "-out", `${name}.pem`, ...subject);
  }
  openssl("req", ...key, "-keyout", "client.key", "-out", "client.csr", "-subj", "/CN=alice/O=x");
  openssl(
    ..."x509 -req -in client.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out client.pem -days 2".split(" "),
  );
});

afterAll(() => rmSync(directory, { recursive: true }));

let sockets = 0;

async function serve(handler: ExchangeHandler, options: HostOptions = {}) {
  const host = createHost(options);
  const path = file(`${++sockets}.sock`);
  await host.listen({ kind: "unix", path }, handler);
  return { host, path, [Symbol.asyncDispose]: () => host.close(100) };
}

const get = (target: string, headers = "", method = "GET") =>
  `${method} ${target} HTTP/1.1\r\nHost: here\r\n${headers}\r\n`;

describe("a host", () => {
  test("hands requests to the handler of the endpoint that they came to", async () => {
    const host = createHost();
    const wires = await Promise.all(
      ["a", "b"].map(async (name) => {
        await host.listen({ kind: "unix", path: file(`${name}.sock`) }, (exchange) =>
          exchange.reply(200, [], name),
        );
        return new Wire(file(`${name}.sock`)).send(get("/"));
      }),
    );
    expect(await wires[0]?.until("\r\n\r\na")).toContain("200 OK");
    expect(await wires[1]?.until("\r\n\r\nb")).toContain("200 OK");
    for (const wire of wires) wire[Symbol.dispose]();
    await host.close(100);
  });

  test("renders errors in its server's words: thrown, unforeseen, forgotten, and of requests that nobody could read", async () => {
    await using server = await serve(
      (exchange) => {
        if (exchange.head.target === "/known") {
          throw new HttpError(401, "who are you", { headers: [["WWW-Authenticate", "Basic"]] });
        }
        if (exchange.head.target === "/unknown") throw new Error("a secret");
      },
      { renderError: ({ message }) => ({ contentType: "text/x", body: `<${message}>` }) },
    );
    using wire = new Wire(server.path).send(
      `${get("/known")}${get("/unknown")}${get("/forgotten")}NONSENSE\r\n\r\n`,
    );
    const replies = (await wire.end()).split("HTTP/1.1 ").slice(1);
    expect(replies.map((reply) => `${reply.slice(0, 3)} ${reply.split("\r\n\r\n")[1]}`)).toEqual([
      "401 <who are you>",
      "500 <internal server error>",
      "500 <internal server error>",
      "400 <malformed request line>",
    ]);
    expect(replies[0]).toContain("WWW-Authenticate: Basic\r\nContent-Type: text/x\r\n");
  });

  test("turns away who comes when it is full, with an answer", async () => {
    await using server = await serve((exchange) => exchange.reply(200, [], "hi"), {
      limits: { maxConnections: 1 },
    });
    using first = new Wire(server.path);
    await eventually(() => server.host.load.connections === 1);
    using second = new Wire(server.path).send(get("/"));
    expect(await second.end()).toMatch(/^HTTP\/1.1 503 [\s\S]*too many connections\n$/);
    expect(await first.send(get("/")).until("hi")).toContain("200 OK");
  });

  test("ends in order: nothing new, idle ones closed, what is under way may finish, what does not is cut off", async () => {
    const seen: string[] = [];
    const { host, path } = await serve(async (exchange) => {
      exchange.onInterrupt = (what) => seen.push(`${exchange.head.target} ${what}`);
      if (exchange.head.target === "/hung") {
        await new Promise((resolve) => exchange.signal.addEventListener("abort", resolve));
        return exchange.destroy();
      }
      await Bun.sleep(50);
      await exchange.reply(200, [], "done");
    });
    using idle = new Wire(path);
    using slow = new Wire(path).send(get("/slow"));
    using hung = new Wire(path).send(get("/hung"));
    await eventually(() => host.load.exchanges === 2 && host.load.connections === 3);
    await host.close(300);
    expect(await slow.end()).toContain("done");
    expect([await idle.end(), await hung.end()]).toEqual(["", ""]);
    expect(seen).toEqual(["/slow stopping", "/hung stopping", "/hung cut-off"]);
    await eventually(() => host.load.connections === 0);
    await host.close(0);
  });
});

describe("a body", () => {
  test("of any size streams both ways in bounded memory", async () => {
    await using server = await serve(async (exchange) => {
      const reply = exchange.stream(200, [], exchange.bodyLength);
      for await (const bytes of exchange.body) await reply.write(bytes);
      await reply.end();
    });
    // Both ends are in this process, and its heap breathes: what counts is that it does not grow with the body.
    const size = 384 * 1024 * 1024;
    const before = process.memoryUsage().rss;
    using wire = new Wire(server.path, { keep: 200 });
    wire.send(get("/", `Content-Length: ${size}\r\n`, "PUT"));
    const piece = Buffer.alloc(1024 * 1024, 7);
    for (let sent = 0; sent < size; sent += piece.length) {
      if (!wire.socket.write(piece)) await new Promise((resolve) => wire.socket.once("drain", resolve));
    }
    await eventually(() => wire.bytesReceived > size);
    expect(process.memoryUsage().rss - before).toBeLessThan(size / 2);
    expect(wire.received).toContain(`Content-Length: ${size}\r\n`);
  });

  test("is waited for with 100 Continue, and refused without it", async () => {
    await using server = await serve(async (exchange) => {
      if (exchange.head.target === "/no") throw new HttpError(413, "no room");
      await exchange.reply(201, [], await readWhole(exchange.body, exchange.bodyLength, LIMITS));
    });
    const expecting = "Expect: 100-continue\r\nContent-Length: 4\r\n";
    using yes = new Wire(server.path).send(get("/yes", expecting, "PUT"));
    await yes.until("100 Continue\r\n\r\n");
    expect(await yes.send("body").until("\r\n\r\nbody")).toContain("201 Created");
    using no = new Wire(server.path).send(get("/no", expecting, "PUT"));
    expect(await no.end()).toMatch(/^HTTP\/1.1 413 [\s\S]*Connection: close/);
  });

  test("that has to be held has its bounds, told or not, in size and time", async () => {
    await using server = await serve(async (exchange) => {
      await exchange.reply(200, [], await readWhole(exchange.body, exchange.bodyLength, LIMITS));
    });
    using told = new Wire(server.path).send(get("/", "Content-Length: 1001\r\n", "PUT"));
    expect(await told.until("\n\r\n")).toStartWith("HTTP/1.1 413 ");
    using untold = new Wire(server.path).send(get("/", "Transfer-Encoding: chunked\r\n", "PUT"));
    untold.send(`3e9\r\n${"x".repeat(1001)}\r\n`);
    expect(await untold.until("\n\r\n")).toStartWith("HTTP/1.1 413 ");
    using slow = new Wire(server.path).send(get("/", "Content-Length: 9\r\n", "PUT"));
    expect(await slow.until("\n\r\n")).toStartWith("HTTP/1.1 408 ");
  });

  test("that is shorter or longer than announced never passes for whole", async () => {
    await using server = await serve(async (exchange) => {
      const reply = exchange.stream(200, [], 4);
      await reply.write(Buffer.from(exchange.head.target));
      await reply.end();
    });
    using exact = new Wire(server.path).send(get("/abc") + get("/abc"));
    expect(await exact.until("/abcHTTP/1.1 200")).toContain("Content-Length: 4");
    for (const target of ["/a", "/abcd"]) {
      using wire = new Wire(server.path).send(get(target));
      expect((await wire.end()).split("\r\n\r\n")[1]?.length).toBeLessThan(4);
    }
  });
});

const LIMITS = { maxBytes: 1000, timeout: 300 };

describe("content", () => {
  const text = "0123456789";
  const cases: [string, string, string, number, string][] = [
    ["whole", "GET", "", 200, text],
    ["its head", "HEAD", "", 200, ""],
    ["a part", "GET", "Range: bytes=2-4\r\n", 206, "234"],
    ["the rest", "GET", "Range: bytes=7-\r\n", 206, "789"],
    ["the last bytes", "GET", "Range: bytes=-2\r\n", 206, "89"],
    ["more than there is", "GET", "Range: bytes=5-999999\r\n", 206, "56789"],
    ["what is not there", "GET", "Range: bytes=10-\r\n", 416, ""],
    ["a part that ends before it begins", "GET", "Range: bytes=4-2\r\n", 416, ""],
    ["a part of something newer", "GET", 'Range: bytes=2-4\r\nIf-Range: "old"\r\n', 200, text],
    ["a part of the same", "GET", 'Range: bytes=2-4\r\nIf-Range: "tag"\r\n', 206, "234"],
    ["what the client has", "GET", 'If-None-Match: "x", W/"tag"\r\n', 304, ""],
  ];
  for (const [what, method, headers, status, body] of cases) {
    test(`can be asked for: ${what}`, async () => {
      await using server = await serve((exchange) =>
        serveContent(exchange, {
          size: text.length,
          etag: '"tag"',
          headers: [["Content-Type", "text/plain"]],
          async *read(start, end) {
            yield Buffer.from(text.slice(start, end));
          },
        }),
      );
      using wire = new Wire(server.path).send(get("/", `${headers}Connection: close\r\n`, method));
      const [head, ...rest] = (await wire.end()).split("\r\n\r\n");
      expect([head?.slice(9, 12), rest.join("")]).toEqual([String(status), body]);
      if (status === 206) expect(head).toMatch(/Content-Range: bytes \d+-\d+\/10\r\n/);
      if (method === "HEAD") expect(head).toContain("Content-Length: 10\r\n");
      if (status === 416) expect(head).toContain("Content-Range: bytes */10\r\n");
    });
  }
});

test("a websocket carries whole messages both ways", async () => {
  await using server = await serve(async (exchange) => {
    using socket = acceptWebSocket(exchange);
    for await (const message of socket.messages) {
      await socket.send(message.kind === "text" ? message.text.toUpperCase() : message.bytes);
    }
    await socket.close();
  });
  const upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
  using wire = new Wire(server.path).send(
    get("/", `${upgrade}Sec-WebSocket-Key: a\r\nSec-WebSocket-Version: 13\r\n`),
  );
  await wire.until("\r\n\r\n");
  const masked = (opcode: number, text: string, final = 0x80) =>
    Buffer.from([final | opcode, 0x80 | text.length, 0, 0, 0, 0, ...Buffer.from(text)]).toString("latin1");
  wire.send(masked(1, "he", 0) + masked(0, "llo") + masked(2, "\x01\x02") + masked(8, ""));
  expect((await wire.end()).split("\r\n\r\n")[1]).toBe(
    [
      encodeMessage(1, Buffer.from("HELLO")),
      encodeMessage(2, Buffer.of(1, 2)),
      encodeMessage(8, Buffer.of(3, 232)),
    ]
      .map((bytes) => bytes.toString("latin1"))
      .join(""),
  );
  expect(() => [...new FrameDecoder().push(Buffer.from([0xf2, 0x80, 0, 0, 0, 0]))]).toThrow("reserved");
});

describe("over TLS", () => {
  async function secured(handler: ExchangeHandler, ca?: string) {
    const host: HttpHost = createHost();
    const tls = { cert: pem("first.pem"), key: pem("first.key"), ca };
    const listening = await host.listen({ kind: "tcp", host: "127.0.0.1", port: 0, tls }, handler);
    const port = Number(listening.address.split(":").at(-1));
    return { host, listening, port };
  }

  function shownName(port: number): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const socket = tlsConnect({ port, host: "127.0.0.1", rejectUnauthorized: false }, () => {
      resolve(String(socket.getPeerCertificate().subject.CN));
      socket.destroy();
    });
    socket.on("error", reject);
    return promise;
  }

  test("certificates are taken over while it listens, and not if they make no sense", async () => {
    const { host, listening, port } = await secured((exchange) => exchange.reply(200, [], ""));
    expect(await shownName(port)).toBe("first");
    listening.reloadTls({ cert: pem("second.pem"), key: pem("second.key") });
    expect(await shownName(port)).toBe("second");
    expect(() => listening.reloadTls({ cert: "nonsense", key: pem("first.key") })).toThrow("certificates");
    expect(await shownName(port)).toBe("second");
    await host.close(10);
  });

  test("the handler knows who is there, also after certificates were taken over", async () => {
    const { host, listening, port } = await secured((exchange) => {
      const { certificate, socket, ...who } = exchange.peer;
      const shown = { ...who, certificate: certificate !== undefined, socket: socket.split(":")[0] };
      return exchange.reply(200, [], JSON.stringify(shown));
    }, pem("ca.pem"));
    const ask = (certificate: object) =>
      new Promise<string>((resolve) => {
        httpsRequest(
          { port, host: "127.0.0.1", agent: false, rejectUnauthorized: false, ...certificate },
          (reply) => {
            reply.on("data", (bytes) => resolve(String(bytes)));
          },
        )
          .on("error", () => resolve("refused"))
          .end();
      });
    const alice = { cert: pem("client.pem"), key: pem("client.key") };
    const known =
      '{"address":"127.0.0.1","encrypted":true,"certificateName":"alice","certificate":true,"socket":"tcp"}';
    expect([await ask(alice), await ask({})]).toEqual([known, "refused"]);
    listening.reloadTls({ cert: pem("second.pem"), key: pem("second.key"), ca: pem("ca.pem") });
    expect([await ask(alice), await ask({})]).toEqual([known, "refused"]);
    await host.close(10);
  });
});
