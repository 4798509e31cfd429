import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { createSocket } from "node:dgram";
import { closeSync, mkdtempSync, readSync, rmSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import type { LogRecord } from "../../../core/log-records.ts";
import type { LogSubject } from "../../../core/logs.ts";
import { bindLocalDatagrams } from "../../../linux/datagrams.ts";
import { fluentdDriver } from "./fluentd.ts";
import { gelfDriver } from "./gelf.ts";
import { journaldDriver } from "./journald.ts";
import { syslogDriver } from "./syslog.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "gantry-remote-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function subject(options: Record<string, string>): LogSubject {
  return {
    id: "c0ffee".repeat(10),
    name: "box",
    image: "busybox",
    imageId: `sha256:${"1".repeat(64)}`,
    command: ["sh"],
    created: "2026-11-23T12:00:00Z",
    driver: "x",
    options,
    attributes: { app: "web" },
  };
}

function record(text: string, change: Partial<LogRecord> = {}): LogRecord {
  const timestamp = "2026-11-23T12:00:00.123456789+00:00";
  return { stream: "stdout", timestamp, bytes: Buffer.from(`${text}\n`), partial: false, ...change };
}

/** Takes what is sent over a stream; can be absent for a while. */
async function listen(target: { port?: number; path?: string } = {}) {
  const received: Buffer[] = [];
  const server = createServer((socket) => socket.on("data", (bytes) => received.push(Buffer.from(bytes))));
  await new Promise<void>((resolve) =>
    target.path ? server.listen(target.path, resolve) : server.listen(target.port ?? 0, "127.0.0.1", resolve),
  );
  const address = server.address();
  return {
    port: typeof address === "object" ? ((address as AddressInfo)?.port ?? 0) : 0,
    bytes: () => Buffer.concat(received),
    [Symbol.dispose]: () => void server.close(),
  };
}

async function receiveDatagrams() {
  const received: Buffer[] = [];
  const socket = createSocket("udp4").on("message", (bytes) => received.push(bytes));
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  return { port: socket.address().port, received, [Symbol.dispose]: () => void socket.close() };
}

async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; tries < 2000 && !condition(); tries++) await Bun.sleep(5);
  expect(condition()).toBe(true);
}

describe("syslog", () => {
  const open = (options: Record<string, string>) => {
    syslogDriver.check(options);
    return syslogDriver.open(subject(options));
  };

  test("over tcp, each line once, and again when the server was away", async () => {
    const first = await listen();
    const { port } = first;
    first[Symbol.dispose]();
    const sink = open({ "syslog-address": `tcp://127.0.0.1:${port}`, tag: "{{.Name}}" });
    const written = sink.write([record("one"), record("two", { stream: "stderr" })]);
    await Bun.sleep(150);
    using server = await listen({ port });
    await written;
    const lines = (): string[] => server.bytes().toString().split("\n").slice(0, -1);
    await until(() => lines().length === 2);
    expect(lines()).toEqual([
      `<30> 2026-11-23T12:00:00Z ${hostname()} box[${process.pid}]: one`,
      `<27> 2026-11-23T12:00:00Z ${hostname()} box[${process.pid}]: two`,
    ]);
    await sink.close();
  });

  test("over udp in the form of RFC 5424, with its facility", async () => {
    using server = await receiveDatagrams();
    const sink = open({
      "syslog-address": `udp://127.0.0.1:${server.port}`,
      "syslog-format": "rfc5424micro",
      "syslog-facility": "local0",
    });
    await sink.write([record("hello")]);
    await until(() => server.received.length === 1);
    const id = "c0ffeec0ffee";
    expect(String(server.received[0])).toBe(
      `<134>1 2026-11-23T12:00:00.123456Z ${hostname()} ${id} ${process.pid} ${id} - hello\n`,
    );
    await sink.close();
  });

  test("to a local socket of datagrams", async () => {
    const path = join(directory, "log");
    const fd = bindLocalDatagrams(path);
    const sink = open({ "syslog-address": `unixgram://${path}` });
    await sink.write([record("hello")]);
    const bytes = Buffer.alloc(1000);
    expect(bytes.toString("utf8", 0, readSync(fd, bytes))).toEndWith(": hello\n");
    closeSync(fd);
    await sink.close();
  });

  test.each([
    [{ "syslog-address": "tcp:/x" }, "invalid syslog-address"],
    [{ "syslog-facility": "kitchen" }, "invalid syslog facility"],
    [{ "syslog-format": "xml" }, "Invalid syslog format"],
    [{ "syslog-nope": "1" }, "unknown log opt 'syslog-nope' for syslog log driver"],
  ])("%p is refused", (options, message) => {
    expect(() => syslogDriver.check(options as Record<string, string>)).toThrow(message);
  });
});

