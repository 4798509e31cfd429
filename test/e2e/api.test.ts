/** The API's common ground, and everything that a client may send that is not as it should be. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { executablePath, oracle, startEngine } from "../support/engine.ts";
import { openFiles } from "../support/leaks.ts";
import { notInOracle, useEngine } from "../support/suite.ts";

const suite = useEngine();
const request = (...args: Parameters<typeof suite.engine.request>) => suite.engine.request(...args);

/** Sends bytes as they are; gives what came back until the engine closed, or 3 s of silence. */
async function raw(bytes: string | Uint8Array, options: { half?: boolean } = {}): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  let text = "";
  const socket = connect({ path: suite.engine.socket, allowHalfOpen: true }, () => {
    if (options.half) socket.end(bytes);
    else socket.write(bytes);
  });
  socket.setTimeout(3_000, () => socket.destroy());
  socket.on("data", (chunk) => {
    text += chunk;
  });
  socket.on("end", () => socket.destroy());
  socket.on("error", () => {});
  socket.on("close", () => resolve(text));
  return await promise;
}

async function opened(count: number): Promise<Socket[]> {
  return await Promise.all(
    Array.from({ length: count }, () => {
      const { promise, resolve, reject } = Promise.withResolvers<Socket>();
      const socket = connect(suite.engine.socket, () => resolve(socket)).on("error", reject);
      return promise;
    }),
  );
}

/** The slowest of some pings but one, ms: the machine's scheduler has a say too. */
async function slowestPing(count = 20): Promise<number> {
  const times: number[] = [];
  for (let attempt = 0; attempt < count; attempt++) {
    const began = performance.now();
    expect((await request("GET", "/_ping")).status).toBe(200);
    times.push(performance.now() - began);
  }
  return times.sort((a, b) => b - a)[1] ?? 0;
}

