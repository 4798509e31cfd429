import { describe, expect, test } from "bun:test";
import { openHttp2Client, serveHttp2 } from "../../http/http2/index.ts";
import { SourceError } from "../errors.ts";
import { callOnce, openStream } from "./grpc/client.ts";
import { frame } from "./grpc/framing.ts";
import { duplex, type Methods, serveCall, streaming, unary } from "./grpc/server.ts";
import { Code, RpcError, toStatus } from "./grpc/status.ts";
import type { Channel, RawBytes } from "./grpc/transport.ts";
import { BuildkitProtocol } from "./index.ts";
import * as control from "./messages/control.ts";
import * as gateway from "./messages/gateway.ts";
import * as session from "./messages/session.ts";
import { Inbox } from "./session/inbox.ts";
import { comparePaths } from "./session/paths.ts";
import { ClientSessions } from "./session/sessions.ts";
import { fromGoMode, toGoMode } from "./session/stats.ts";
import { TellingBuilds } from "./test-builds.ts";
import type { Value } from "./wire/message.ts";

/** Two ends of a connection in memory. */
function pipe(): [RawBytes, RawBytes] {
  const closed = Promise.withResolvers<void>();
  const [a, b] = [new Inbox<Uint8Array>(), new Inbox<Uint8Array>()];
  const close = () => {
    a.end();
    b.end();
    closed.resolve();
  };
  const end = (input: Inbox<Uint8Array>, output: Inbox<Uint8Array>): RawBytes => ({
    input,
    write: (bytes) => output.put(new Uint8Array(bytes)),
    end: () => Promise.resolve(output.end()),
    closed: closed.promise,
    [Symbol.dispose]: close,
  });
  return [end(a, b), end(b, a)];
}

/** A client that offers these methods in a session. */
function serving(methods: Methods): RawBytes {
  const [ours, theirs] = pipe();
  void serveHttp2(theirs, (exchange) => serveCall(exchange, methods));
  return ours;
}

interface TestProtocol extends Disposable {
  readonly builds: TellingBuilds;
  readonly sessions: ClientSessions;
  readonly protocol: BuildkitProtocol;
  /** Calls Control and the bridge. */
  readonly channel: Channel;
}

function testProtocol(): TestProtocol {
  const sessions = new ClientSessions();
  const builds = new TellingBuilds(sessions);
  const worker = { id: "worker", hostname: "host", hostGateway: undefined };
  const protocol = new BuildkitProtocol({ builds, sessions, worker, openChannel: openHttp2Client });
  const [client, server] = pipe();
  void serveHttp2(server, (exchange) => protocol.serve(exchange));
  const channel = openHttp2Client(client);
  return { builds, sessions, protocol, channel, [Symbol.dispose]: () => channel[Symbol.dispose]() };
}

const CONTROL = "/moby.buildkit.v1.Control";
const BRIDGE = "/moby.buildkit.v1.frontend.LLBBridge";
const encode = (text: string) => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes);

type StatValue = Value<typeof session.Stat>;
type PacketValue = Value<typeof session.Packet>;

const entry = (path: string, more: Partial<StatValue> = {}): StatValue => ({
  ...session.Stat.empty(),
  path,
  mode: 0o644,
  ...more,
});

/** A client's FileSync: these entries, with these bytes. */
function directory(entries: readonly StatValue[], contents: Readonly<Record<string, string>> = {}): Methods {
  return {
    "/moby.filesync.v1.FileSync/DiffCopy": duplex(
      session.Packet,
      session.Packet,
      async (packets, _, send) => {
        for (const stat of entries) await send({ type: "stat", stat });
        await send({ type: "stat" });
        for await (const packet of packets) {
          if (packet.type === "fin") break;
          const path = entries[packet.id]?.path ?? "";
          for (const letter of contents[path] ?? "")
            await send({ type: "data", id: packet.id, data: encode(letter) });
          await send({ type: "data", id: packet.id });
        }
        await send({ type: "fin" });
      },
    ),
  };
}

