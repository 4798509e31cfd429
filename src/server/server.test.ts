import { describe, expect, test } from "bun:test";
import { request as httpRequest } from "node:http";
import { anything, int64, string, struct } from "../api/decode.ts";
import { encodeFrame, MULTIPLEXED_STREAM } from "../api/frames.ts";
import { ConflictError, NotFoundError, NotModifiedError } from "../core/errors.ts";
import type { Handlers } from "./call.ts";
import { eventually, request, serve, Wire } from "./testing.ts";

const UPGRADE = "Connection: Upgrade\r\nUpgrade: tcp\r\n";
const never = Promise.withResolvers<void>().promise;

/** Says back what it hears, and at its end that it was the end. */
const echo: Handlers = {
  ContainerAttach: async (call) => {
    using connection = call.hijack({ contentType: MULTIPLEXED_STREAM });
    for await (const bytes of connection.input) await connection.write(encodeFrame("stdout", bytes));
    await connection.write(encodeFrame("stderr", Buffer.from("eof")));
    await connection.end();
  },
  ExecStart: async (call) => {
    const { Tty } = await call.decode(struct<{ Tty: string }>("T", { Tty: string }));
    using connection = call.hijack({ contentType: "application/vnd.docker.raw-stream" });
    await connection.write(Buffer.from(`tty=${Tty};`));
    for await (const bytes of connection.input) await connection.write(bytes);
    await connection.write(Buffer.from("eof"));
    await connection.end();
  },
};

describe("a reply", () => {
  test("has Docker's headers, with the exact bytes", async () => {
    await using server = await serve({});
    using wire = new Wire(server.path).send(request("GET", "/_ping"));
    const reply = (await wire.until("\r\n\r\nOK")).replace(/Date: [^\r]+/, "Date: D");
    expect(reply).toBe(
      "HTTP/1.1 200 OK\r\nApi-Version: 1.54\r\nBuilder-Version: 1\r\nDocker-Experimental: false\r\nOstype: linux\r\n" +
        "Server: Docker/1.2.3 (linux)\r\nSwarm: inactive\r\nCache-Control: no-cache, no-store, must-revalidate\r\n" +
        "Pragma: no-cache\r\nContent-Type: text/plain; charset=utf-8\r\nDate: D\r\nContent-Length: 2\r\n\r\nOK",
    );
  });

  test("to HEAD tells the length and has no body; the connection goes on", async () => {
    await using server = await serve({});
    using wire = new Wire(server.path).send(request("HEAD", "/_ping") + request("GET", "/v1.41/_ping"));
    expect(await wire.until("OK\r\n")).toContain("Content-Length: 0\r\n\r\nHTTP/1.1 200 OK");
  });

  test("without a body is not followed by one", async () => {
    await using server = await serve({
      ContainerStart: (call) => call.empty(),
      ContainerStop: () => {
        throw new NotModifiedError("already stopped");
      },
    });
    using wire = new Wire(server.path);
    wire.send(request("POST", "/containers/a/start")).send(request("POST", "/containers/a/stop"));
    wire.send(request("GET", "/_ping"));
    const reply = await wire.until("\r\n\r\nOK");
    expect(reply).toMatch(
      /^HTTP\/1.1 204 No Content\r\n(?:[\w-]+: [^\r]+\r\n)+\r\nHTTP\/1.1 304 Not Modified\r\n/,
    );
    expect(reply.split("Content-Length").length).toBe(2);
  });

  test("to pipelined requests comes in their order", async () => {
    const order = [30, 0, 10];
    await using server = await serve({
      ContainerInspect: async (call) => {
        await Bun.sleep(order[Number(call.param("id"))] ?? 0);
        call.json(call.param("id"));
      },
    });
    using wire = new Wire(server.path).send(
      order.map((_, id) => request("GET", `/containers/${id}/json`)).join(""),
    );
    const reply = await wire.until('"2"');
    expect(reply.match(/"\d"/g)).toEqual(['"0"', '"1"', '"2"']);
  });

  test("streams as it comes, with headers at once", async () => {
    const go = Promise.withResolvers<void>();
    await using server = await serve({
      ContainerWait: async (call) => {
        const stream = call.stream();
        await go.promise;
        await stream.writeJson({ StatusCode: 0 });
      },
    });
    using wire = new Wire(server.path).send(request("POST", "/containers/a/wait"));
    const head = await wire.until("\r\n\r\n");
    expect(head).toContain("Transfer-Encoding: chunked\r\n\r\n");
    go.resolve();
    expect(await wire.until("0\r\n\r\n")).toEndWith('\r\n\r\n11\r\n{"StatusCode":0}\n\r\n0\r\n\r\n');
  });
});