describe("ping and versions", () => {
  test("GET and HEAD /_ping, with and without a version", async () => {
    for (const path of ["/_ping", "/v1.41/_ping"]) {
      const got = await request("GET", path);
      expect([got.status, got.text]).toEqual([200, "OK"]);
      expect(got.headers).toMatchObject({
        "api-version": expect.stringMatching(/^1\.\d\d$/),
        ostype: "linux",
        "docker-experimental": "false",
        pragma: "no-cache",
      });
      expect(got.headers["cache-control"]).toContain("no-cache");
      expect(got.headers.server).toMatch(/^Docker\/\S+ \(linux\)$/);
      const head = await request("HEAD", path);
      expect([head.status, head.text, head.headers["content-length"]]).toEqual([200, "", "0"]);
    }
  });

  test("a version that is too old or too new is refused in Docker's words", async () => {
    const maximum = String((await request("GET", "/_ping")).headers["api-version"]);
    const tooNew = await request("GET", "/v1.99/version");
    expect([tooNew.status, tooNew.json().message]).toEqual([
      400,
      `client version 1.99 is too new. Maximum supported API version is ${maximum}`,
    ]);
    const tooOld = await request("GET", "/v1.10/version");
    expect(tooOld.status).toBe(400);
    expect(tooOld.text).toContain("client version 1.10 is too old. Minimum supported API version is 1.");
  });

  notInOracle("it is at 1.41")("the API is of 1.51 or later, down to 1.24", async () => {
    const version = await suite.engine.call("GET", "/version");
    expect(Number(version.ApiVersion.split(".")[1])).toBeGreaterThanOrEqual(51);
    expect(version.MinAPIVersion).toBe("1.24");
    expect((await request("GET", "/v1.24/containers/json")).status).toBe(200);
  });

  test("/version and /info say what clients read", async () => {
    const version = await suite.engine.call("GET", "/version");
    expect(version).toMatchObject({
      Os: "linux",
      Arch: "amd64",
      KernelVersion: expect.any(String),
      Version: expect.any(String),
      Components: expect.any(Array),
    });
    const info = await suite.engine.call("GET", "/info");
    // Before toMatchObject, which puts its matchers into what it looks at.
    expect(info.MemTotal).toBe(
      Number(/MemTotal:\s+(\d+)/.exec(readFileSync("/proc/meminfo", "utf8"))?.[1]) * 1024,
    );
    expect(info).toMatchObject({
      Containers: 0,
      Images: expect.any(Number),
      Driver: "overlay2",
      OSType: "linux",
      Architecture: "x86_64",
      NCPU: expect.any(Number),
      MemTotal: expect.any(Number),
      DockerRootDir: suite.engine.dataRoot,
      Swarm: { LocalNodeState: "inactive" },
      Plugins: {
        Volume: expect.arrayContaining(["local"]),
        Network: expect.arrayContaining(["bridge", "host", "null"]),
      },
    });
  });

  test("an unknown path is 404, in JSON", async () => {
    const { status, json, headers } = await request("GET", "/no/such/path");
    expect([status, json().message]).toEqual([404, "page not found"]);
    expect(headers["content-type"]).toStartWith("application/json");
  });

  test("a node that is in no swarm cannot leave one, and says so", async () => {
    const { status, json } = await request("POST", "/swarm/leave?force=1");
    expect([status, json().message]).toEqual([503, "This node is not part of a swarm"]);
  });

  notInOracle("it has them")("what is not built answers 501 with its name, and can be listed", async () => {
    const listed = Bun.spawnSync([executablePath, "daemon", "--list-routes"])
      .stdout.toString()
      .trim()
      .split("\n");
    expect(listed.length).toBeGreaterThanOrEqual(100);
    const missing = listed.filter((line) => /\b501\b|not (built|implemented)/i.test(line));
    for (const line of missing.slice(0, 200)) {
      const [method = "", path = ""] = line.trim().split(/\s+/);
      if (!path.startsWith("/") || method === "HEAD") continue;
      const { status, text } = await request(method, path.replaceAll(/\{[^}]+\}/g, "x"), {
        body: method === "POST" ? {} : undefined,
      });
      const { message } = JSON.parse(text) as { message: string };
      // Rows of a version that is newer than the engine's own are not there yet.
      if (status === 404 && message === "page not found") continue;
      expect(`${line}: ${status}`).toBe(`${line}: 501`);
      expect(message).toContain("is not implemented");
    }
  });
});

