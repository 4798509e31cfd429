import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { request as httpsRequest } from "node:https";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as tlsConnect } from "node:tls";
import { inheritedSockets, parseEndpoint } from "./endpoint.ts";
import { createServer, type ServerOptions } from "./index.ts";
import { eventually, request, serve, testIdentity, Wire } from "./testing.ts";

describe("-H", () => {
  test("is read in Docker's forms", () => {
    expect(parseEndpoint("unix:///run/g.sock")).toEqual({ kind: "unix", path: "/run/g.sock" });
    expect(parseEndpoint("/run/g.sock")).toEqual({ kind: "unix", path: "/run/g.sock" });
    expect(parseEndpoint("tcp://0.0.0.0:2376")).toEqual({ kind: "tcp", host: "0.0.0.0", port: 2376 });
    expect(parseEndpoint("tcp://[::1]:1")).toEqual({ kind: "tcp", host: "::1", port: 1 });
    expect(parseEndpoint("tcp://:7")).toEqual({ kind: "tcp", host: "127.0.0.1", port: 7 });
    expect(parseEndpoint("tcp://")).toEqual({ kind: "tcp", host: "127.0.0.1", port: 2375 });
    expect(parseEndpoint("localhost:1")).toEqual({ kind: "tcp", host: "localhost", port: 1 });
    expect(parseEndpoint("fd://")).toEqual({ kind: "inherited", name: "" });
  });

  for (const text of [
    "unix://relative",
    "npipe:////./pipe/x",
    "tcp://a:99999",
    "tcp://a:b",
    "tcp://a/path",
  ]) {
    test(`${text} is refused`, () => {
      expect(() => parseEndpoint(text)).toThrow(text);
    });
  }
});

describe("a socket file", () => {
  test.skipIf(process.getuid?.() !== 0)("has mode 0660 and the group that was asked for", async () => {
    await using server = await serve({});
    const path = join(server.directory, "group.sock");
    await server.server.listen({ kind: "unix", path, group: "daemon" });
    const { mode, gid } = statSync(path);
    expect([mode & 0o777, gid]).toEqual([0o660, 1]);
    expect(statSync(server.path).mode & 0o777).toBe(0o660);
    expect(server.server.listen({ kind: "unix", path: `${path}2`, group: "no-such" })).rejects.toThrow(
      "group no-such not found",
    );
  });

  test("of a killed engine is taken over, of a running one never", async () => {
    await using server = await serve({});
    const stale = join(server.directory, "stale.sock");
    execFileSync("python3", [
      "-c",
      "import socket,sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])",
      stale,
    ]);
    await server.server.listen({ kind: "unix", path: stale });
    using wire = new Wire(stale).send(request("GET", "/_ping"));
    await wire.until("\r\n\r\nOK");
    await using other = await serve({});
    expect(other.server.listen({ kind: "unix", path: server.path })).rejects.toThrow(
      "in use by another running",
    );
    const file = join(server.directory, "file");
    writeFileSync(file, "precious");
    expect(other.server.listen({ kind: "unix", path: file })).rejects.toThrow("is not a socket");
    expect(readFileSync(file, "utf8")).toBe("precious");
  });

  test("is gone after closing, unless somebody else took the path over", async () => {
    const server = await serve({});
    const path = join(server.directory, "taken.sock");
    await server.server.listen({ kind: "unix", path });
    rmSync(path);
    writeFileSync(path, "somebody else's");
    await server.server.close(10);
    expect(statSync(server.path, { throwIfNoEntry: false })).toBeUndefined();
    expect(readFileSync(path, "utf8")).toBe("somebody else's");
    rmSync(server.directory, { recursive: true });
  });

  test("with a path that the kernel cannot hold is refused by its name", async () => {
    await using server = await serve({});
    const path = `/tmp/${"x".repeat(110)}`;
    expect(server.server.listen({ kind: "unix", path })).rejects.toThrow("longer than 103 bytes");
  });
});

