import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  appendFileSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { LogEntry } from "../../core/logs.ts";
import { type ReadFileOptions, readLog } from "./read.ts";

/** What is read at a time from the end. */
const BLOCK = 64 * 1024;
let root: string;
let path: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "gantry-read-logs-"));
  path = join(root, "log");
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** A record as Docker writes it, `second` seconds after noon. Tag P: a part of a line. */
function record(text: string, { second = 0, stream = "stdout", tag = "F" } = {}): string {
  const time = `2026-11-23T12:00:${String(second).padStart(2, "0")}.123456789Z`;
  return `${JSON.stringify({ log: tag === "F" ? `${text}\n` : text, stream, time })}\n`;
}

async function collect(options: Partial<ReadFileOptions> = {}): Promise<LogEntry[]> {
  const entries: LogEntry[] = [];
  const all = {
    follow: false,
    signal: new AbortController().signal,
    ended: Promise.resolve(),
    ...options,
  };
  for await (const entry of readLog(path, all)) entries.push(entry);
  return entries;
}

async function texts(options: Partial<ReadFileOptions> = {}): Promise<string[]> {
  return (await collect(options)).map(({ bytes }) => new TextDecoder().decode(bytes));
}

/** Nanoseconds of a second after noon. */
function at(second: number): bigint {
  return BigInt(Date.parse("2026-11-23T12:00:00Z") + second * 1000) * 1_000_000n;
}

const lines = (from: number, to: number): string =>
  Array.from({ length: to - from }, (_, index) => record(`line ${from + index}`)).join("");

describe("reading a log", () => {
  test("gives back stream, bytes and time as they were written", async () => {
    writeFileSync(path, record("out") + record("err \u0000 x", { stream: "stderr", second: 1 }));
    expect(await collect()).toEqual([
      {
        stream: "stdout",
        timestamp: "2026-11-23T12:00:00.123456789Z",
        bytes: Buffer.from("out\n"),
        partial: false,
      },
      {
        stream: "stderr",
        timestamp: "2026-11-23T12:00:01.123456789Z",
        bytes: Buffer.from("err \u0000 x\n"),
        partial: false,
      },
    ]);
  });

  test("shows times of another offset in UTC, with nine digits", async () => {
    writeFileSync(path, '{"log":"x\\n","stream":"stdout","time":"2026-11-23T12:00:00.5+02:00"}\n');
    expect((await collect())[0]?.timestamp).toBe("2026-11-23T10:00:00.500000000Z");
  });

  test("of a container that never wrote is empty", async () => {
    expect(await texts()).toEqual([]);
  });

  test("keeps a line that came in parts together, byte by byte", async () => {
    writeFileSync(path, record("a", { tag: "P" }) + record("b", { tag: "P" }) + record("c"));
    const entries = await collect();
    expect(entries.map(({ partial }) => partial)).toEqual([true, true, false]);
    expect(Buffer.concat(entries.map(({ bytes }) => bytes)).toString()).toBe("abc\n");
  });

  test("skips what a crash tore", async () => {
    writeFileSync(path, `${record("one")}{"log":"tor\n\0\0\0\0\n${record("two")}{"log":"x","str`);
    expect(await texts()).toEqual(["one\n", "two\n"]);
  });

  test("reads rotated files first, the oldest before all", async () => {
    writeFileSync(`${path}.2`, record("1"));
    writeFileSync(`${path}.1`, record("2"));
    writeFileSync(path, record("3"));
    expect(await texts()).toEqual(["1\n", "2\n", "3\n"]);
  });

  test("reads compressed ones as well, and leaves nothing behind", async () => {
    writeFileSync(`${path}.2.gz`, gzipSync(record("1")));
    writeFileSync(`${path}.1`, record("2"));
    writeFileSync(path, record("3"));
    expect(await texts()).toEqual(["1\n", "2\n", "3\n"]);
    expect(await texts({ tail: 3 })).toEqual(["1\n", "2\n", "3\n"]);
    expect(readdirSync(root).sort()).toEqual(["log", "log.1", "log.2.gz"]);
  });

  test("since and until are inclusive", async () => {
    writeFileSync(path, [0, 1, 2, 3].map((second) => record(String(second), { second })).join(""));
    const bounds = { since: at(1) + 123_456_789n, until: at(2) + 123_456_789n };
    expect(await texts(bounds)).toEqual(["1\n", "2\n"]);
  });
});