describe("bad input", () => {
  const create = (body: unknown, headers?: Record<string, string>) =>
    request("POST", "/containers/create", { body, headers });

  notInOracle("20.10 answers 500")("malformed JSON is 400", async () => {
    for (const body of [
      "{",
      "nonsense",
      '{"Image":"busybox"',
      '{"Image":"busybox"}}',
      "[]",
      '"text"',
      '{"Image":}',
      "\0",
    ]) {
      const { status, text } = await create(body);
      expect(`${body} ${status}`).toBe(`${body} 400`);
      expect(JSON.parse(text).message.length).toBeGreaterThan(5);
    }
  });

  notInOracle("20.10 answers 500")("fields of another type are 400", async () => {
    const wrong = [
      { Image: 5 },
      { Image: "busybox", Cmd: [1] },
      { Image: "busybox", Env: "A=1" },
      { Image: "busybox", Tty: "yes" },
      { Image: "busybox", Labels: ["a"] },
      { Image: "busybox", HostConfig: [] },
      { Image: "busybox", HostConfig: { Memory: "1g" } },
      { Image: "busybox", HostConfig: { Memory: 1.5 } },
      { Image: "busybox", HostConfig: { PortBindings: { "80/tcp": "8080" } } },
      { Image: "busybox", HostConfig: { Binds: "/a:/b" } },
    ];
    for (const body of wrong)
      expect(`${JSON.stringify(body)} ${(await create(body)).status}`).toBe(`${JSON.stringify(body)} 400`);
  });

  notInOracle("20.10 answers 500 to some")("values that cannot be are 400", async () => {
    const wrong = [
      { Image: "busybox", HostConfig: { Memory: 1 } },
      { Image: "busybox", HostConfig: { RestartPolicy: { Name: "sometimes" } } },
      { Image: "busybox", HostConfig: { Binds: ["/a:relative"] } },
      { Image: "busybox", WorkingDir: "relative" },
      { Image: "Not A Reference" },
    ];
    for (const body of wrong)
      expect(`${JSON.stringify(body)} ${(await create(body)).status}`).toBe(`${JSON.stringify(body)} 400`);
  });

  test("unknown fields are ignored, null is absence, names are case-insensitive", async () => {
    const { status, json } = await create({
      image: "busybox",
      Cmd: null,
      Env: null,
      NoSuchField: { a: [1] },
      HostConfig: { NoSuch: 1 },
    });
    expect(status).toBe(201);
    expect((await suite.engine.call("GET", `/containers/${json().Id}/json`)).Config.Cmd).toEqual(["sh"]);
  });

  notInOracle("20.10 answers otherwise")("another content type, and no body at all", async () => {
    expect((await create('{"Image":"busybox"}', { "Content-Type": "text/plain" })).status).toBe(400);
    expect((await request("POST", "/containers/create")).status).toBe(400);
  });

  notInOracle("it reads to the end")("a JSON body of 64 MB is refused without being kept", async () => {
    const { status } = await create(`{"Image":"busybox","Cmd":["${"x".repeat(64 << 20)}"]}`).catch(() => ({
      status: 400,
    }));
    expect(status).toBe(400);
    expect(await slowestPing(5)).toBeLessThan(50);
  });

  notInOracle("its parser is more patient")("deep JSON does not end the daemon", async () => {
    const { status } = await create(`${'{"a":'.repeat(200_000)}1${"}".repeat(200_000)}`);
    expect(status).toBe(400);
  });

  test("patterns in filters are Go's, and hold nobody up", async () => {
    const created = await suite.engine.call("POST", "/containers/create?name=web-17", { Image: "busybox" });
    const named = async (pattern: string) => {
      const filters = encodeURIComponent(JSON.stringify({ name: [pattern] }));
      const listed = await request("GET", `/containers/json?all=1&filters=${filters}`);
      return (listed.json() as { Id: string }[]).map(({ Id }) => Id);
    };
    expect(await named("^/?(?P<kind>web|db)-[[:digit:]]+$")).toEqual([created.Id]);
    expect(await named("(w+e+)+(b+)+!")).toEqual([]);
  });

  notInOracle("20.10 answers 500 to some")("bad filters and numbers in the query", async () => {
    const bad = [
      "/containers/json?filters=%7B",
      "/containers/json?filters=%5B%5D",
      "/containers/json?limit=x",
      "/images/json?filters=%7B%22no-such%22%3A%5B%22x%22%5D%7D",
      "/events?since=x",
    ];
    for (const path of bad)
      expect(
        `${path} ${(await request("GET", path, { timeout: 3_000 }).catch(() => ({ status: "hangs" }))).status}`,
      ).toBe(`${path} 400`);
  });

  notInOracle("Go redirects to the cleaned path")("hostile names in paths are no paths", async () => {
    for (const path of [
      "/containers/..%2f..%2fetc%2fpasswd/json",
      "/containers/%00/json",
      "/volumes/..%2f..%2fetc",
      "/images/..%2f..%2fetc/json",
    ]) {
      const { status } = await request("GET", path);
      expect([400, 404]).toContain(status);
    }
  });

  notInOracle("Go's server answers otherwise here and there")(
    "what is not HTTP is answered with 400 or closed",
    async () => {
      for (const bytes of [
        "\r\n\r\n\r\n",
        "GARBAGE\r\n\r\n",
        "GET\r\n\r\n",
        "GET /_ping HTTP/9.9\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01",
        "GET /_ping HTTP/1.1\r\nHost: a\r\nBad Header\r\n\r\n",
      ]) {
        expect(await raw(bytes, { half: true })).toMatch(/^(HTTP\/1\.1 (400|505) [\s\S]*)?$/);
      }
      expect(await slowestPing(3)).toBeLessThan(50);
    },
  );

  notInOracle("Go prefers chunked")("a length and chunks at the same time are refused", async () => {
    const reply = await raw(
      "POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /_ping HTTP/1.1\r\nHost: x\r\n\r\n",
    );
    expect(reply).toStartWith("HTTP/1.1 400");
    expect(reply).not.toContain("OK");
  });

  notInOracle("Go allows a megabyte")("headers of 2 MB are refused", async () => {
    const reply = await raw(`GET /_ping HTTP/1.1\r\nHost: x\r\nX-Long: ${"y".repeat(2 << 20)}\r\n\r\n`);
    expect(reply).toMatch(/^(HTTP\/1\.1 (400|431) [\s\S]*)?$/);
  });

  test("a request whose sender half-closes is answered", async () => {
    expect(
      await raw("GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", { half: true }),
    ).toContain("\r\n\r\nOK");
  });

  test("several requests on one connection, pipelined", async () => {
    const one = "GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n";
    const reply = await raw(one + one + one.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
    expect(reply.match(/\r\n\r\nOK/g)?.length).toBe(3);
  });

  test("a body that never comes holds nobody up", async () => {
    const sockets = await opened(20);
    for (const socket of sockets)
      socket.write(
        "POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{",
      );
    expect(await slowestPing()).toBeLessThan(50);
    for (const socket of sockets) socket.destroy();
  });

  test("200 idle connections and 100 that send half a request: ping stays under 50 ms, and nothing of them stays", async () => {
    await slowestPing();
    const before = total(openFiles(suite.engine.pid));
    const idle = await opened(200);
    const slow = await opened(100);
    for (const socket of slow) socket.write("GET /_ping HT");
    expect(await slowestPing(50)).toBeLessThan(50);
    for (const socket of [...idle, ...slow]) socket.destroy();
    await Bun.sleep(500);
    expect(total(openFiles(suite.engine.pid))).toBeLessThanOrEqual(before + 5);
  });

  test("1,000 followers of events that go away leave nothing", async () => {
    const before = total(openFiles(suite.engine.pid));
    for (let round = 0; round < 5; round++) {
      const sockets = await opened(200);
      for (const socket of sockets) socket.write("GET /events HTTP/1.1\r\nHost: x\r\n\r\n");
      await Bun.sleep(100);
      for (const socket of sockets) socket.destroy();
    }
    await Bun.sleep(1_000);
    expect(total(openFiles(suite.engine.pid))).toBeLessThanOrEqual(before + 5);
    expect(await slowestPing(5)).toBeLessThan(50);
  });

  notInOracle("20.10 keeps some descriptors")(
    "clients that hang up in the middle of everything leave the daemon as it was",
    async () => {
      const { Id } = await suite.engine.call("POST", "/containers/create", {
        Image: "busybox",
        Cmd: ["sleep", "60"],
        OpenStdin: true,
      });
      await suite.engine.call("POST", `/containers/${Id}/start`);
      await Bun.sleep(300);
      const before = total(openFiles(suite.engine.pid));
      const paths = [
        `POST /containers/${Id}/attach?stream=1&stdout=1&stdin=1`,
        `GET /containers/${Id}/logs?follow=1&stdout=1`,
        `POST /containers/${Id}/wait`,
        "GET /events",
      ];
      for (let round = 0; round < 10; round++) {
        const sockets = await opened(paths.length);
        for (const [at, socket] of sockets.entries())
          socket.write(
            `${paths[at]} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n`,
          );
        await Bun.sleep(50);
        for (const socket of sockets) socket.destroy();
      }
      await Bun.sleep(1_000);
      expect(total(openFiles(suite.engine.pid))).toBeLessThanOrEqual(before + 6);
      expect((await suite.engine.call("GET", `/containers/${Id}/json`)).State.Running).toBe(true);
    },
  );
});

describe.skipIf(oracle)("a daemon with few descriptors", () => {
  test("keeps some for its own work, and tells clients beyond what they may take", async () => {
    await using engine = await startEngine({ openFiles: 260 });
    const sockets = await Promise.all(Array.from({ length: 400 }, () => open(engine.socket)));
    const replies: string[] = [];
    for (const socket of sockets) socket.once("data", (bytes) => replies.push(bytes.toString()));
    await eventually(async () => replies.length > 300);
    expect(replies.every((text) => text.startsWith("HTTP/1.1 503 "))).toBe(true);
    expect(replies[0]).toContain('{"message":"too many connections"}');
    for (const socket of sockets) socket.destroy();
    await eventually(() => engine.answers());
    const created = await engine.request("POST", "/networks/create", { body: { Name: "few" } });
    expect(created.status).toBe(201);
  });

  test("a thousand clients at once are all answered", async () => {
    const sockets = await Promise.all(Array.from({ length: 1000 }, () => open(suite.engine.socket)));
    for (const socket of sockets) socket.write("GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n");
    const replies = await Promise.all(sockets.map((socket) => firstBytes(socket, 10_000)));
    expect(replies.filter((text) => text.startsWith("HTTP/1.1 200 ")).length).toBe(1000);
    for (const socket of sockets) socket.destroy();
  });
});

/** A connection, once it is there. */
function open(path: string): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const socket = connect(path, () => resolve(socket));
  socket.once("error", reject);
  return promise;
}

