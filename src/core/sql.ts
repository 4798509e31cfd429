/**
 * Port: a relational database, as far as the registry needs one. The same statements run on every driver: parameters
 * are `?`, and what the dialects word differently is in `SqlDialect`.
 *
 * Owns: transactions and their durability. Leaves to others: tables and what they mean.
 */

export type SqlValue = string | number | Uint8Array | null;

/** A place to run statements: a transaction, or the database for single reads. */
export interface Sql {
  readonly dialect: SqlDialect;
  all<Row extends object>(statement: string, ...parameters: readonly SqlValue[]): Promise<Row[]>;
  /** The first row. */
  get<Row extends object>(statement: string, ...parameters: readonly SqlValue[]): Promise<Row | undefined>;
  /** @returns rows inserted, changed or deleted */
  run(statement: string, ...parameters: readonly SqlValue[]): Promise<number>;
}

/** Fragments of SQL that differ. Integers are 64 bit and exact up to 2^53; times are milliseconds since the epoch. */
export interface SqlDialect {
  readonly name: "sqlite" | "postgres";
  /** After a SELECT: the rows stay as they are until the end of the transaction. Empty where there is one writer. */
  readonly forShare: string;
  /** After a SELECT: nobody else may lock these rows. */
  readonly forUpdate: string;
  /** After a SELECT: rows that somebody else holds are left out. */
  readonly forUpdateSkipLocked: string;
  /** Type of a text column that is ordered by its bytes. */
  readonly text: string;
  readonly bytes: string;
  readonly integer: string;
  /** Type and constraint of a key that the database counts up. */
  readonly serialKey: string;
}

export interface SqlDatabase extends AsyncDisposable {
  /** Single reads outside of a transaction: what was committed before the call. */
  readonly reader: Sql;
  /**
   * Runs the work in one transaction, durable once this returns; if the work throws, nothing was written. The work may
   * await its own statements and nothing else: on one driver everybody else waits for it.
   * @throws UnavailableError if a lock was not to be had within 5 s
   */
  transaction<T>(work: (sql: Sql) => Promise<T>): Promise<T>;
}