describe("tail", () => {
  test.each([0, 1, 2, 5, 7, 8, 100])(
    "of %p gives that many lines from the end, over all files",
    async (tail) => {
      writeFileSync(`${path}.1`, lines(0, 3));
      writeFileSync(path, lines(3, 8));
      const all = Array.from({ length: 8 }, (_, index) => `line ${index}\n`);
      expect(await texts({ tail })).toEqual(tail === 0 ? [] : all.slice(-tail));
    },
  );

  test("works where records lie across blocks", async () => {
    const long = Array.from({ length: 60 }, (_, index) => record(`${index}${"x".repeat(5000 + index * 37)}`));
    writeFileSync(path, long.join(""));
    for (const tail of [1, 12, 13, 14, 26, 59, 60]) {
      expect((await texts({ tail })).map((text) => Number.parseInt(text, 10))).toEqual(
        Array.from({ length: tail }, (_, index) => 60 - tail + index),
      );
    }
  });

  test("counts a line in parts once, and an unfinished one at the end as a line", async () => {
    writeFileSync(
      path,
      record("a") + record("b", { tag: "P" }) + record("c") + record("prompt$ ", { tag: "P" }),
    );
    expect(await texts({ tail: 2 })).toEqual(["b", "c\n", "prompt$ "]);
  });

  test("of a large file reads its end only", async () => {
    writeFileSync(path, lines(0, 1000).repeat(300));
    const before = performance.now();
    expect(await texts({ tail: 2 })).toEqual(["line 998\n", "line 999\n"]);
    expect(performance.now() - before).toBeLessThan(500);
  });
});

describe("a long read", () => {
  /** Runs it, and counts how often something else had its turn meanwhile. */
  async function turnsDuring(work: () => Promise<unknown>): Promise<number> {
    let turns = 0;
    const other = setInterval(() => turns++, 1);
    await work();
    clearInterval(other);
    return turns;
  }

  test("that filters everything away lets others work meanwhile", async () => {
    writeFileSync(path, lines(0, 1000).repeat(400));
    expect(await turnsDuring(() => texts({ since: at(50) }))).toBeGreaterThan(10);
  });

  test("of many lines from the end lets others work meanwhile", async () => {
    writeFileSync(path, lines(0, 1000).repeat(400));
    const signal = AbortSignal.abort();
    expect(await turnsDuring(() => texts({ tail: 390_000, signal }))).toBeGreaterThan(10);
  });

  test("passes over a hole that a crash left, however large, without keeping it", async () => {
    for (const size of [BLOCK - 1, BLOCK, BLOCK + 1, 256 << 20]) {
      writeFileSync(path, lines(0, 3));
      truncateSync(path, statSync(path).size + size);
      appendFileSync(path, `\n${lines(3, 6)}`);
      expect(await texts({ tail: 4 })).toEqual([2, 3, 4, 5].map((number) => `line ${number}\n`));
      expect(await texts({ tail: 100 })).toHaveLength(6);
    }
  });
});

describe("following", () => {
  test("goes on until the container ended, and reads what it wrote last", async () => {
    writeFileSync(path, record("before"));
    const ended = Promise.withResolvers<void>();
    const reading = texts({ follow: true, ended: ended.promise });
    await Bun.sleep(20);
    appendFileSync(path, record("while"));
    await Bun.sleep(20);
    appendFileSync(path, record("last"));
    ended.resolve();
    expect(await reading).toEqual(["before\n", "while\n", "last\n"]);
  });

  test("wakes up at once when something is written", async () => {
    writeFileSync(path, "");
    const abort = new AbortController();
    const entries = readLog(path, { follow: true, signal: abort.signal, ended: new Promise(() => {}) })[
      Symbol.asyncIterator
    ]();
    const next = entries.next();
    await Bun.sleep(20);
    const written = performance.now();
    appendFileSync(path, record("x"));
    await next;
    expect(performance.now() - written).toBeLessThan(500);
    abort.abort();
    expect((await entries.next()).done).toBe(true);
  });

  test("waits for the rest of a record", async () => {
    const whole = record("in two writes");
    writeFileSync(path, whole.slice(0, 50));
    const ended = Promise.withResolvers<void>();
    const reading = texts({ follow: true, ended: ended.promise });
    await Bun.sleep(20);
    appendFileSync(path, whole.slice(50));
    ended.resolve();
    expect(await reading).toEqual(["in two writes\n"]);
  });

  test("misses nothing and repeats nothing when the file is rotated", async () => {
    writeFileSync(path, record("0"));
    const ended = Promise.withResolvers<void>();
    const reading = texts({ follow: true, ended: ended.promise });
    for (let number = 1; number < 8; number += 2) {
      await Bun.sleep(15);
      if (number > 1) renameSync(`${path}.1`, `${path}.2`);
      renameSync(path, `${path}.1`);
      // The monitor writes to the renamed file until it was told.
      appendFileSync(`${path}.1`, record(String(number)));
      await Bun.sleep(5);
      writeFileSync(`${path}.tmp`, "");
      renameSync(`${path}.tmp`, path);
      appendFileSync(path, record(String(number + 1)));
    }
    ended.resolve();
    expect(await reading).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8].map((number) => `${number}\n`));
  });

  test("a reader that does not read holds no more than a piece in memory", async () => {
    writeFileSync(path, lines(0, 1000).repeat(500));
    Bun.gc(true);
    const before = process.memoryUsage().rss;
    const abort = new AbortController();
    const entries = readLog(path, { follow: true, signal: abort.signal, ended: new Promise(() => {}) })[
      Symbol.asyncIterator
    ]();
    await entries.next();
    await Bun.sleep(50);
    Bun.gc(true);
    expect(process.memoryUsage().rss - before).toBeLessThan(20_000_000);
    abort.abort();
    await entries.next();
  });
});
