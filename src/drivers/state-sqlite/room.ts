/**
 * Room for removals on a full disk, inside of the database's own files, where nobody else can take it: the log is
 * as long as it ever gets between two checkpoints, and the database has free pages that are on the disk already. Both
 * were written once and are written over from then on. New rows may use what is above the room, or what can be added
 * to it; changes and deletions may use the room itself. It is never given back to the file system.
 *
 * On a file system that copies on write (btrfs, zfs) an overwrite needs space as well: there it is the pool's own
 * reserve that lets removals through.
 */
import { constants, type Database, type Statement } from "bun:sqlite";
import { closeSync, fdatasyncSync, fstatSync, openSync, statfsSync, writeSync } from "node:fs";
import { dirname } from "node:path";

const PAGE = 4096;
/** A page with its header, and the log's own header. */
const FRAME = PAGE + 24;
const LOG_HEADER = 32;
/** SQLite moves the log into the database when it has so many pages. */
export const CHECKPOINT_PAGES = 256;
/** So that a transaction may be as long again as what starts a checkpoint. */
export const LOG_BYTES = LOG_HEADER + 2 * CHECKPOINT_PAGES * FRAME;
/** The least and the most room, in pages: 1 and 16 MiB. In between it is a quarter of the database. */
const LEAST = 256;
const MOST = 4096;
/** Added at a time: a piece fits into the log with what is in there already. */
const PIECE_PAGES = 128;
/** Of pages that keep the table itself, in a piece. */
const SOME_PAGES = 8;
const TABLE = "_room";

type Count = Statement<{ count: number }, []>;

export class DatabaseRoom implements Disposable {
  readonly #database: Database;
  readonly #path: string;
  readonly #freePages: Count;
  readonly #allPages: Count;

  /** The database is open, in WAL mode. */
  constructor(database: Database, path: string) {
    this.#database = database;
    this.#path = path;
    this.#freePages = database.prepare("SELECT freelist_count AS count FROM pragma_freelist_count");
    this.#allPages = database.prepare("SELECT page_count AS count FROM pragma_page_count");
    // The file ends at a multiple of it: a checkpoint does not cut off what was just added.
    database.fileControl(constants.SQLITE_FCNTL_CHUNK_SIZE, new Int32Array([PIECE_PAGES * PAGE, 0]));
  }

  /** Whether a new row may be added: what it takes is not needed for removals. */
  get spare(): boolean {
    return count(this.#freePages) >= this.#wanted();
  }

  /**
   * Adds what is missing, and as much again, so that the next rows need not ask. Not within a transaction.
   * @returns false when the disk has no space for it; what was there stays. @throws what SQLite throws otherwise
   */
  provide(): boolean {
    try {
      this.#lengthenLog();
      const missing = 2 * this.#wanted() - count(this.#freePages);
      if (missing > this.#wanted()) this.#addFreePages(missing);
      return this.spare;
    } catch (error) {
      if (isNoSpace(error)) return false;
      throw error;
    }
  }

  #wanted(): number {
    return Math.min(MOST, Math.max(LEAST, Math.ceil(count(this.#allPages) / 4)));
  }

  /** Zeros are no frame: SQLite reads none of them, and writes over them. */
  #lengthenLog(): void {
    const fd = openSync(`${this.#path}-wal`, "a", 0o600);
    try {
      const missing = LOG_BYTES - fstatSync(fd).size;
      if (missing <= 0) return;
      for (let left = missing; left > 0; ) left -= writeSync(fd, new Uint8Array(Math.min(left, 1 << 20)));
      fdatasyncSync(fd);
    } finally {
      closeSync(fd);
    }
  }

  /**
   * Pages that are filled, moved into the database's file and only then set free: SQLite does not write a page that is
   * free, so one that was never anything else is a hole in the file. The file grows first: pages in the log that have
   * no place in the file would keep the log from ever being moved.
   */
  #addFreePages(wanted: number): void {
    const { bavail, bsize } = statfsSync(dirname(this.#path));
    if (bavail * bsize < wanted * PAGE) return;
    this.#database.run(`CREATE TABLE IF NOT EXISTS "${TABLE}" (bytes BLOB NOT NULL) STRICT`);
    // The free pages that are there are used first: so many more make all of them lie on the disk.
    const pages = wanted + count(this.#freePages);
    try {
      for (let left = pages; left > 0 && this.#lengthenFile(); left -= PIECE_PAGES) {
        this.#database.run(`INSERT INTO "${TABLE}" VALUES (zeroblob(${PIECE_PAGES * (PAGE - 4)}))`);
        this.#database.run("PRAGMA wal_checkpoint(PASSIVE)");
      }
    } finally {
      this.#database.run(`DELETE FROM "${TABLE}"`);
    }
  }

  /** By a piece. False when the disk is full. */
  #lengthenFile(): boolean {
    const bytes = (count(this.#allPages) + PIECE_PAGES + SOME_PAGES) * PAGE;
    return (
      this.#database.fileControl(constants.SQLITE_FCNTL_SIZE_HINT, new BigInt64Array([BigInt(bytes)])) === 0
    );
  }

  [Symbol.dispose](): void {
    this.#freePages.finalize();
    this.#allPages.finalize();
  }
}

function count(statement: Count): number {
  return statement.get()?.count ?? 0;
}

function isNoSpace(error: unknown): boolean {
  if (!(error instanceof Error) || !("code" in error)) return false;
  return (
    error.code === "ENOSPC" ||
    error.code === "EDQUOT" ||
    error.code === "SQLITE_FULL" ||
    (/^SQLITE_IOERR/.test(String(error.code)) && error.message.includes("full"))
  );
}