describe("what cannot be answered", () => {
  const cases: [string, string, number, string][] = [
    ["an unknown path", request("GET", "/nope"), 404, "page not found"],
    ["a wrong method", request("POST", "/version"), 404, "page not found"],
    [
      "a client that is too new",
      request("GET", "/v9.9/version"),
      400,
      "client version 9.9 is too new. Maximum supported API version is 1.54",
    ],
    [
      "an operation that is not built",
      request("GET", "/v1.51/containers/x/top"),
      501,
      "ContainerTop (GET /containers/{id}/top) is not implemented by this engine",
    ],
    ["a broken escape", request("GET", "/containers/%zz/json"), 400, "invalid URL escape in the path"],
    ["a body that is no JSON", request("POST", "/containers/create", "", "{"), 400, "invalid JSON: "],
    [
      "a body of the wrong type",
      request("POST", "/containers/create", "", '{"Memory":"a"}'),
      400,
      "invalid JSON: json: cannot unmarshal string into Go struct field Config.Memory of type int64",
    ],
    [
      "a body of another media type",
      "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}",
      400,
      "unsupported Content-Type header (text/plain): must be 'application/json'",
    ],
    [
      "a body without a media type",
      "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: 2\r\n\r\n{}",
      400,
      "malformed Content-Type header (): mime: no media type",
    ],
    [
      "a body of nothing but space",
      request("POST", "/containers/create", "", " "),
      400,
      "invalid JSON: got EOF while reading request body",
    ],
    ["an unforeseen error", request("GET", "/info"), 500, "secret plans failed"],
    ["a handler that forgets to answer", request("GET", "/version"), 500, "SystemVersion gave no reply"],
    ["a conflict", request("DELETE", "/containers/a"), 409, "in use"],
  ];
  for (const [what, bytes, status, message] of cases) {
    test(`${what} gives ${status} and the connection stays`, async () => {
      await using server = await serve({
        ContainerCreate: async (call) => {
          await call.decode(struct<{ Memory: number }>("container.Config", { Memory: int64 }));
          call.json({});
        },
        SystemInfo: () => {
          throw new Error("secret plans failed");
        },
        SystemVersion: () => {},
        ContainerDelete: () => {
          throw new ConflictError("in use");
        },
      });
      using wire = new Wire(server.path).send(bytes + request("GET", "/_ping"));
      const reply = await wire.until("\r\n\r\nOK");
      expect(reply).toStartWith(`HTTP/1.1 ${status} `);
      const body = JSON.parse(reply.slice(reply.indexOf("\r\n\r\n") + 4).split("\n")[0] ?? "") as {
        message: string;
      };
      expect(body.message).toStartWith(message);
    });
  }

  test("a client that is too old for JSON gets text, and so does one that attaches", async () => {
    await using server = await serve({
      ContainerAttach: () => {
        throw new NotFoundError("No such container: a");
      },
    });
    using old = new Wire(server.path).send(request("GET", "/v1.10/version"));
    expect(await old.until("newer version\n")).toContain(
      "\r\n\r\nclient version 1.10 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version\n",
    );
    using attach = new Wire(server.path).send(request("POST", "/containers/a/attach", UPGRADE));
    expect(await attach.until("container: a\r\n")).toMatch(
      /^HTTP\/1.1 404 Not Found\r\n[\s\S]*Content-Type: application\/vnd.docker.raw-stream\r\n[\s\S]*\r\n\r\nNo such/,
    );
  });

  test("an absent JSON body is an empty one", async () => {
    await using server = await serve({
      ContainerCreate: async (call) => call.json(await call.decode(anything)),
    });
    using wire = new Wire(server.path).send(request("POST", "/containers/create"));
    expect(await wire.until("{}")).toContain("200 OK");
  });

  test("an oversized JSON body is refused, told or chunked, and the daemon's memory is not asked", async () => {
    await using server = await serve({
      ContainerCreate: async (call) => call.json(await call.decode(anything)),
    });
    const head = "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n";
    using told = new Wire(server.path).send(`${head}Content-Length: 5000000\r\n\r\n`);
    expect(await told.until("too large")).toStartWith("HTTP/1.1 400 ");
    using chunked = new Wire(server.path).send(`${head}Transfer-Encoding: chunked\r\n\r\n`);
    const chunk = `100000\r\n${" ".repeat(0x100000)}\r\n`;
    for (let n = 0; n < 5; n++) chunked.send(chunk);
    expect(await chunked.until("too large")).toStartWith("HTTP/1.1 400 ");
  });
});