describe("sockets handed over by systemd", () => {
  const environment = { LISTEN_PID: "42", LISTEN_FDS: "2", LISTEN_FDNAMES: "docker.socket:other" };

  test("are found by number, by name, or all", () => {
    const fds = (name: string) =>
      inheritedSockets(name, environment, 42).map((endpoint) => ({ ...endpoint }));
    expect(fds("")).toEqual([
      { kind: "fd", fd: 3 },
      { kind: "fd", fd: 4 },
    ]);
    expect(fds("other")).toEqual([{ kind: "fd", fd: 4 }]);
    expect(fds("3")).toEqual([{ kind: "fd", fd: 3 }]);
    expect(() => fds("5")).toThrow("no sockets found for -H fd://5");
    expect(() => inheritedSockets("", environment, 43)).toThrow("no sockets found");
    expect(() => inheritedSockets("", {}, 42)).toThrow("no sockets found");
  });

  test("are served, with what waited in them before", async () => {
    const directory = mkdtempSync(join(tmpdir(), "gantry-fd-"));
    const path = join(directory, "s");
    const program = `
      import { createServer } from ${JSON.stringify(join(import.meta.dir, "index.ts"))};
      import { pingHandlers } from ${JSON.stringify(join(import.meta.dir, "handlers/ping.ts"))};
      import { testIdentity } from ${JSON.stringify(join(import.meta.dir, "testing.ts"))};
      await createServer({ handlers: pingHandlers, identity: testIdentity }).listen({ kind: "fd", fd: 3 });`;
    const activator = `
import os, socket, sys
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(8)
print("bound", flush=True); sys.stdin.readline()
os.dup2(s.fileno(), 3); os.set_inheritable(3, True)
os.execv(sys.argv[2], [sys.argv[2], "-e", sys.argv[3]])`;
    const service = Bun.spawn(["python3", "-c", activator, path, process.execPath, program], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "ignore",
    });
    try {
      await service.stdout.getReader().read();
      using early = new Wire(path).send(request("GET", "/_ping"));
      service.stdin.write("go\n");
      service.stdin.flush();
      expect(await early.until("\r\n\r\nOK")).toStartWith("HTTP/1.1 200 ");
    } finally {
      service.kill();
      await service.exited;
      rmSync(directory, { recursive: true });
    }
  });
});

describe("over plain TCP", () => {
  const cases: [string, string, number][] = [
    ["an address", "Host: 127.0.0.1:2375\r\n", 200],
    ["localhost", "Host: localhost\r\n", 200],
    ["a word", "Host: docker:2375\r\n", 200],
    ["a listed name", "Host: Engine.Example.org\r\n", 200],
    ["an attacker's name", "Host: evil.example.com:2375\r\n", 403],
    ["an attacker's name with a final dot", "Host: evil.example.com.\r\n", 403],
    ["our own page", "Host: localhost:1\r\nOrigin: http://localhost:1\r\n", 200],
    ["a foreign page", "Host: localhost:1\r\nOrigin: http://evil.example.com\r\n", 403],
    ["a sandboxed page", "Host: localhost:1\r\nOrigin: null\r\n", 403],
    ["a foreign page's form", "Host: localhost:1\r\nSec-Fetch-Site: cross-site\r\n", 403],
    [
      "a foreign page's websocket",
      "Host: localhost:1\r\nOrigin: http://evil.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
      403,
    ],
  ];
  for (const [who, headers, status] of cases) {
    test(`${who} gets ${status}`, async () => {
      await using server = await serve({});
      const { address } = await server.server.listen(
        { kind: "tcp", host: "127.0.0.1", port: 0 },
        { allowedHosts: ["engine.example.org"] },
      );
      using wire = new Wire({ host: "127.0.0.1", port: Number(address.split(":").at(-1)) });
      wire.send(`GET /_ping HTTP/1.1\r\n${headers}\r\n`);
      expect(await wire.until("\r\n\r\n")).toStartWith(`HTTP/1.1 ${status} `);
    });
  }
});

