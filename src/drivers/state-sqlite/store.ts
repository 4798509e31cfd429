/**
 * The state port on SQLite: one file, one connection, one process (the daemon's lock on its data root sees to
 * that). WAL with synchronous=FULL: a commit is one fdatasync of the log, and is there after a power loss.
 *
 * A full disk must not wedge the engine: removing things has to work while it lasts, also when somebody takes every
 * block that becomes free. So the room for it is inside of the database's own files (`room.ts`), and a transaction
 * that adds rows is refused before it would take from that room.
 *
 * Owns: the file's schema and durability. Leaves to others: what the documents mean.
 */

import { constants, Database, type Statement } from "bun:sqlite";
import { rmSync } from "node:fs";
import { parseExactJson, stringifyExactJson } from "../../base/exact-json.ts";
import { log } from "../../base/log.ts";
import { messageOf, NoSpaceError, SystemError } from "../../core/errors.ts";
import type { StateStore, Table } from "../../core/state.ts";
import { CHECKPOINT_PAGES, DatabaseRoom, LOG_BYTES } from "./room.ts";

/** Of the file's layout: tables of (key, JSON document). Raised when a daemon of before could not read it. */
const SCHEMA_VERSION = 1;
/** "GNTR": lets file(1) and a second look tell whose database it is. */
const APPLICATION_ID = 0x474e5452;
const TABLE_NAME = /^[a-z][a-z0-9_]*$/;

/**
 * Opens the database at `path`, making it if it is not there; its directory must exist.
 * @throws SystemError if it is damaged, foreign, or written by a newer version
 */
export function openSqliteStateStore(path: string): StateStore {
  return new SqliteStateStore(path);
}

class SqliteStateStore implements StateStore {
  readonly #path: string;
  readonly #database: Database;
  readonly #tables = new Map<string, SqliteTable<unknown>>();
  /** Made within the transaction that is open: a rollback takes them back, though their owners hold on to them. */
  readonly #newTables = new Set<string>();
  readonly #room: DatabaseRoom;
  #depth = 0;

  constructor(path: string) {
    this.#path = path;
    this.#database = openDatabase(path);
    this.#room = new DatabaseRoom(this.#database, path);
    // Engines up to 0.1.0 kept a file in its place.
    rmSync(`${path}.reserve`, { force: true });
    if (!this.#guard(() => this.#room.provide())) {
      log("warn", "the disk is full: nothing new can be made until there is space", { path });
    }
  }

  table<T>(name: string): Table<T> {
    let table = this.#tables.get(name);
    if (!table) {
      if (!TABLE_NAME.test(name)) throw new TypeError(`not a table name: ${JSON.stringify(name)}`);
      this.#createTable(name);
      if (this.#depth > 0) this.#newTables.add(name);
      table = new SqliteTable(this.#database, name, {
        guard: (work) => this.#guard(work),
        withRoom: (work) => this.#withRoom(work),
        checkRoom: () => this.#checkRoom(),
      });
      this.#tables.set(name, table);
    }
    return table as SqliteTable<T>;
  }

  transaction<T>(work: () => T): T {
    return this.#withRoom(() => this.#transact(work));
  }