describe("what is no honest HTTP", () => {
  const smuggled = request("POST", "/containers/evil/start");
  const cases: [string, string][] = [
    [
      "a length beside chunks",
      `POST /_ping HTTP/1.1\r\nHost: d\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
    ],
    [
      "two lengths",
      `POST /_ping HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\nContent-Length: 9\r\n\r\n${smuggled}`,
    ],
    ["noise", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],
    ["a head without an end", `GET /_ping HTTP/1.1\r\nHost: d\r\n${"X: y\r\n".repeat(60_000)}`],
  ];
  for (const [what, bytes] of cases) {
    test(`${what} ends the connection with 4xx and nothing after it is done`, async () => {
      let started = false;
      await using server = await serve({
        ContainerStart: (call) => {
          started = true;
          call.empty();
        },
      });
      using wire = new Wire(server.path).send(bytes);
      const reply = await wire.end();
      expect(reply).toMatch(/^HTTP\/1.1 4\d\d /);
      expect(reply.split("HTTP/1.1").length).toBe(2);
      expect(started).toBe(false);
    });
  }

  test("a head that is sent too slowly is given up, an idle connection is not", async () => {
    const connection = { maxHead: 65536, headTimeout: 100, lingerTimeout: 200 };
    await using server = await serve({}, { connection });
    using idle = new Wire(server.path);
    using slow = new Wire(server.path).send("GET /_ping HTTP/1.1\r\n");
    expect(await slow.end()).toStartWith("HTTP/1.1 408 ");
    expect(await idle.send(request("GET", "/_ping")).until("OK\r\n")).toStartWith("HTTP/1.1 200 ");
  });

  test("a JSON body that is sent too slowly is given up", async () => {
    await using server = await serve(
      { ContainerCreate: async (call) => call.json(await call.decode(anything)) },
      { body: { maxJson: 1000, jsonTimeout: 100 } },
    );
    using wire = new Wire(server.path);
    wire.send(
      "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{",
    );
    expect(await wire.until("too long")).toStartWith("HTTP/1.1 408 ");
  });
});

describe("leaving HTTP", () => {
  test("with an upgrade has Docker's bytes, and what came early is not lost", async () => {
    await using server = await serve(echo);
    using wire = new Wire(server.path).send(
      `${request("POST", "/containers/a/attach?stream=1", UPGRADE)}early`,
    );
    await wire.until("early");
    wire.halfClose();
    expect(await wire.end()).toBe(
      "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\nConnection: Upgrade\r\n" +
        "Upgrade: tcp\r\n\r\n\x01\0\0\0\0\0\0\x05early\x02\0\0\0\0\0\0\x03eof",
    );
  });

  test("without an upgrade gives 200 and raw bytes both ways", async () => {
    await using server = await serve(echo);
    using wire = new Wire(server.path).send(`${request("POST", "/containers/a/attach")}GET / HTTP/1.1\r\n`);
    await wire.until("GET / HTTP/1.1");
    wire.halfClose();
    expect(await wire.end()).toBe(
      "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\n\r\n" +
        "\x01\0\0\0\0\0\0\x10GET / HTTP/1.1\r\n\x02\0\0\0\0\0\0\x03eof",
    );
  });

  test("after a JSON body starts right behind it", async () => {
    await using server = await serve(echo);
    using wire = new Wire(server.path).send(
      `${request("POST", "/exec/e/start", UPGRADE, '{"Tty":"no"}')}typed`,
    );
    expect(await wire.until("typed")).toEndWith("\r\n\r\ntty=no;typed");
    wire.halfClose();
    expect(await wire.end()).toEndWith("tty=no;typedeof");
  });

  test("the engine may end its half first", async () => {
    const heard: string[] = [];
    await using server = await serve({
      ContainerAttach: async (call) => {
        using connection = call.hijack({ contentType: "x" });
        await connection.write(Buffer.from("bye"));
        await connection.end();
        for await (const bytes of connection.input) heard.push(Buffer.from(bytes).toString());
      },
    });
    using wire = new Wire(server.path).send(request("POST", "/containers/a/attach", UPGRADE));
    expect(await wire.end()).toEndWith("bye");
    wire.send("late").halfClose();
    await eventually(() => heard.join("") === "late");
  });

  test("an error before it is an ordinary reply", async () => {
    await using server = await serve({
      ContainerAttach: () => {
        throw new ConflictError("not running");
      },
    });
    using wire = new Wire(server.path).send(request("POST", "/containers/a/attach", UPGRADE));
    expect(await wire.until("not running")).toStartWith("HTTP/1.1 409 Conflict\r\n");
  });

  test("a body that was declared before it is no input", async () => {
    await using server = await serve({
      ContainerAttach: async (call) => {
        using connection = call.hijack({ contentType: "x" });
        for await (const bytes of connection.input) await connection.write(Buffer.from(`[${bytes}]`));
        await connection.end();
      },
    });
    const options = '{"stream":true}';
    using wire = new Wire(server.path).send(request("POST", "/containers/a/attach", UPGRADE, options));
    await wire.until("\r\n\r\n");
    wire.send("typed");
    expect(await wire.until("[typed]")).not.toContain("stream");
  });

  test("a client that types in the chunks of its body is heard, and its last chunk is the end", async () => {
    await using server = await serve(echo);
    using wire = new Wire(server.path).send(
      request("POST", "/containers/a/attach", "Transfer-Encoding: chunked\r\n"),
    );
    await wire.until("\r\n\r\n");
    wire.send("5\r\ntyped\r\n");
    await wire.until("typed");
    wire.send("0\r\n\r\n");
    expect(await wire.end()).toEndWith("typed\x02\0\0\0\0\0\0\x03eof");
  });

  test("chunks that were declared before an upgrade are never looked for", async () => {
    await using server = await serve(echo);
    using wire = new Wire(server.path).send(
      `${request("POST", "/containers/a/attach", `${UPGRADE}Transfer-Encoding: chunked\r\n`)}typed`,
    );
    await wire.until("typed");
    wire.halfClose();
    expect(await wire.end()).toEndWith("typed\x02\0\0\0\0\0\0\x03eof");
  });

  test("a client that goes away ends the call at the next write", async () => {
    const reasons: string[] = [];
    await using server = await serve({
      ContainerAttach: async (call) => {
        using connection = call.hijack({ contentType: "x" });
        call.signal.addEventListener("abort", () => reasons.push(String(call.signal.reason)));
        while (!call.signal.aborted) {
          await connection.write(Buffer.from("."));
          await Bun.sleep(10);
        }
      },
    });
    const wire = new Wire(server.path).send(request("POST", "/containers/a/attach", UPGRADE));
    await wire.until("\r\n\r\n");
    wire.socket.destroy();
    await eventually(() => reasons.length === 1 && server.server.load.calls === 0);
    expect(reasons).toEqual(["AbortError: the client is gone"]);
    await eventually(() => server.server.load.connections === 0);
  });

  test("a client that goes away is noticed also when there is nothing to write to it", async () => {
    const ended: string[] = [];
    await using server = await serve({
      ContainerAttach: async (call) => {
        using connection = call.hijack({ contentType: "x" });
        for await (const _ of connection.input);
        ended.push("input");
        await connection.closed;
        ended.push(String(call.signal.aborted));
      },
    });
    const wire = new Wire(server.path).send(request("POST", "/containers/a/attach", UPGRADE));
    await wire.until("\r\n\r\n");
    wire.halfClose();
    await eventually(() => ended.length === 1);
    await Bun.sleep(600);
    expect([...ended, server.server.load.connections]).toEqual(["input", 1]);
    wire.socket.destroy();
    await eventually(() => server.server.load.connections === 0);
    expect(ended).toEqual(["input", "true"]);
  });

  test("over a websocket carries the same bytes in messages", async () => {
    await using server = await serve({
      ContainerAttachWebsocket: async (call) => {
        using connection = call.hijack({ contentType: "x" });
        for await (const bytes of connection.input) await connection.write(bytes);
      },
    });
    const { address } = await server.server.listen({ kind: "tcp", host: "127.0.0.1", port: 0 });
    const socket = new WebSocket(`${address.replace("tcp", "ws")}/v1.51/containers/a/attach/ws?stream=1`);
    socket.binaryType = "arraybuffer";
    const received: number[] = [];
    const closed = new Promise<void>((resolve) => socket.addEventListener("close", () => resolve()));
    socket.addEventListener("message", (event) => {
      received.push((event.data as ArrayBuffer).byteLength);
      if (received.length === 3) socket.close();
    });
    socket.addEventListener("open", () => {
      for (const length of [5, 300, 70_000]) socket.send(new Uint8Array(length));
    });
    await closed;
    expect(received).toEqual([5, 300, 70_000]);
  });
});

describe("bodies", () => {
  test("may be answered while they are still being sent", async () => {
    await using server = await serve({
      ImageLoad: async (call) => {
        const stream = call.stream();
        let total = 0;
        for await (const bytes of call.body) {
          total += bytes.length;
          await stream.writeJson({ total });
        }
        await stream.writeJson({ done: total });
      },
    });
    using wire = new Wire(server.path).send(
      "POST /images/load HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    );
    await wire.until('{"total":5}');
    wire.send("1\r\n!\r\n");
    await wire.until('{"total":6}');
    wire.send("0\r\n\r\n");
    await wire.until('{"done":6}');
  });

  test("that nobody reads hold the client back", async () => {
    await using server = await serve({ ImageLoad: () => never });
    using wire = new Wire(server.path);
    wire.send("POST /images/load HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n");
    const chunk = Buffer.from(`10000\r\n${"x".repeat(0x10000)}\r\n`);
    let sent = 0;
    for (let n = 0; n < 400 && sent === n; n++) {
      const { promise, resolve } = Promise.withResolvers<void>();
      wire.socket.write(chunk, () => {
        sent++;
        resolve();
      });
      await Promise.race([promise, Bun.sleep(300)]);
    }
    expect(sent).toBeLessThan(40);
  });

  test("that are left unread do not spoil the next request", async () => {
    await using server = await serve({ ContainerStart: (call) => call.empty() });
    using wire = new Wire(server.path);
    wire.send(request("POST", "/containers/a/start", "", "x".repeat(100_000)) + request("GET", "/_ping"));
    await wire.until("\r\n\r\nOK");
  });

  test("are sent after the client was told to continue, and only if somebody wants them", async () => {
    await using server = await serve({
      ImageLoad: async (call) => {
        let text = "";
        for await (const bytes of call.body) text += Buffer.from(bytes).toString();
        call.json(text);
      },
      ContainerStart: (call) => call.empty(),
    });
    const expecting = (target: string) =>
      `POST ${target} HTTP/1.1\r\nHost: d\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n`;
    using wanted = new Wire(server.path).send(expecting("/images/load"));
    expect(await wanted.until("\r\n\r\n")).toBe("HTTP/1.1 100 Continue\r\n\r\n");
    await wanted.send("hi").until('"hi"');
    using unwanted = new Wire(server.path).send(expecting("/containers/a/start"));
    const reply = await unwanted.end();
    expect(reply).toStartWith("HTTP/1.1 204");
    expect(reply).toContain("Connection: close");
  });

  test("that stop early are the client's error", async () => {
    const errors: unknown[] = [];
    await using server = await serve({
      ImageLoad: async (call) => {
        call.signal.addEventListener("abort", () => {});
        try {
          for await (const _ of call.body);
        } catch (error) {
          errors.push(error);
          throw error;
        }
      },
    });
    using wire = new Wire(server.path).send(
      "POST /images/load HTTP/1.1\r\nHost: d\r\nContent-Length: 9\r\n\r\nabc",
    );
    wire.halfClose();
    expect(await wire.end()).toContain("unexpected EOF in request body");
    expect(errors.length).toBe(1);
  });
});

describe("streams", () => {
  test("to a client that does not read are bounded, and end with it", async () => {
    let written = 0;
    await using server = await serve({
      ContainerLogs: async (call) => {
        const stream = call.stream({ contentType: MULTIPLEXED_STREAM });
        while (!call.signal.aborted) {
          await stream.write(new Uint8Array(65536));
          written += 65536;
        }
      },
    });
    const wire = new Wire(server.path);
    wire.socket.pause();
    wire.send(request("GET", "/containers/a/logs?stdout=1"));
    await Bun.sleep(300);
    const stuck = written;
    await Bun.sleep(100);
    expect(written).toBe(stuck);
    expect(stuck).toBeLessThan(4 * 1024 * 1024);
    wire.socket.destroy();
    await eventually(() => server.server.load.calls === 0);
  });

  test("tell progress errors in-band, and break off elsewhere", async () => {
    await using server = await serve({
      ImageCreate: async (call) => {
        const stream = call.stream({ errors: "progress" });
        await stream.writeJson({ status: "Pulling" });
        throw new ConflictError("broken layer");
      },
      ContainerLogs: async (call) => {
        await call.stream().write("some");
        throw new ConflictError("torn");
      },
    });
    using pull = new Wire(server.path).send(request("POST", "/images/create?fromImage=x"));
    expect(await pull.until("0\r\n\r\n")).toContain(
      '{"errorDetail":{"message":"broken layer"},"error":"broken layer"}\n',
    );
    using logs = new Wire(server.path).send(request("GET", "/containers/a/logs"));
    expect(await logs.end()).not.toContain("0\r\n\r\n");
  });

  test("work for node:http clients", async () => {
    await using server = await serve({
      SystemEvents: async (call) => {
        const stream = call.stream();
        for (let n = 0; n < 3; n++) await stream.writeJson({ n });
      },
    });
    const text = await new Promise<string>((resolve, reject) => {
      httpRequest({ socketPath: server.path, path: "/events" }, (response) => {
        let all = "";
        response.on("data", (chunk) => {
          all += chunk;
        });
        response.on("end", () => resolve(all));
      })
        .on("error", reject)
        .end();
    });
    expect(text).toBe('{"n":0}\n{"n":1}\n{"n":2}\n');
  });
});

describe("a client that goes away", () => {
  test("cancels what only it wanted, and not a change", async () => {
    const seen: string[] = [];
    const finish = Promise.withResolvers<void>();
    await using server = await serve({
      ContainerWait: async (call) => {
        call.stream();
        await new Promise<void>((resolve) => call.signal.addEventListener("abort", () => resolve()));
        seen.push("wait cancelled");
      },
      ContainerStart: async (call) => {
        await finish.promise;
        seen.push(`start finished, aborted: ${call.signal.aborted}`);
        call.empty();
      },
    });
    const wait = new Wire(server.path).send(request("POST", "/containers/a/wait"));
    const start = new Wire(server.path).send(request("POST", "/containers/a/start"));
    await wait.until("\r\n\r\n");
    await eventually(() => server.server.load.calls === 2);
    wait.socket.destroy();
    start.socket.destroy();
    await eventually(() => seen.length === 1);
    finish.resolve();
    await eventually(() => seen.length === 2);
    expect(seen).toEqual(["wait cancelled", "start finished, aborted: false"]);
    await eventually(() => server.server.load.calls === 0 && server.server.load.connections === 0);
  });
});

describe("closing", () => {
  test("ends streams, lets changes finish, and cuts off what takes too long", async () => {
    const seen: string[] = [];
    const server = await serve({
      SystemEvents: async (call) => {
        const stream = call.stream();
        await new Promise<void>((resolve) => call.signal.addEventListener("abort", () => resolve()));
        seen.push(`events: ${call.signal.reason.message}`);
        await stream.end();
      },
      ContainerStop: async (call) => {
        await Bun.sleep(100);
        seen.push("stop finished");
        call.empty();
      },
      ContainerRestart: () => never,
      ContainerAttach: async (call) => {
        using connection = call.hijack({ contentType: "x" });
        await connection.closed;
        seen.push("attach closed");
      },
    });
    using attach = new Wire(server.path).send(request("POST", "/containers/a/attach", UPGRADE));
    attach.socket.on("end", () => attach.halfClose());
    using events = new Wire(server.path).send(request("GET", "/events"));
    using stop = new Wire(server.path).send(request("POST", "/containers/a/stop"));
    using hung = new Wire(server.path).send(request("POST", "/containers/a/restart"));
    using idle = new Wire(server.path);
    await eventually(() => server.server.load.calls === 4);
    const began = performance.now();
    await server.server.close(400);
    expect(performance.now() - began).toBeGreaterThan(350);
    expect(seen).toEqual(["events: the server is shutting down", "attach closed", "stop finished"]);
    expect(await events.end()).toEndWith("0\r\n\r\n");
    expect(await stop.end()).toStartWith("HTTP/1.1 204");
    expect([await hung.end(), await idle.end()]).toEqual(["", ""]);
    await server[Symbol.asyncDispose]();
  });
});

test("connections beyond the limit are turned away, and there is room again when others leave", async () => {
  await using server = await serve({}, { maxConnections: 2 });
  const first = new Wire(server.path);
  using _second = new Wire(server.path);
  await eventually(() => server.server.load.connections === 2);
  using third = new Wire(server.path);
  expect(await third.end()).toStartWith("HTTP/1.1 503 ");
  first.socket.destroy();
  await eventually(() => server.server.load.connections === 1);
  using fourth = new Wire(server.path).send(request("GET", "/_ping"));
  await fourth.until("\r\n\r\nOK");
});

test("200 idle and silent connections do not hold up a ping", async () => {
  await using server = await serve({});
  const silent = Array.from({ length: 200 }, (_, n) => {
    const wire = new Wire(server.path);
    return n % 2 === 0 ? wire : wire.send("GET /_ping HTTP/1.1\r\nHos");
  });
  await eventually(() => server.server.load.connections === 200);
  using wire = new Wire(server.path).send(request("GET", "/_ping"));
  await wire.until("\r\n\r\nOK");
  expect(silent.some((one) => one.ended)).toBe(false);
  for (const one of silent) one.socket.destroy();
  await eventually(() => server.server.load.connections === 1);
});