describe("over TLS with client certificates", () => {
  let directory = "";
  const pem = (name: string) => readFileSync(join(directory, name), "utf8");

  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), "gantry-tls-"));
    const openssl = (...args: string[]) => execFileSync("openssl", args, { cwd: directory, stdio: "ignore" });
    const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    for (const ca of ["ca", "otherca"]) {
      openssl(
        "req",
        "-x509",
        ...key,
        "-keyout",
        `${ca}.key`,
        "-out",
        `${ca}.pem`,
        "-subj",
        `/CN=${ca}`,
        "-days",
        "2",
      );
    }
    writeFileSync(join(directory, "ext"), "subjectAltName=IP:127.0.0.1,DNS:localhost\n");
    for (const [name, ca] of [
      ["server", "ca"],
      ["client", "ca"],
      ["stranger", "otherca"],
    ] as const) {
      openssl("req", ...key, "-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", `/CN=${name}`);
      const signer = ["-CA", `${ca}.pem`, "-CAkey", `${ca}.key`, "-CAcreateserial"];
      openssl(
        "x509",
        "-req",
        "-in",
        `${name}.csr`,
        ...signer,
        "-out",
        `${name}.pem`,
        "-days",
        "2",
        "-extfile",
        "ext",
      );
    }
  });

  afterAll(() => rmSync(directory, { recursive: true }));

  async function secured(handlers = {}, limits: ServerOptions["limits"] = {}) {
    const server = createServer({ identity: testIdentity, handlers, limits });
    const tls = { cert: pem("server.pem"), key: pem("server.key"), ca: pem("ca.pem") };
    const { address } = await server.listen({ kind: "tcp", host: "127.0.0.1", port: 0, tls });
    return { server, port: Number(address.split(":").at(-1)) };
  }

  function status(port: number, client: string | undefined): Promise<number | string> {
    const certificate = client ? { cert: pem(`${client}.pem`), key: pem(`${client}.key`) } : {};
    return new Promise((resolve) => {
      httpsRequest(
        { host: "127.0.0.1", port, path: "/nope", ca: pem("ca.pem"), agent: false, ...certificate },
        (response) => {
          response.resume();
          resolve(response.statusCode ?? 0);
        },
      )
        .on("error", (error) => resolve(`refused ${(error as NodeJS.ErrnoException).code !== undefined}`))
        .end();
    });
  }

  test("those with one are served, all others are not", async () => {
    const { server, port } = await secured();
    expect(await status(port, "client")).toBe(404);
    expect(await status(port, undefined)).toStartWith("refused");
    expect(await status(port, "stranger")).toStartWith("refused");
    await eventually(() => server.load.connections === 0);
    await server.close(10);
  });

  test("those who do not begin to say who they are take no more places than others, and not for long", async () => {
    const { server, port } = await secured({}, { maxConnections: 8, handshakeTimeout: 300 });
    let open = 0;
    const silent = Array.from({ length: 20 }, () =>
      connect(port, "127.0.0.1")
        .on("connect", () => open++)
        .on("close", () => open--)
        .on("error", () => {}),
    );
    await eventually(() => open === 9);
    expect(await status(port, "client")).toStartWith("refused");
    await eventually(() => open === 0);
    expect(await status(port, "client")).toBe(404);
    for (const socket of silent) socket.destroy();
    await server.close(10);
  });

  test("a socket may leave HTTP, and half-close", async () => {
    const { server, port } = await secured({
      ContainerAttach: async (call: import("./call.ts").Call) => {
        using connection = call.hijack({ contentType: "x" });
        for await (const bytes of connection.input) await connection.write(bytes);
        await connection.write(Buffer.from("eof"));
      },
    });
    const socket = tlsConnect({
      host: "127.0.0.1",
      port,
      ca: pem("ca.pem"),
      cert: pem("client.pem"),
      key: pem("client.key"),
    });
    let received = "";
    socket.on("data", (bytes) => {
      received += bytes;
    });
    socket.write(
      `${request("POST", "/containers/a/attach", "Connection: Upgrade\r\nUpgrade: tcp\r\n")}early`,
    );
    await eventually(() => received.endsWith("early"));
    socket.end("late");
    await eventually(() => received.endsWith("earlylateeof"));
    await server.close(10);
  });
});
