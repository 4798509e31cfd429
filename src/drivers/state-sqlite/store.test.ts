import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  closeSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { NoSpaceError, SystemError } from "../../core/errors.ts";
import { stateStoreContract } from "../../core/state.contract.ts";
import type { Table } from "../../core/state.ts";
import { mount, unmount } from "../../linux/mounts.ts";
import { openSqliteStateStore } from "./store.ts";

stateStoreContract("sqlite", (directory) => openSqliteStateStore(join(directory, "gantry.db")));

describe("state in sqlite", () => {
  let directory: string;
  let path: string;
  let copy: string;

  beforeEach(() => {
    copy = mkdtempSync(join(tmpdir(), "gantry-sqlite-copy-"));
    directory = mkdtempSync(join(tmpdir(), "gantry-sqlite-"));
    path = join(directory, "gantry.db");
  });

  afterEach(() => {
    unmount(directory, { lazy: true });
    rmSync(directory, { recursive: true, force: true });
    rmSync(copy, { recursive: true, force: true });
  });

  test("everything that was acknowledged is there after SIGKILL", async () => {
    const writer = Bun.spawn([process.execPath, "run", join(import.meta.dir, "store.killed.ts"), path], {
      stdout: "pipe",
      stderr: "inherit",
    });
    let acknowledged = -1;
    let text = "";
    for await (const chunk of writer.stdout.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      const lines = text.split("\n");
      text = lines.pop() ?? "";
      const last = lines.at(-1);
      if (last !== undefined) acknowledged = Number(last);
      if (acknowledged >= 200) writer.kill("SIGKILL");
    }
    await writer.exited;
    using store = openSqliteStateStore(path);
    const pairs = store.table<number>("counts");
    expect(acknowledged).toBeGreaterThanOrEqual(200);
    expect(pairs.get("first")).toBeGreaterThanOrEqual(acknowledged);
    expect(pairs.get("second")).toBe(pairs.get("first"));
  });

  test("a full disk is NoSpaceError; removing works while it is full; writing works when there is room again", () => {
    mount({ source: "tmpfs", target: directory, type: "tmpfs", data: "size=12m" });
    using store = openSqliteStateStore(path);
    const documents = store.table<string>("documents");
    documents.put("small", "x");
    writeFileSync(join(directory, "ballast"), new Uint8Array(3 << 20));
    let written = 0;
    expect(() => {
      for (; written < 1000; written++) documents.put(`large-${written}`, "x".repeat(50_000));
    }).toThrow(NoSpaceError);
    expect(() => documents.put("another", "x")).toThrow(/no space left on device/);
    expect(documents.get("small")).toBe("x");

    documents.put("small", "y");
    expect(documents.get("small")).toBe("y");
    for (let i = 0; i < written; i++) expect(documents.delete(`large-${i}`)).toBe(true);

    rmSync(join(directory, "ballast"));
    documents.put("another", "z");
    expect(documents.get("another")).toBe("z");
  });

  for (const when of ["while it runs", "after a kill and a start", "after a stop and a start"] as const) {
    test(`on a disk that somebody keeps filling everything can be changed and removed, ${when}`, () => {
      mount({ source: "tmpfs", target: directory, type: "tmpfs", data: "size=16m" });
      const names = Array.from({ length: 200 }, (_, i) => `container-${i}`);
      let store = openSqliteStateStore(path);
      let documents = store.table<string>("documents");
      for (const name of names) documents.put(name, "x".repeat(3000));
      fillDisk();
      if (when !== "while it runs") {
        if (when === "after a kill and a start") {
          for (const file of [path, `${path}-wal`]) copyFileSync(file, join(copy, basename(file)));
        }
        store[Symbol.dispose]();
        if (when === "after a kill and a start") {
          for (const file of [path, `${path}-wal`]) overwrite(file, readFileSync(join(copy, basename(file))));
        }
        fillDisk();
        store = openSqliteStateStore(path);
        documents = store.table<string>("documents");
      }
      expect(() => addUntilFull(documents)).toThrow(NoSpaceError);
      for (let round = 0; round < 20; round++) {
        for (const name of names) {
          documents.put(name, `${round} ${"y".repeat(3100)}`);
        }
        fillDisk();
      }
      expect(() => addUntilFull(documents)).toThrow(NoSpaceError);
      for (const [name] of documents.entries()) {
        store.transaction(() => expect(documents.delete(name)).toBe(true));
        fillDisk();
      }
      expect(documents.entries()).toEqual([]);
      store[Symbol.dispose]();
    });
  }

  test("what removals need is never spent on new rows, within a transaction as well", () => {
    mount({ source: "tmpfs", target: directory, type: "tmpfs", data: "size=16m" });
    using store = openSqliteStateStore(path);
    const documents = store.table<string>("documents");
    fillDisk();
    let added = 0;
    expect(() => {
      for (; added < 10_000; added++)
        store.transaction(() => documents.put(`new-${added}`, "x".repeat(5000)));
    }).toThrow(NoSpaceError);
    expect(documents.entries()).toHaveLength(added);
    for (let i = 0; i < added; i++) documents.put(`new-${i}`, "y".repeat(5100));
    for (let i = 0; i < added; i++) documents.delete(`new-${i}`);
    expect(documents.entries()).toEqual([]);
  });

  function addUntilFull(documents: Table<string>): void {
    for (let i = 0; i < 10_000; i++) documents.put(`${performance.now()} ${i}`, "x".repeat(5000));
  }

  function overwrite(file: string, bytes: Uint8Array): void {
    const fd = openSync(file, "r+");
    writeSync(fd, bytes);
    closeSync(fd);
  }

  function fillDisk(): void {
    const fd = openSync(join(directory, "ballast"), "a");
    try {
      for (;;) writeSync(fd, new Uint8Array(4096));
    } catch {
      // Full: what the test wants.
    } finally {
      closeSync(fd);
    }
  }

  test("a file that is no database is a clear error", () => {
    writeFileSync(path, "this is not a database, and long enough to be looked at as one".repeat(20));
    expect(() => openSqliteStateStore(path)).toThrow(SystemError);
    expect(() => openSqliteStateStore(path)).toThrow(/gantry\.db is damaged/);
  });

  test("a page of rubbish is found when it is opened", () => {
    {
      using store = openSqliteStateStore(path);
      const documents = store.table<string>("documents");
      for (let i = 0; i < 100; i++) documents.put(`k${i}`, "x".repeat(1000));
    }
    // The log holds the page as it was, and would mend it.
    rmSync(`${path}-wal`);
    const bytes = readFileSync(path);
    bytes.fill(0xa5, 8192, 12288);
    writeFileSync(path, bytes);
    expect(() => openSqliteStateStore(path)).toThrow(/is damaged/);
  });

  test("a schema of a later version is refused", async () => {
    openSqliteStateStore(path)[Symbol.dispose]();
    const { Database } = await import("bun:sqlite");
    const database = new Database(path);
    database.run("PRAGMA user_version = 99");
    database.close();
    expect(() => openSqliteStateStore(path)).toThrow(/schema version 99/);
  });

  test("a directory in its place is a clear error", () => {
    mkdirSync(path);
    expect(() => openSqliteStateStore(path)).toThrow(/cannot open state database/);
  });

  test("a commit is one flush of the log: a thousand of them grow no file without bound", () => {
    using store = openSqliteStateStore(path);
    const documents = store.table<string>("documents");
    for (let i = 0; i < 1000; i++) documents.put("same", "x".repeat(2000));
    expect(statSync(`${path}-wal`).size).toBeLessThan(8 << 20);
  });
});
