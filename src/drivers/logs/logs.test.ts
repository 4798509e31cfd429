import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InvalidParameterError, NotImplementedError } from "../../core/errors.ts";
import type { LogProducer, LogSubject } from "../../core/logs.ts";
import { SpooledLogs } from "./index.ts";
import { rotationOf } from "./options.ts";

const ID = "c0ffee";
let root: string;
let directory: string;
let logs: SpooledLogs;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "gantry-logs-"));
  directory = join(root, "containers", ID);
  mkdirSync(directory, { recursive: true });
  logs = new SpooledLogs({ dataRoot: root });
});
afterEach(async () => {
  await logs[Symbol.asyncDispose]();
  rmSync(root, { recursive: true, force: true });
});

function subject(options: Record<string, string> = {}, change: Partial<LogSubject> = {}): LogSubject {
  return {
    id: ID,
    name: "box",
    image: "busybox",
    imageId: `sha256:${"1".repeat(64)}`,
    command: ["sh", "-c", "x"],
    created: "2026-11-23T12:00:00Z",
    driver: "json-file",
    options,
    attributes: {},
    ...change,
  };
}

/** Stands for a process under a monitor: what it writes is appended to the spool. */
class Process implements LogProducer {
  readonly #end = Promise.withResolvers<void>();
  readonly ended = this.#end.promise;
  readonly #path: string;
  held: boolean[] = [];
  reads: number | undefined;