  /** Work that wanted to add a row and found no room is done once more when room could be made, as a whole. */
  #withRoom<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof NoRoomError) || this.#depth > 0) throw error;
      if (!this.#guard(() => this.#room.provide())) throw error;
      return work();
    }
  }

  /** @throws NoRoomError when a new row would take what removals need */
  #checkRoom(): void {
    if (!this.#guard(() => this.#room.spare)) throw new NoRoomError(this.#path);
  }

  #transact<T>(work: () => T): T {
    const [begin, commit, rollback] =
      this.#depth === 0
        ? ["BEGIN IMMEDIATE", "COMMIT", "ROLLBACK"]
        : [`SAVEPOINT t${this.#depth}`, `RELEASE t${this.#depth}`, `ROLLBACK TO t${this.#depth}`];
    this.#guard(() => this.#database.run(begin));
    this.#depth += 1;
    try {
      const result = work();
      if (result instanceof Promise) {
        result.catch(() => {});
        throw new TypeError("a transaction is synchronous: its work returned a promise");
      }
      this.#guard(() => this.#database.run(commit));
      return result;
    } catch (error) {
      // SQLite itself rolls back after some errors (a full disk, an I/O error): then there is nothing left to undo.
      if (this.#database.inTransaction) this.#database.run(rollback);
      for (const name of this.#newTables) this.#createTable(name);
      throw error;
    } finally {
      this.#depth -= 1;
      if (this.#depth === 0) this.#newTables.clear();
    }
  }

  [Symbol.dispose](): void {
    for (const table of this.#tables.values()) table[Symbol.dispose]();
    this.#tables.clear();
    this.#room[Symbol.dispose]();
    // The log stays as long as it is: the next start may find the disk full.
    this.#database.run("PRAGMA journal_size_limit = -1");
    this.#database.fileControl(constants.SQLITE_FCNTL_PERSIST_WAL, 1);
    this.#database.close();
  }

  #createTable(name: string): void {
    this.#guard(() =>
      this.#database.run(
        `CREATE TABLE IF NOT EXISTS "${name}" (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID`,
      ),
    );
  }

  #guard<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw this.#translate(error);
    }
  }

  #translate(error: unknown): unknown {
    const code = sqliteCodeOf(error);
    if (code === undefined) return error;
    if (code === "SQLITE_FULL") return noSpace(this.#path, error);
    if (code === "SQLITE_CORRUPT" || code === "SQLITE_NOTADB") return damaged(this.#path, error);
    return new SystemError(`state database ${this.#path}: ${code}: ${messageOf(error)}`, { cause: error });
  }
}

interface Owner {
  guard<T>(work: () => T): T;
  /** Does it again when it failed for want of room and some could be made. */
  withRoom<T>(work: () => T): T;
  /** Before a row is added. @throws NoRoomError */
  checkRoom(): void;
}

class SqliteTable<T> implements Table<T>, Disposable {
  readonly #name: string;
  readonly #owner: Owner;
  readonly #select: Statement<{ value: string }, [string]>;
  readonly #insert: Statement<unknown, [string, string]>;
  readonly #update: Statement<unknown, [string, string]>;
  readonly #remove: Statement<unknown, [string]>;
  readonly #all: Statement<{ key: string; value: string }, []>;

  constructor(database: Database, name: string, owner: Owner) {
    this.#name = name;
    this.#owner = owner;
    this.#select = database.prepare(`SELECT value FROM "${name}" WHERE key = ?1`);
    this.#insert = database.prepare(`INSERT INTO "${name}" (key, value) VALUES (?1, ?2)`);
    this.#update = database.prepare(`UPDATE "${name}" SET value = ?2 WHERE key = ?1`);
    this.#remove = database.prepare(`DELETE FROM "${name}" WHERE key = ?1`);
    this.#all = database.prepare(`SELECT key, value FROM "${name}" ORDER BY key`);
  }

  get(key: string): T | undefined {
    const row = this.#owner.guard(() => this.#select.get(key));
    return row ? this.#parse(key, row.value) : undefined;
  }

