/**
 * The SQL port on SQLite: one file, one process. One connection writes, another reads what is committed.
 *
 * Transactions that wait at the same time share one commit: each runs in a savepoint of its own, so one that throws takes
 * nothing along, and a single fdatasync makes all of them durable. That is what lets many small uploads end at once.
 */
import { Database, type SQLQueryBindings } from "bun:sqlite";
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { messageOf, NoSpaceError, SystemError } from "../../core/errors.ts";
import type { Sql, SqlDatabase, SqlDialect, SqlValue } from "../../core/sql.ts";

const DIALECT: SqlDialect = {
  name: "sqlite",
  forShare: "",
  forUpdate: "",
  forUpdateSkipLocked: "",
  text: "TEXT",
  bytes: "BLOB",
  integer: "INTEGER",
  serialKey: "INTEGER PRIMARY KEY AUTOINCREMENT",
};
/** Of transactions in one commit: how much is done again by the next one when the machine stops here. */
const LARGEST_BATCH = 64;

/** Opens or makes the database. @throws SystemError if it is damaged or somebody else has it open */
export function openSqliteDatabase(path: string): SqlDatabase {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  try {
    return new SqliteDatabase(path);
  } catch (error) {
    throw translated(error, path);
  }
}

interface Job {
  readonly work: (sql: Sql) => Promise<unknown>;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

class SqliteDatabase implements SqlDatabase {
  readonly reader: Sql;
  readonly #path: string;
  readonly #writerConnection: Database;
  readonly #readerConnection: Database;
  readonly #writer: Sql;
  readonly #waiting: Job[] = [];
  #draining: Promise<void> | undefined;

  constructor(path: string) {
    this.#path = path;
    this.#writerConnection = new Database(path, { create: true, readwrite: true, strict: true });
    this.#writerConnection.run("PRAGMA journal_mode = WAL");
    this.#writerConnection.run("PRAGMA synchronous = FULL");
    this.#writerConnection.run("PRAGMA foreign_keys = ON");
    this.#writerConnection.run("PRAGMA busy_timeout = 5000");
    this.#writerConnection.run("PRAGMA temp_store = MEMORY");
    this.#readerConnection = new Database(path, { readonly: true, strict: true });
    this.#writer = new Connection(this.#writerConnection);
    this.reader = new Connection(this.#readerConnection);
  }

  transaction<T>(work: (sql: Sql) => Promise<T>): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    this.#waiting.push({ work, resolve: resolve as (value: unknown) => void, reject });
    this.#draining ??= this.#drain();
    return promise;
  }

  async #drain(): Promise<void> {
    // Those that begin in the same turn of the loop belong together.
    await Promise.resolve();
    while (this.#waiting.length > 0) await this.#commitTogether(this.#waiting.splice(0, LARGEST_BATCH));
    // In the same turn in which the queue was seen empty: who comes next starts anew.
    this.#draining = undefined;
  }

  async #commitTogether(jobs: readonly Job[]): Promise<void> {
    const settle: (() => void)[] = [];
    try {
      this.#writerConnection.run("BEGIN IMMEDIATE");
      for (const job of jobs) settle.push(await this.#runInSavepoint(job));
      this.#writerConnection.run("COMMIT");
    } catch (error) {
      if (this.#writerConnection.inTransaction) this.#writerConnection.run("ROLLBACK");
      for (const job of jobs) job.reject(translated(error, this.#path));
      return;
    }
    for (const tell of settle) tell();
  }

  /** @returns what to tell the caller once the commit is on disk */
  async #runInSavepoint({ work, resolve, reject }: Job): Promise<() => void> {
    this.#writerConnection.run("SAVEPOINT job");
    try {
      const result = await work(this.#writer);
      this.#writerConnection.run("RELEASE job");
      return () => resolve(result);
    } catch (error) {
      // A full disk makes SQLite roll back all of it: the commit then fails, and everybody learns of it.
      if (this.#writerConnection.inTransaction) this.#writerConnection.run("ROLLBACK TO job; RELEASE job");
      return () => reject(translated(error, this.#path));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#draining;
    this.#readerConnection.close();
    this.#writerConnection.close();
  }
}

class Connection implements Sql {
  readonly dialect = DIALECT;
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async all<Row extends object>(statement: string, ...parameters: readonly SqlValue[]): Promise<Row[]> {
    return this.#database
      .query<Row, SQLQueryBindings[]>(statement)
      .all(...(parameters as SQLQueryBindings[]));
  }

  async get<Row extends object>(
    statement: string,
    ...parameters: readonly SqlValue[]
  ): Promise<Row | undefined> {
    const row = this.#database
      .query<Row, SQLQueryBindings[]>(statement)
      .get(...(parameters as SQLQueryBindings[]));
    return row ?? undefined;
  }

  async run(statement: string, ...parameters: readonly SqlValue[]): Promise<number> {
    if (parameters.length === 0 && statement.includes(";")) {
      this.#database.run(statement);
      return 0;
    }
    return this.#database
      .query<unknown, SQLQueryBindings[]>(statement)
      .run(...(parameters as SQLQueryBindings[])).changes;
  }
}

function translated(error: unknown, path: string): unknown {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (!code.startsWith("SQLITE_")) return error;
  if (code.startsWith("SQLITE_FULL") || messageOf(error).includes("disk is full")) {
    return new NoSpaceError(`no space left on device: cannot write database ${path}`, {
      subject: path,
      cause: error,
    });
  }
  if (code.startsWith("SQLITE_BUSY")) {
    return new SystemError(`database ${path} is in use by another process`, { subject: path, cause: error });
  }
  return new SystemError(`database ${path}: ${code}: ${messageOf(error)}`, { subject: path, cause: error });
}