  constructor(of: LogSubject, { attached = false } = {}) {
    using prepared = logs.prepare(of);
    this.#path = prepared.path ?? "";
    appendFileSync(this.#path, "");
    if (attached) this.reads = 0;
    logs.follow(of, this);
  }

  write(...lines: string[]): void {
    appendFileSync(this.#path, lines.map((line) => `${record(line)}\n`).join(""));
  }

  raw(text: string): void {
    appendFileSync(this.#path, text);
  }

  hold(held: boolean): void {
    this.held.push(held);
  }

  readTo(): number | undefined {
    return this.reads;
  }

  end(): void {
    this.#end.resolve();
  }
}

function record(text: string, tag = "F"): string {
  return `2026-11-23T12:00:00.123456789+00:00 stdout ${tag} ${text}`;
}

async function texts(of: LogSubject): Promise<string[]> {
  const signal = new AbortController().signal;
  const entries = await Array.fromAsync(logs.read(of, { follow: false, signal }));
  return entries.map(({ bytes }) => new TextDecoder().decode(bytes));
}

async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; tries < 2000 && !condition(); tries++) await Bun.sleep(2);
  expect(condition()).toBe(true);
}

const spooled = (): string[] => readdirSync(directory).filter((name) => name.startsWith("output"));

describe("a json-file log", () => {
  test("is in Docker's own form, and nothing else is left once the process has ended", async () => {
    const of = subject({ tag: "{{.Name}}/{{.ID}}" }, { attributes: { app: "web" } });
    const process = new Process(of);
    process.write("hi", '"quoted" \u0007');
    process.raw(`${record("part ", "P")}\n${record("of a line")}\n`);
    process.end();
    await until(() => spooled().length === 0);
    const lines = readFileSync(join(directory, `${ID}-json.log`), "utf8").split("\n");
    expect(lines[0]).toBe(
      '{"log":"hi\\n","stream":"stdout","attrs":{"app":"web","tag":"box/c0ffee"},"time":"2026-11-23T12:00:00.123456789Z"}',
    );
    expect(await texts(of)).toEqual(["hi\n", '"quoted" \u0007\n', "part ", "of a line\n"]);
    expect(logs.pathOf(of)).toBe(join(directory, `${ID}-json.log`));
  });

  test("has what was written before it is read", async () => {
    const process = new Process(subject());
    for (let number = 0; number < 20; number++) {
      process.write(`line ${number}`);
      expect((await texts(subject())).length).toBe(number + 1);
    }
    process.end();
  });

  test("keeps its bound line by line, also for a writer that is gone at once", async () => {
    const of = subject({ "max-size": "10k", "max-file": "2" });
    const process = new Process(of);
    process.write(...Array.from({ length: 20_000 }, (_, number) => String(number + 1)));
    process.end();
    await until(() => spooled().length === 0);
    const path = join(directory, `${ID}-json.log`);
    const sizes = [path, `${path}.1`].map((file) => statSync(file).size);
    expect(Math.max(...sizes)).toBeLessThan(10_200);
    expect(existsSync(`${path}.2`)).toBe(false);
    const kept = await texts(of);
    expect(kept.at(-1)).toBe("20000\n");
    expect(kept.length).toBeLessThan(300);
  });

  test("compresses what it puts aside, and reads it back", async () => {
    const of = subject({ "max-size": "1k", "max-file": "4", compress: "true" });
    const process = new Process(of);
    const lines = Array.from({ length: 30 }, (_, number) => `line ${number}`);
    process.write(...lines);
    process.end();
    await until(() => readdirSync(directory).filter((name) => name.endsWith(".gz")).length > 1);
    const kept = await texts(of);
    expect(kept).toEqual(lines.slice(-kept.length).map((line) => `${line}\n`));
  });

  test("puts a character together whose bytes came in two parts", async () => {
    const process = new Process(subject());
    const bytes = Buffer.from("ä€😀");
    for (const byte of bytes) {
      process.raw("");
      appendFileSync(
        join(directory, "output"),
        Buffer.concat([Buffer.from(record("", "P")), Buffer.of(byte), Buffer.from("\n")]),
      );
    }
    process.end();
    await until(() => spooled().length === 0);
    expect((await texts(subject())).join("")).toBe("ä€😀");
  });
});

describe("a daemon that was away", () => {
  test("loses no line and repeats none, wherever it was killed", async () => {
    const of = subject();
    const process = new Process(of);
    process.write("one", "two");
    await texts(of);
    // As SIGKILL leaves it: a batch was written whose place was not noted.
    const place = readFileSync(join(directory, "output.file"));
    process.write("three");
    await texts(of);
    await logs[Symbol.asyncDispose]();
    writeFileSync(join(directory, "output.file"), place);
    process.write("four");
    logs = new SpooledLogs({ dataRoot: root });
    logs.settle(of);
    expect(await texts(of)).toEqual(["one\n", "two\n", "three\n", "four\n"]);
    await until(() => spooled().length === 0);
    expect(await texts(of)).toEqual(["one\n", "two\n", "three\n", "four\n"]);
  });

  test("runs of one container follow each other, and a torn line does not swallow the next", async () => {
    const of = subject();
    const first = new Process(of);
    first.write("first");
    first.raw(record("torn").slice(0, 30));
    const second = new Process(of);
    first.end();
    second.write("second");
    second.end();
    await until(() => spooled().length === 0);
    expect(await texts(of)).toEqual(["first\n", "second\n"]);
  });
});

describe("a spool", () => {
  test("gives back what was read, and holds the process for a client that is far behind", async () => {
    const of = subject({ "max-size": "-1" });
    const process = new Process(of, { attached: true });
    const piece = `${record("x".repeat(1000))}\n`.repeat(1000);
    for (let written = 0; written < 36; written++) process.raw(piece);
    await until(() => process.held[0] === true);
    process.reads = statSync(join(directory, "output")).size;
    await until(() => process.held.at(-1) === false);
    expect(statSync(join(directory, "output")).blocks * 512).toBeLessThan(4 << 20);
    process.end();
    await until(() => spooled().length === 0);
  });

  test("a log can be cleared while it is written", async () => {
    const of = subject();
    const process = new Process(of);
    process.write("one", "two");
    await logs.clear(of);
    expect(await texts(of)).toEqual([]);
    process.write("three");
    expect(await texts(of)).toEqual(["three\n"]);
    process.end();
  });
});

describe("a log that goes elsewhere", () => {
  test("can be read back though its server is dead, and holds up nobody else", async () => {
    const dead = { "syslog-address": "tcp://127.0.0.1:1" };
    const of = subject(dead, { driver: "syslog" });
    const process = new Process(of);
    process.write("one", "two");
    expect(await texts(of)).toEqual(["one\n", "two\n"]);
    process.end();
    expect(await texts(of)).toEqual(["one\n", "two\n"]);
    expect(logs.pathOf(of)).toBe("");
    await logs.remove(ID);
    expect(readdirSync(directory)).toEqual([]);
  });

  test("without its cache it cannot be read back", () => {
    const of = subject(
      { "syslog-address": "udp://127.0.0.1:1", "cache-disabled": "true" },
      { driver: "syslog" },
    );
    const read = () => logs.read(of, { follow: false, signal: new AbortController().signal });
    expect(read).toThrow(NotImplementedError);
  });

  test("does not hold the process when it must not: what is too much is skipped", async () => {
    const options = { "syslog-address": "tcp://127.0.0.1:1", mode: "non-blocking", "max-buffer-size": "64k" };
    const of = subject(options, { driver: "syslog" });
    const process = new Process(of);
    const piece = `${record("x".repeat(1000))}\n`.repeat(1000);
    for (let written = 0; written < 20; written++) {
      process.raw(piece);
      await Array.fromAsync(logs.read(of, { follow: false, tail: 1, signal: new AbortController().signal }));
    }
    process.write("last");
    expect((await texts(of)).at(-1)).toBe("last\n");
    expect(statSync(join(directory, "output")).blocks * 512).toBeLessThan(4 << 20);
    process.end();
    expect(process.held.filter(Boolean)).toEqual([]);
  });
});

describe("options", () => {
  test("sizes are decimal, as Docker's, and there is a bound unless it is switched off", () => {
    expect(rotationOf("json-file", { "max-size": "10k", "max-file": "3" })).toMatchObject({
      maxSize: 10_000,
      maxFiles: 3,
    });
    expect(rotationOf("json-file", {})).toMatchObject({ maxSize: 20_000_000, maxFiles: 3, compress: false });
    expect(rotationOf("json-file", { "max-size": "-1" })).toBeUndefined();
    expect(rotationOf("local", {})).toMatchObject({ maxSize: 20_000_000, maxFiles: 5, compress: true });
  });

  test.each([
    [{ nope: "1" }, "unknown log opt 'nope' for json-file log driver"],
    [{ "max-size": "ten" }, "invalid size: 'ten'"],
    [{ "max-file": "0" }, "max-file cannot be less than 1"],
    [{ mode: "sometimes" }, "logger: logging mode not supported: sometimes"],
    [{ tag: "{{if .Name}}x{{end}}" }, "unsupported tag template"],
    [
      { compress: "true", "max-file": "1" },
      "compress cannot be true when max-file is less than 2 or max-size is not set",
    ],
  ])("%p is refused", (options, message) => {
    expect(() => logs.check("json-file", options as Record<string, string>)).toThrow(message);
  });

  test("a driver that nobody knows is refused; none keeps nothing and says so", () => {
    expect(() => logs.check("carrier-pigeon", {})).toThrow(InvalidParameterError);
    const of = subject({}, { driver: "none" });
    expect(logs.prepare(of).path).toBeUndefined();
    const read = () => logs.read(of, { follow: false, signal: new AbortController().signal });
    expect(read).toThrow(NotImplementedError);
  });

  test("remove takes all files of the log and nothing else", async () => {
    const process = new Process(subject());
    process.write("x");
    await texts(subject());
    writeFileSync(join(directory, "hostname"), "x");
    await logs.remove(ID);
    expect(readdirSync(directory)).toEqual(["hostname"]);
    await logs.remove("unknown");
    process.end();
  });
});