function connect(wire: TestProtocol, id: string, methods: Methods): void {
  void wire.protocol.holdSession(() => serving(methods), new Map([["x-docker-expose-session-uuid", [id]]]));
}

describe("Control", () => {
  test("tells what it is and what it can run", async () => {
    using wire = testProtocol();
    const info = await callOnce(
      wire.channel,
      `${CONTROL}/Info`,
      [control.InfoRequest, control.InfoResponse],
      {},
    );
    expect(info.buildkitVersion?.package).toBe("github.com/moby/buildkit");
    const types = [control.ListWorkersRequest, control.ListWorkersResponse] as const;
    const { record } = await callOnce(wire.channel, `${CONTROL}/ListWorkers`, types, {});
    expect(record[0]?.platforms).toMatchObject([{ os: "linux", architecture: "amd64" }]);
    // It would promise exporters that are not there.
    expect(record[0]?.labels.has("org.mobyproject.buildkit.worker.snapshotter")).toBe(false);
  });

  test("an unknown method, and bytes that are no message, are told apart and end nothing", async () => {
    using wire = testProtocol();
    const types = [control.InfoRequest, control.InfoResponse] as const;
    await expect(callOnce(wire.channel, `${CONTROL}/Nope`, types, {})).rejects.toMatchObject({
      code: Code.unimplemented,
    });
    const call = wire.channel.request({
      path: `${CONTROL}/Solve`,
      headers: [["content-type", "application/grpc"]],
    });
    await call.write(frame(new Uint8Array([0xff, 0xff, 0xff])));
    call.end();
    await call.response();
    for await (const _ of call.body);
    expect((await call.trailers()).get("grpc-message")?.[0]).toContain("protobuf");
    await callOnce(wire.channel, `${CONTROL}/Info`, types, {});
  });

  test("a client solves through the bridge, reads what it solved, and its progress can be read from the start", async () => {
    using wire = testProtocol();
    connect(wire, "s", directory([entry("Dockerfile")], { Dockerfile: "FROM scratch\nCOPY a /\n" }));
    const ref = "build-1";
    const solveTypes = [control.SolveRequest, control.SolveResponse] as const;
    const solved = callOnce(wire.channel, `${CONTROL}/Solve`, solveTypes, { ref, session: "s" });
    const metadata = [["buildkit-controlapi-buildid", ref]] as const;
    const types = [gateway.SolveRequest, gateway.SolveResponse] as const;
    const { result } = await callOnce(
      wire.channel,
      `${BRIDGE}/Solve`,
      types,
      { frontend: "dockerfile.v0", allowResultReturn: true },
      { metadata },
    );
    expect(result?.ref?.def?.def.length).toBe(3);
    expect(decode(result?.metadata.get("containerimage.config"))).toContain("COPY a /");
    const returnTypes = [gateway.ReturnRequest, gateway.ReturnResponse] as const;
    await callOnce(wire.channel, `${BRIDGE}/Return`, returnTypes, { result }, { metadata });
    const statusTypes = [control.StatusRequest, control.StatusResponse] as const;
    using status = openStream(wire.channel, `${CONTROL}/Status`, statusTypes);
    await status.send({ ref });
    status.closeSend();
    const names = new Set<string>();
    for await (const { vertexes } of status.messages) for (const { name } of vertexes) names.add(name);
    expect([...names]).toEqual(["[internal] load build context", "[1/1] COPY a /"]);
    expect((await solved).exporterResponse.has("containerimage.digest")).toBe(true);
  });

  test("an error that a client returns comes out of Solve with its details", async () => {
    using wire = testProtocol();
    const ref = "build-2";
    const solveTypes = [control.SolveRequest, control.SolveResponse] as const;
    const solved = callOnce(wire.channel, `${CONTROL}/Solve`, solveTypes, { ref });
    solved.catch(() => {});
    const details = [{ typeUrl: "github.com/moby/buildkit/errdefs.Source+json", value: encode("{}") }];
    await callOnce(
      wire.channel,
      `${BRIDGE}/Return`,
      [gateway.ReturnRequest, gateway.ReturnResponse],
      { error: { code: Code.unknown, message: "no — 100%", details } },
      { metadata: [["buildkit-controlapi-buildid", ref]] },
    );
    await expect(solved).rejects.toMatchObject({ code: Code.unknown, message: "no — 100%", details });
  });

  test("a build that nobody started is not found", async () => {
    using wire = testProtocol();
    const types = [gateway.EvaluateRequest, gateway.EvaluateResponse] as const;
    const metadata = [["buildkit-controlapi-buildid", "nobody"]] as const;
    await expect(callOnce(wire.channel, `${BRIDGE}/Evaluate`, types, {}, { metadata })).rejects.toMatchObject(
      {
        code: Code.notFound,
        message: "no such job nobody",
      },
    );
  });

  test("history lists builds that are over", async () => {
    using wire = testProtocol();
    const solveTypes = [control.SolveRequest, control.SolveResponse] as const;
    const frontendInputs = new Map();
    await expect(
      callOnce(wire.channel, `${CONTROL}/Solve`, solveTypes, { ref: "r", frontend: "nope", frontendInputs }),
    ).rejects.toBeInstanceOf(RpcError);
    const types = [control.BuildHistoryRequest, control.BuildHistoryEvent] as const;
    using events = openStream(wire.channel, `${CONTROL}/ListenBuildHistory`, types);
    await events.send({ earlyExit: true });
    events.closeSend();
    const seen: string[] = [];
    for await (const { type, record } of events.messages)
      seen.push(`${type} ${record?.ref} ${record?.error?.message}`);
    expect(seen).toEqual(["complete r frontend nope not found"]);
  });
});

