/** The transport against a peer that answers byte for byte what each test says. */
import { afterEach, describe, expect, test } from "bun:test";
import { createServer, type Server, type Socket } from "node:net";
import { Engine } from "./engine.ts";
import { EngineConnectionError, EngineProtocolError, EngineResponseError } from "./errors.ts";
import { readFrames } from "./frames.ts";
import { readJsonStream } from "./json-lines.ts";

let server: Server | undefined;
afterEach(() => {
  server?.close();
  server = undefined;
});

/** An engine that answers each request of a connection in turn, in pieces. */
async function engineThatSays(answer: (request: string, socket: Socket) => void): Promise<Engine> {
  const { promise, resolve } = Promise.withResolvers<number>();
  const listening = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => {});
    socket.on("data", (bytes) => answer(bytes.toString("latin1"), socket));
  });
  server = listening;
  listening.listen(0, "127.0.0.1", () => resolve((listening.address() as { port: number }).port));
  return new Engine({ address: `tcp://127.0.0.1:${await promise}` });
}

const get = { method: "GET", path: "/x" } as const;

describe("a reply", () => {
  test("with a length is read to it, and the connection is used again", async () => {
    const ports = new Set<number | undefined>();
    using engine = await engineThatSays((_request, socket) => {
      ports.add(socket.remotePort);
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK");
    });
    expect(await (await engine.request(get)).text()).toBe("OK");
    expect(await (await engine.request(get)).text()).toBe("OK");
    expect(ports.size).toBe(1);
  });

  test("in chunks is read across any cut, extensions and trailers included", async () => {
    using engine = await engineThatSays(async (_request, socket) => {
      const text =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nA: b\r\n\r\n";
      for (const char of text) {
        socket.write(char);
        await Bun.sleep(0);
      }
    });
    expect(await (await engine.request(get)).text()).toBe("hello world");
  });

  test("of no length ends with the connection", async () => {
    using engine = await engineThatSays((_request, socket) => socket.end("HTTP/1.1 200 OK\r\n\r\nall of it"));
    expect(await (await engine.request(get)).text()).toBe("all of it");
  });

  test("to HEAD has no body, whatever its length says", async () => {
    using engine = await engineThatSays((_request, socket) =>
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n"),
    );
    expect(await (await engine.request({ method: "HEAD", path: "/x" })).text()).toBe("");
  });

  test("may be preceded by interim ones", async () => {
    using engine = await engineThatSays((_request, socket) =>
      socket.write("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"),
    );
    expect((await engine.request(get)).status).toBe(204);
  });

  test("that breaks off is an error, not a short body", async () => {
    using engine = await engineThatSays((_request, socket) =>
      socket.end("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"),
    );
    const reply = await engine.request(get);
    expect(reply.text()).rejects.toThrow("unexpected EOF");
  });

  test("that is not HTTP is an error", async () => {
    using engine = await engineThatSays((_request, socket) => socket.end("\x15\x03\x01\r\n\r\n"));
    expect(engine.request(get)).rejects.toBeInstanceOf(EngineProtocolError);
  });

  test("of 400 and above is thrown with the engine's words", async () => {
    const body = '{"message":"No such container: x"}\n';
    using engine = await engineThatSays((_request, socket) =>
      socket.write(
        `HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      ),
    );
    const error = await engine.request(get).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(EngineResponseError);
    expect(error).toMatchObject({ status: 404, message: "Error response from daemon: No such container: x" });
  });
});

describe("a call", () => {
  test("is sent again in the version that an older engine offers", async () => {
    const asked: string[] = [];
    using engine = await engineThatSays((request, socket) => {
      const path = request.split(" ")[1] ?? "";
      asked.push(path);
      const old = path.startsWith("/v1.41/");
      const body = old
        ? "[]"
        : '{"message":"client version 9.9 is too new. Maximum supported API version is 1.41"}';
      const status = old ? "200 OK" : "400 Bad Request";
      socket.write(
        `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      );
    });
    await (await engine.request(get)).discard();
    await (await engine.request(get)).discard();
    expect(asked.slice(1)).toEqual(["/v1.41/x", "/v1.41/x"]);
    expect(engine.version).toEqual([1, 41]);
  });

  test("that is aborted ends its connection", async () => {
    const { promise: closed, resolve } = Promise.withResolvers<void>();
    using engine = await engineThatSays((_request, socket) => void socket.on("close", () => resolve()));
    const abort = new AbortController();
    const call = engine.request({ ...get, signal: abort.signal });
    setTimeout(() => abort.abort(), 20);
    expect(call).rejects.toThrow();
    await closed;
  });

  test("to an address where nobody listens says so as Docker does", async () => {
    using engine = new Engine({ address: "unix:///nowhere/engine.sock" });
    const error = await engine.request(get).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(EngineConnectionError);
    expect((error as Error).message).toBe(
      "Cannot connect to the Docker daemon at unix:///nowhere/engine.sock. Is the docker daemon running?",
    );
  });
});

describe("a hijacked connection", () => {
  test("carries both directions, and output after the end of input", async () => {
    using engine = await engineThatSays((request, socket) => {
      if (request.includes("HTTP/1.1")) {
        socket.write("HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nfirst ");
        socket.on("end", () => socket.end(" last"));
      } else {
        socket.write(request.toUpperCase());
      }
    });
    const connection = await engine.hijack({ method: "POST", path: "/attach" });
    await connection.write(Buffer.from("words"));
    await connection.halfClose();
    let output = "";
    for await (const bytes of connection.output) output += Buffer.from(bytes).toString();
    expect(output).toBe("first WORDS last");
  });
});

async function* inPieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += size) yield bytes.subarray(at, at + size);
}

describe("streams", () => {
  test.each([1, 3, 7, 100])("frames are told apart in pieces of %d bytes", async (size) => {
    const bytes = Buffer.concat([
      Buffer.from([1, 0, 0, 0, 0, 0, 0, 3]),
      Buffer.from("out"),
      Buffer.from([2, 0, 0, 0, 0, 0, 0, 5]),
      Buffer.from("error"),
      Buffer.from([1, 0, 0, 0, 0, 0, 0, 0]),
    ]);
    const texts = { stdin: "", stdout: "", stderr: "" };
    for await (const { stream, bytes: piece } of readFrames(inPieces(bytes, size))) {
      texts[stream] += Buffer.from(piece).toString();
    }
    expect(texts).toEqual({ stdin: "", stdout: "out", stderr: "error" });
  });

  test.each([1, 2, 5, 100])("JSON documents are told apart in pieces of %d bytes", async (size) => {
    const text = '{"a":"}\\"{"}{"b":[1,{"c":"é"}]}\r\n{"d":"\\\\"}\n';
    const documents: unknown[] = [];
    for await (const document of readJsonStream(inPieces(Buffer.from(text), size))) documents.push(document);
    expect(documents).toEqual([{ a: '}"{' }, { b: [1, { c: "é" }] }, { d: "\\" }]);
  });
});