  put(key: string, value: T): void {
    const document = stringifyExactJson(value);
    this.#owner.withRoom(() => {
      const replaced = this.#owner.guard(() => this.#update.run(key, document).changes > 0);
      if (replaced) return;
      this.#owner.checkRoom();
      this.#owner.guard(() => this.#insert.run(key, document));
    });
  }

  delete(key: string): boolean {
    return this.#owner.guard(() => this.#remove.run(key).changes > 0);
  }

  entries(): [string, T][] {
    const rows = this.#owner.guard(() => this.#all.all());
    return rows.map(({ key, value }) => [key, this.#parse(key, value)]);
  }

  /** SQLite closes a file, and gives up its lock, only when no statement is left. */
  [Symbol.dispose](): void {
    for (const statement of [this.#select, this.#insert, this.#update, this.#remove, this.#all])
      statement.finalize();
  }

  #parse(key: string, document: string): T {
    try {
      return parseExactJson(document) as T;
    } catch (error) {
      throw new SystemError(`state database: ${this.#name}/${key} is damaged: ${messageOf(error)}`, {
        subject: key,
        cause: error,
      });
    }
  }
}

function openDatabase(path: string): Database {
  let database: Database | undefined;
  try {
    database = new Database(path, { create: true, readwrite: true, strict: true });
    // Exclusive: no other process ever opens this file, so no shared-memory index and no lock call per commit.
    database.run("PRAGMA locking_mode = EXCLUSIVE");
    database.run("PRAGMA journal_mode = WAL");
    database.run("PRAGMA synchronous = FULL");
    database.run(`PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
    // A longer log is cut back at the next checkpoint, so that a burst does not hold the disk for ever.
    database.run(`PRAGMA journal_size_limit = ${LOG_BYTES}`);
    // What a rollback needs is never written to a disk that may be full.
    database.run("PRAGMA temp_store = MEMORY");
    database.run("PRAGMA cache_size = -2048");
    checkIntegrity(database, path);
    checkSchema(database, path);
    return database;
  } catch (error) {
    database?.close();
    const code = sqliteCodeOf(error);
    if (code === undefined) throw error;
    if (code === "SQLITE_CORRUPT" || code === "SQLITE_NOTADB") throw damaged(path, error);
    if (code === "SQLITE_FULL") throw noSpace(path, error);
    throw new SystemError(`cannot open state database ${path}: ${code}: ${messageOf(error)}`, {
      subject: path,
      cause: error,
    });
  }
}

function checkIntegrity(database: Database, path: string): void {
  using statement = database.prepare<{ quick_check: string }, []>("PRAGMA quick_check(1)");
  const found = statement.get()?.quick_check;
  if (found !== "ok") throw damaged(path, new Error(found));
}

function checkSchema(database: Database, path: string): void {
  const version = pragma(database, "user_version");
  const owner = pragma(database, "application_id");
  if (version === 0 && owner === 0) {
    database.run(`PRAGMA application_id = ${APPLICATION_ID}`);
    database.run(`PRAGMA user_version = ${SCHEMA_VERSION}`);
    return;
  }
  if (owner !== APPLICATION_ID)
    throw new SystemError(`${path} is not a gantry state database`, { subject: path });
  if (version > SCHEMA_VERSION)
    throw new SystemError(
      `state database ${path} has schema version ${version}, this gantry knows up to ${SCHEMA_VERSION}: use the newer gantry`,
      { subject: path },
    );
}

function pragma(database: Database, name: "user_version" | "application_id"): number {
  using statement = database.prepare<Record<string, number>, []>(`PRAGMA ${name}`);
  return Number(statement.get()?.[name] ?? 0);
}

function damaged(path: string, cause: unknown): SystemError {
  return new SystemError(
    `state database ${path} is damaged (${messageOf(cause)}): restore it from a backup, or move it away to start empty`,
    { subject: path, cause },
  );
}

/** A row was to be added, and the disk has no more room than what removals need. */
class NoRoomError extends NoSpaceError {
  constructor(path: string) {
    super(noSpace(path).message, { subject: path });
  }
}

function noSpace(path: string, cause?: unknown): NoSpaceError {
  return new NoSpaceError(`no space left on device: cannot write state database ${path}`, {
    subject: path,
    cause,
  });
}

/** `SQLITE_FULL` and the like, with extended codes (`SQLITE_CORRUPT_INDEX`) cut to their class. */
function sqliteCodeOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error) || typeof error.code !== "string") return undefined;
  if (!error.code.startsWith("SQLITE_")) return undefined;
  // The disk was full while SQLite wrote something else than a page: it reports an I/O error, the errno tells why.
  if (/^SQLITE_IOERR_(WRITE|SHMSIZE)/.test(error.code) && error.message.includes("full"))
    return "SQLITE_FULL";
  return /^SQLITE_(CORRUPT|NOTADB|FULL)/.exec(error.code)?.[0] ?? error.code;
}