describe("a session", () => {
  const options = {
    includePatterns: [],
    excludePatterns: [],
    followPaths: [],
    signal: new AbortController().signal,
  };

  async function receive(
    methods: Methods,
    wanted: readonly number[],
  ): Promise<{ paths: string[]; data: string }> {
    using wire = testProtocol();
    connect(wire, "s", methods);
    const client = await wire.sessions.get("s", options);
    await using transfer = await client.openDirectory("context", options);
    const paths: string[] = [];
    for await (const batch of transfer.entries) paths.push(...batch.map((stat) => stat.path));
    for (const index of wanted) transfer.request(index);
    let data = "";
    let ends = 0;
    if (wanted.length > 0) {
      for await (const { bytes, end } of transfer.data) {
        data += decode(bytes);
        if (end && ++ends === wanted.length) break;
      }
    }
    await transfer.finish();
    return { paths, data };
  }

  test("gives the entries of a directory, and the bytes that are asked for", async () => {
    const entries = [entry("a", { mode: 2 ** 31 + 0o755 }), entry("a/b"), entry("c")];
    expect(await receive(directory(entries, { "a/b": "bee", c: "sea" }), [1, 2])).toEqual({
      paths: ["a", "a/b", "c"],
      data: "beesea",
    });
  });

  test.each<[string, StatValue[]]>([
    ["a path that leads out", [entry("../x")]],
    ["an absolute path", [entry("/etc/passwd")]],
    ["a path through a file", [entry("a"), entry("a/b")]],
    ["a path through a link", [entry("a", { mode: 2 ** 27 + 0o777, linkname: "/" }), entry("a/b")]],
    ["entries twice", [entry("a"), entry("a")]],
    ["entries out of order", [entry("b"), entry("a")]],
    ["an empty path", [entry("")]],
  ])("S08: %s is refused", async (_, entries) => {
    await expect(receive(directory(entries), [])).rejects.toThrow("filesync:");
  });

  test("has secrets, or has none", async () => {
    using wire = testProtocol();
    connect(wire, "s", {
      "/moby.buildkit.secrets.v1.Secrets/GetSecret": unary(
        session.GetSecretRequest,
        session.GetSecretResponse,
        ({ id }) => {
          if (id !== "known") throw new RpcError(Code.notFound, "no such secret");
          return { data: encode("hush") };
        },
      ),
    });
    const client = await wire.sessions.get("s", options);
    expect(decode(await client.secret("known", options))).toBe("hush");
    expect(await client.secret("other", options)).toBeUndefined();
    expect(await client.agent("default", options)).toBeUndefined();
    expect(await client.credentials("docker.io", options)).toBeUndefined();
  });

  test("takes files and directories", async () => {
    using wire = testProtocol();
    const got: string[] = [];
    connect(wire, "s", {
      "/moby.filesync.v1.FileSend/DiffCopy": duplex(
        session.Packet,
        session.Packet,
        async (packets, context, send) => {
          got.push(context.metadata.get("exporter-md-containerimage.digest")?.[0] ?? "");
          let count = 0;
          for await (const packet of packets as AsyncIterable<PacketValue>) {
            if (packet.type === "stat" && packet.stat) {
              got.push(packet.stat.path);
              if (packet.stat.mode < 2 ** 20) await send({ type: "request", id: count });
              count++;
            } else if (packet.type === "data" && packet.data.length > 0) got.push(decode(packet.data));
            else if (packet.type === "data") await send({ type: "fin" });
            else if (packet.type === "fin") break;
          }
        },
      ),
    });
    const client = await wire.sessions.get("s", options);
    const stat = {
      uid: 0,
      gid: 0,
      size: 1,
      modTime: 0n,
      linkname: "",
      devmajor: 0,
      devminor: 0,
      xattrs: new Map(),
    };
    async function* entries() {
      yield [
        { ...stat, path: "d", mode: 0o40755 },
        { ...stat, path: "d/f", mode: 0o100644 },
      ];
    }
    async function* read() {
      yield encode("x");
    }
    await client.output.sendDirectory(
      { entries: entries(), read },
      {
        exporterId: "0",
        metadata: new Map([["containerimage.digest", "sha"]]),
        multiPlatform: false,
        signal: options.signal,
      },
    );
    expect(got).toEqual(["sha", "d", "d/f", "x"]);
  });

  test("that goes away takes its transfers with it", async () => {
    using wire = testProtocol();
    const hanging = serving({
      "/moby.filesync.v1.FileSync/DiffCopy": streaming(
        session.Packet,
        session.Packet,
        () => new Promise(() => {}),
      ),
    });
    void wire.protocol.holdSession(() => hanging, new Map([["x-docker-expose-session-uuid", ["s"]]]));
    const client = await wire.sessions.get("s", options);
    await using transfer = await client.openDirectory("context", options);
    const reading = (async () => {
      for await (const _ of transfer.entries);
    })();
    hanging[Symbol.dispose]();
    await expect(reading).rejects.toThrow();
    expect(client.closed.aborted).toBe(true);
  });
});

test("modes are Go's on the wire and Linux's here", () => {
  const modes = [0o100644, 0o40755, 0o120777, 0o104755, 0o41777, 0o10600, 0o20600, 0o60600, 0o140700];
  expect(modes.map((mode) => fromGoMode(toGoMode(mode)))).toEqual(modes);
  expect(toGoMode(0o40755)).toBe(2 ** 31 + 0o755);
});

test("a slash sorts before every letter", () => {
  expect(["a-b", "a/b", "a"].sort(comparePaths)).toEqual(["a", "a/b", "a-b"]);
});

test("an error carries the lines that it is about", () => {
  const range = { start: { line: 2, character: 0 }, end: { line: 2, character: 0 } };
  const source = { filename: "Dockerfile", data: encode("FROM x"), language: "Dockerfile" };
  const status = toStatus(new SourceError(new Error("no"), source, [range]));
  expect(status.message).toBe("no");
  expect(JSON.parse(decode(status.details[0]?.value))).toEqual({
    info: { filename: "Dockerfile", data: Buffer.from("FROM x").toString("base64"), language: "Dockerfile" },
    ranges: [range],
  });
});
