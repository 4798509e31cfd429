import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  closeSync,
  existsSync,
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
import { join } from "node:path";
import { NoSpaceError, SystemError } from "../../core/errors.ts";
import { stateStoreContract } from "../../core/state.contract.ts";
import { mount, unmount } from "../../linux/mounts.ts";
import { openSqliteStateStore } from "./store.ts";

stateStoreContract("sqlite", (directory) => openSqliteStateStore(join(directory, "gantry.db")));

describe("state in sqlite", () => {
  let directory: string;
  let path: string;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "gantry-sqlite-"));
    path = join(directory, "gantry.db");
  });

  afterEach(() => {
    unmount(directory, { lazy: true });
    rmSync(directory, { recursive: true, force: true });
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
    mount({ source: "tmpfs", target: directory, type: "tmpfs", data: "size=8m" });
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
    expect(existsSync(`${path}.reserve`)).toBe(true);
  });

  for (const within of ["a transaction", "none"] as const) {
    test(`the first change that finds the disk full gets the reserve, within ${within}`, () => {
      mount({ source: "tmpfs", target: directory, type: "tmpfs", data: "size=8m" });
      using store = openSqliteStateStore(path);
      const documents = store.table<string>("documents");
      documents.put("state", "running");
      documents.put("other", "x");
      fillDisk();
      // As long as it takes until the log needs another page of the file system.
      for (let size = 1000; existsSync(`${path}.reserve`); size += 1000) {
        const change = () => documents.put("state", "x".repeat(size));
        if (within === "none") change();
        else store.transaction(change);
        expect(documents.get("state")).toHaveLength(size);
      }
      expect(() => documents.put("new", "x")).toThrow(NoSpaceError);
      expect(documents.delete("other")).toBe(true);
    });
  }

  function fillDisk(): void {
    const fd = openSync(join(directory, "ballast"), "w");
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