describe("gelf", () => {
  const expected = {
    version: "1.1",
    host: hostname(),
    short_message: "hello",
    timestamp: Date.parse("2026-11-23T12:00:00.123Z") / 1000,
    level: 6,
    _container_name: "box",
    _image_name: "busybox",
    _app: "web",
  };

  test("over udp, compressed, and in chunks where it is long", async () => {
    using server = await receiveDatagrams();
    const options = { "gelf-address": `udp://127.0.0.1:${server.port}` };
    gelfDriver.check(options);
    const sink = gelfDriver.open(subject(options));
    await sink.write([record("hello")]);
    await until(() => server.received.length === 1);
    expect(JSON.parse(gunzipSync(server.received[0] ?? Buffer.of()).toString())).toMatchObject(expected);
    await sink.close();
    server.received.length = 0;
    const plain = gelfDriver.open(subject({ ...options, "gelf-compression-type": "none" }));
    await plain.write([record("x".repeat(3000))]);
    await until(() => server.received.length === 3);
    expect(server.received.map((chunk) => [chunk[0], chunk[1], chunk[10], chunk[11]])).toEqual([
      [0x1e, 0x0f, 0, 3],
      [0x1e, 0x0f, 1, 3],
      [0x1e, 0x0f, 2, 3],
    ]);
    const whole = Buffer.concat(server.received.map((chunk) => chunk.subarray(12))).toString();
    expect(JSON.parse(whole).short_message).toBe("x".repeat(3000));
    await plain.close();
  });

  test("over tcp, each ended by a zero byte", async () => {
    using server = await listen();
    const sink = gelfDriver.open(subject({ "gelf-address": `tcp://127.0.0.1:${server.port}` }));
    await sink.write([record("hello"), record("again")]);
    await until(() => server.bytes().toString().split("\0").length === 3);
    const [first = "", second = ""] = server.bytes().toString().split("\0");
    expect(JSON.parse(first)).toMatchObject(expected);
    expect(JSON.parse(second).short_message).toBe("again");
    await sink.close();
  });

  test("needs an address", () => {
    expect(() => gelfDriver.check({})).toThrow("gelf-address is a required parameter");
    expect(() => gelfDriver.check({ "gelf-address": "tcp://h:1", "gelf-compression-type": "gzip" })).toThrow(
      "only supported on UDP",
    );
  });
});

test("fluentd takes tag, time and record in MessagePack", async () => {
  const path = join(directory, "fluent");
  using server = await listen({ path });
  const options = { "fluentd-address": `unix://${path}`, tag: "t" };
  fluentdDriver.check(options);
  const sink = fluentdDriver.open(subject(options));
  await sink.write([record("hello")]);
  await until(() => server.bytes().includes("hello"));
  const bytes = server.bytes();
  expect([...bytes.subarray(0, 7)]).toEqual([0x93, 0xdb, 0, 0, 0, 1, 0x74]);
  expect(bytes[7]).toBe(0xce);
  expect(bytes.readUInt32BE(8)).toBe(Date.parse("2026-11-23T12:00:00Z") / 1000);
  expect([bytes[12], bytes.readUInt16BE(13)]).toEqual([0xde, 5]);
  for (const text of ["container_id", "/box", "source", "stdout", "app", "web"]) {
    expect(bytes.includes(text)).toBe(true);
  }
  await sink.close();
});

test("journald takes fields, lengths where a value has newlines", async () => {
  const path = join(directory, "journal");
  const fd = bindLocalDatagrams(path);
  const driver = journaldDriver(path);
  driver.check({});
  const sink = driver.open(subject({}));
  await sink.write([record("hello", { stream: "stderr" })]);
  const bytes = Buffer.alloc(4000);
  const text = bytes.toString("utf8", 0, readSync(fd, bytes));
  for (const field of [
    "MESSAGE=hello",
    "PRIORITY=3",
    "CONTAINER_NAME=box",
    "APP=web",
    "CONTAINER_ID=c0ffeec0ffee",
  ]) {
    expect(text).toContain(`${field}\n`);
  }
  closeSync(fd);
  await sink.close();
  expect(() => journaldDriver(join(directory, "none")).check({})).toThrow(
    "journald is not enabled on this host",
  );
});
