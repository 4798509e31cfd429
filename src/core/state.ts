/**
 * Port: durable state. What is written in one transaction is there after SIGKILL or power loss, or not at all;
 * `transaction` returns only once it is on disk. Synchronous on purpose: a transition persists before it is
 * published, with no await in between for another request to slip into.
 *
 * Owns: records as JSON documents in named tables. Leaves to others: what they mean, caches, indexes.
 */

export interface Table<T> {
  get(key: string): T | undefined;
  /** Inserts or replaces. */
  put(key: string, value: T): void;
  /** True if there was one. */
  delete(key: string): boolean;
  /** Every row, ordered by key. Read once at boot: owners keep their own index. */
  entries(): [key: string, value: T][];
}

export interface StateStore extends Disposable {
  /** The table of that name, made if it does not exist. Table names are the nouns: `containers`, `images`, … */
  table<T>(name: string): Table<T>;
  /**
   * Runs the work in one durable transaction; nested calls join the outer one. If it throws, nothing was written.
   * A write outside of a transaction is one of its own.
   * @throws NoSpaceError when the disk is full
   */
  transaction<T>(work: () => T): T;
}
