import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { anything } from "../../api/decode.ts";
import { UnavailableError } from "../../core/errors.ts";
import type { Plugins } from "../../core/plugins.ts";
import type { Handlers } from "../call.ts";
import { createServer, type Gate } from "../index.ts";
import { request, testIdentity, Wire } from "../testing.ts";
import { openAuditLog } from "./audit.ts";
import { authorizationGate } from "./authorization.ts";
import { canonicalJson } from "./canonical-json.ts";
import { parseScopedSocket, type ScopedContainer, scopeGate } from "./scope.ts";

let directory = "";
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "gantry-gates-"));
});
afterAll(() => rmSync(directory, { recursive: true }));

let sockets = 0;

async function serve(handlers: Handlers, ...gates: Gate[]) {
  const server = createServer({ handlers, identity: testIdentity });
  const path = join(directory, `${++sockets}.sock`);
  await server.listen({ kind: "unix", path }, { gates });
  return { path, server, [Symbol.asyncDispose]: () => server.close(100) };
}

/** Status and body of one request. */
async function ask(path: string, bytes: string): Promise<[number, string]> {
  using wire = new Wire(path).send(bytes.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
  const [head = "", ...body] = (await wire.end()).split("\r\n\r\n");
  return [Number(head.slice(9, 12)), body.join("").trim()];
}

interface Asked {
  readonly method: string;
  readonly request: Readonly<Record<string, string | number | Record<string, string>>>;
}

/** A plugin that answers by `decide`; what it was asked is kept. */
function plugin(decide: (asked: Asked) => { Allow: boolean; Msg?: string } = () => ({ Allow: true })) {
  const asked: Asked[] = [];
  const plugins = {
    get: async () => ({
      name: "p",
      interfaces: ["authz"],
      call: async (method: string, args: object) => {
        const entry = { method, request: args } as Asked;
        asked.push(entry);
        return decide(entry);
      },
    }),
  } as unknown as Plugins;
  return { asked, gate: authorizationGate(plugins, () => ["p"]) };
}

const text = (value: unknown) => Buffer.from(String(value), "base64").toString();

describe("an authorization plugin", () => {
  const create: Handlers = { ContainerCreate: async (call) => call.json(await call.decode(anything), 201) };

  test("sees the request as it executes, without credentials, and the reply", async () => {
    const { asked, gate } = plugin();
    await using server = await serve(create, gate);
    const body = '{"Image":"a","Image":"b"}';
    const headers = "X-Registry-Auth: secret\r\nX-Custom-Name: v\r\n";
    const reply = await ask(
      server.path,
      request("POST", "//v1.44//containers/%63reate?name=x%20y", headers, body),
    );
    expect(reply).toEqual([201, '{"Image":"b"}']);
    const [before, after] = asked;
    expect(before?.method).toBe("AuthZPlugin.AuthZReq");
    expect(before?.request).toMatchObject({
      RequestMethod: "POST",
      RequestUri: "/v1.44/containers/create?name=x%20y",
    });
    expect(text(before?.request.RequestBody)).toBe('{"Image":"b"}');
    expect(before?.request.RequestHeaders).toMatchObject({ "X-Custom-Name": "v" });
    expect(JSON.stringify(asked)).not.toContain("secret");
    expect(after?.method).toBe("AuthZPlugin.AuthZRes");
    expect(after?.request).toMatchObject({ ResponseStatusCode: 201, RequestMethod: "POST" });
    expect(text(after?.request.ResponseBody)).toBe('{"Image":"b"}\n');
  });

  test("refuses before anything happens, in Docker's words", async () => {
    let happened = false;
    const { gate } = plugin(() => ({ Allow: false, Msg: "not you" }));
    await using server = await serve(
      {
        ContainerStart: (call) => {
          happened = true;
          call.empty();
        },
      },
      gate,
    );
    expect(await ask(server.path, request("POST", "/containers/a/start"))).toEqual([
      403,
      '{"message":"authorization denied by plugin p: not you"}',
    ]);
    expect(happened).toBe(false);
  });

  test("withholds a reply", async () => {
    const { gate } = plugin(({ method }) => ({ Allow: method === "AuthZPlugin.AuthZReq", Msg: "secret" }));
    await using server = await serve({ SystemInfo: (call) => call.json({ hidden: 1 }) }, gate);
    expect(await ask(server.path, request("GET", "/info"))).toEqual([
      403,
      '{"message":"authorization denied by plugin p: secret"}',
    ]);
  });

  test("that fails lets nothing through", async () => {
    const plugins = {
      get: async () => {
        throw new UnavailableError("plugin p did not answer");
      },
    } as unknown as Plugins;
    await using server = await serve(
      { SystemInfo: (call) => call.json({}) },
      authorizationGate(plugins, () => ["p"]),
    );
    expect(await ask(server.path, request("GET", "/info"))).toEqual([
      500,
      '{"message":"plugin p failed with error: plugin p did not answer"}',
    ]);
  });

  test("is not asked where there is none, and streams go on as they were", async () => {
    await using server = await serve(
      create,
      authorizationGate({} as Plugins, () => []),
    );
    expect(await ask(server.path, request("POST", "/containers/create", "", '{"a":1}'))).toEqual([
      201,
      '{"a":1}',
    ]);
    const { gate, asked } = plugin();
    await using other = await serve(
      {
        SystemEvents: async (call) => {
          const stream = call.stream();
          await stream.writeJson({ event: 1 });
          await stream.end();
        },
      },
      gate,
    );
    expect((await ask(other.path, request("GET", "/events")))[1]).toContain('{"event":1}');
    expect(asked.map(({ method }) => method)).toEqual(["AuthZPlugin.AuthZReq"]);
  });

  const hostile: [string, string, string][] = [
    [
      "chunked bodies of a megabyte",
      "chunked",
      `{"Image":"${"x".repeat(1_200_000)}","HostConfig":{"Privileged":true}}`,
    ],
    [
      "a name in two spellings",
      "length",
      '{"HostConfig":{"Privileged":false},"hostconfig":{"Privileged":true}}',
    ],
    ["a nested name in two spellings", "length", '{"HostConfig":{"Privileged":false,"PRIVILEGED":true}}'],
  ];
  for (const [what, framing, body] of hostile) {
    test(`cannot be passed by ${what}`, async () => {
      const { gate } = plugin(({ request: { RequestBody } }) => ({
        Allow: !text(RequestBody).includes(":true"),
      }));
      await using server = await serve(create, gate);
      const chunked = `Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n`;
      const bytes =
        framing === "length"
          ? request("POST", "/containers/create", "", body)
          : `${request("POST", "/containers/create", chunked)}${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
      expect((await ask(server.path, bytes))[0]).toBeOneOf([400, 403]);
    });
  }
});

test("names that are data may differ in case alone", () => {
  const labels = '{"Labels":{"a":"1","A":"2"},"HostConfig":{"Sysctls":{"x":"1","X":"2"}}}';
  expect(canonicalJson(labels)).toBe(labels);
  expect(() => canonicalJson('{"Cmd":[],"cmd":[]}')).toThrow("twice");
});

describe("the audit log", () => {
  test("has a line before each call and one after it, whatever becomes of it", async () => {
    const path = join(directory, "audit.log");
    using audit = openAuditLog(path);
    const { gate } = plugin(({ request: { RequestMethod } }) => ({ Allow: RequestMethod === "GET" }));
    await using server = await serve(
      { SystemInfo: (call) => call.json({}), ContainerStart: (call) => call.empty() },
      audit,
      gate,
    );
    await ask(server.path, request("GET", "/info"));
    await ask(server.path, request("POST", "/containers/x%0Ay/start?secret=1"));
    renameSync(path, `${path}.1`);
    audit.reopen();
    await ask(server.path, request("GET", "/info"));
    const records = readFileSync(`${path}.1`, "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(records.map(({ event, call, operation, status }) => [event, call, operation ?? status])).toEqual([
      ["call", 1, "SystemInfo"],
      ["done", 1, 200],
      ["call", 2, "ContainerStart"],
      ["done", 2, 403],
    ]);
    expect(records[2]).toMatchObject({
      socket: `unix://${server.path}`,
      method: "POST",
      path: "/containers/x%0Ay/start",
    });
    expect(readFileSync(path, "utf8").trim().split("\n").length).toBe(2);
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  test("that cannot be written stops changes, and not reading", async () => {
    using audit = openAuditLog("/dev/full");
    await using server = await serve(
      { SystemInfo: (call) => call.json({}), ContainerStart: (call) => call.empty() },
      audit,
    );
    expect((await ask(server.path, request("GET", "/info")))[0]).toBe(200);
    const [status, body] = await ask(server.path, request("POST", "/containers/a/start"));
    expect([status, body]).toEqual([503, expect.stringContaining("the audit log cannot be written")]);
  });
});

describe("a scoped socket", () => {
  const containers: ScopedContainer[] = [
    { id: "1".repeat(64), name: "ci-web", labels: { team: "ci" } },
    { id: "2".repeat(64), name: "db", labels: { team: "ops" } },
    { id: "3".repeat(64), name: "other", labels: { team: "ci" } },
  ];
  const find = async (reference: string) =>
    containers.find(({ id, name }) => id.startsWith(reference) || name === reference.replace(/^\//, ""));
  const objects = { container: find, exec: async (id: string) => await find(id) };
  const handlers: Handlers = {
    ContainerInspect: (call) => call.json(call.param("id")),
    ContainerStart: (call) => call.empty(),
    ContainerRename: (call) => call.empty(),
    ContainerExport: (call) => call.text("bytes"),
    ContainerCreate: (call) => call.json({}),
    ExecInspect: (call) => call.json({}),
    SystemInfo: (call) => call.json({}),
    SystemVersion: (call) => call.json({}),
    ContainerList: (call) =>
      call.json(containers.map(({ name, labels }) => ({ Names: [`/a/alias`, `/${name}`], Labels: labels }))),
  };
  const scoped = (text: string) => serve(handlers, scopeGate(parseScopedSocket(text).scope, objects));

  test("is written as its address and settings", () => {
    expect(
      parseScopedSocket("unix:///run/a.sock;group=g;allow=read,Container*;label=team=ci;label=b;name=x-*"),
    ).toEqual({
      host: "unix:///run/a.sock",
      group: "g",
      scope: { allow: ["read", "Container*"], labels: ["team=ci", "b"], names: ["x-*"] },
    });
    for (const bad of [
      "tcp://0.0.0.0:1;allow=all",
      "unix:///a",
      "unix:///a;allow=",
      "unix:///a;verbs=read",
      "unix:///a;x",
    ]) {
      expect(() => parseScopedSocket(bad)).toThrow("scoped-sockets");
    }
  });

  test("lets through what it names", async () => {
    await using server = await scoped("unix:///x;allow=read,ContainerSt*");
    const seen = async (method: string, path: string) => (await ask(server.path, request(method, path)))[0];
    expect(await seen("GET", "/containers/db/json")).toBe(200);
    expect(await seen("POST", "/containers/db/start")).toBe(204);
    expect(await seen("GET", "/version")).toBe(200);
    expect(await seen("POST", "/containers/db/rename?name=a")).toBe(403);
    expect(await seen("GET", "/containers/db/export")).toBe(403);
    expect(await ask(server.path, request("POST", "/containers/create"))).toEqual([
      403,
      '{"message":"ContainerCreate is not allowed on this socket"}',
    ]);
  });

  test("shows containers with its labels and names only, and nothing that concerns others", async () => {
    await using server = await scoped("unix:///x;allow=all;label=team=ci;name=ci-*");
    const seen = (method: string, path: string) => ask(server.path, request(method, path));
    expect(await seen("GET", "/containers/json")).toEqual([
      200,
      JSON.stringify([{ Names: ["/a/alias", "/ci-web"], Labels: { team: "ci" } }]),
    ]);
    // By its whole id, so that nobody else can be meant.
    expect(await seen("GET", "/containers/ci-web/json")).toEqual([200, JSON.stringify("1".repeat(64))]);
    for (const other of ["db", "other", "nobody", "2222"]) {
      expect(await seen("POST", `/containers/${other}/start`)).toEqual([
        404,
        `{"message":"No such container: ${other}"}`,
      ]);
    }
    expect((await seen("GET", "/exec/1111/json"))[0]).toBe(200);
    expect((await seen("GET", "/exec/2222/json"))[0]).toBe(404);
    expect((await seen("POST", "/containers/ci-web/rename?name=db2"))[0]).toBe(403);
    expect((await seen("POST", "/containers/ci-web/rename?name=ci-db"))[0]).toBe(204);
    for (const [method, path] of [
      ["GET", "/info"],
      ["POST", "/containers/create"],
    ] as const) {
      expect((await seen(method, path))[0]).toBe(403);
    }
    expect((await seen("GET", "/version"))[0]).toBe(200);
  });
});