/** What comes first within that many milliseconds; nothing if nothing does. */
function firstBytes(socket: Socket, within: number): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const timer = setTimeout(() => resolve(""), within);
  socket.once("data", (bytes) => resolve(bytes.toString()));
  socket.on("error", () => resolve(""));
  return promise.finally(() => clearTimeout(timer));
}

async function eventually(check: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await check()); tries++) {
    if (tries > 100) throw new Error("did not become true");
    await Bun.sleep(50);
  }
}

describe.skipIf(oracle)("the daemon as a program", () => {
  const daemon = async (...args: string[]) => {
    const child = Bun.spawn([executablePath, "daemon", ...args], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    const late = setTimeout(() => child.kill("SIGKILL"), 5_000);
    const [output, code] = await Promise.all([new Response(child.stderr).text(), child.exited]);
    clearTimeout(late);
    return { output, code };
  };

  test("a second one on the same data root refuses", async () => {
    const { code, output } = await daemon(
      "--data-root",
      suite.engine.dataRoot,
      "--exec-root",
      `${suite.engine.directory}/other`,
      "--host",
      `unix://${suite.engine.directory}/other.sock`,
      "--bridge",
      "none",
    );
    expect(code).not.toBe(0);
    expect(output).toContain(suite.engine.dataRoot);
  });

  test("an unknown flag and an unknown key are errors", async () => {
    const flag = await daemon("--no-such-flag");
    expect(flag.code).not.toBe(0);
    expect(flag.output).toContain("no-such-flag");
    const file = `${suite.engine.directory}/daemon.json`;
    await Bun.write(file, '{"no-such-key": 1}');
    const key = await daemon("--config-file", file, "--validate");
    expect(key.code).not.toBe(0);
    expect(key.output).toContain("no-such-key");
    await Bun.write(file, '{"debug": true, "insecure-registries": ["10.0.0.0/8"]}');
    expect((await daemon("--config-file", file, "--validate")).code).toBe(0);
  });

  test("tcp without certificates needs an explicit flag", async () => {
    const { code, output } = await daemon(
      "--data-root",
      `${suite.engine.directory}/x`,
      "--exec-root",
      `${suite.engine.directory}/y`,
      "--host",
      "tcp://127.0.0.1:0",
      "--bridge",
      "none",
    );
    expect(code).not.toBe(0);
    expect(output).toContain("insecure-tcp");
  });

  test("the socket is for root and the group docker only", async () => {
    expect((await Bun.$`stat -c %a ${suite.engine.socket}`.text()).trim()).toBe("660");
  });
});

function total(files: Map<string, number>): number {
  return [...files.values()].reduce((sum, count) => sum + count, 0);
}
