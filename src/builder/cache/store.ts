/**
 * What builds leave for the next ones: results by the keys that lead to them, and digests of content that were computed
 * once. A record names layers that are durable before it is; it is written soon after, many at a time, and a build that is
 * cut short loses no more than the last of its steps.
 *
 * Tables: `build_results` by id, `build_keys` (key → id), `build_contents` (file system and selector → digest).
 */
import { createHash, randomBytes } from "node:crypto";
import { log } from "../../base/log.ts";
import type { BuiltLayer } from "../../core/build-images.ts";
import { messageOf } from "../../core/errors.ts";
import type { Digest } from "../../core/ids.ts";
import type { Snapshotter } from "../../core/snapshots.ts";
import type { StateStore, Table } from "../../core/state.ts";

export interface ResultRecord {
  readonly id: string;
  /** What results that are built on this one are known by. */
  readonly key: string;
  /** By output. */
  readonly outputs: readonly (readonly BuiltLayer[])[];
  readonly description: string;
  readonly type: "regular" | "internal" | "frontend" | "source.git.checkout";
  /** ms since the epoch. */
  readonly createdAt: number;
  readonly lastUsedAt: number;
  readonly uses: number;
}

/** Milliseconds between a result and its being written. */
const DELAY = 500;

export class BuildCache {
  readonly #state: StateStore;
  readonly #snapshots: Snapshotter;
  readonly #resultTable: Table<ResultRecord>;
  readonly #keyTable: Table<string>;
  readonly #contentTable: Table<string>;
  readonly #results: Map<string, ResultRecord>;
  readonly #keys: Map<string, string>;
  readonly #contents: Map<string, string>;
  /** By layer: how many records have it. */
  readonly #layers = new Map<Digest, number>();
  /** By layer: how many builds that go on stand on it. */
  readonly #held = new Map<Digest, number>();
  readonly #unwritten = { results: new Set<string>(), keys: new Set<string>(), contents: new Set<string>() };
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor({ state, snapshots }: { state: StateStore; snapshots: Snapshotter }) {
    this.#state = state;
    this.#snapshots = snapshots;
    this.#resultTable = state.table<ResultRecord>("build_results");
    this.#keyTable = state.table<string>("build_keys");
    this.#contentTable = state.table<string>("build_contents");
    this.#results = new Map(this.#resultTable.entries());
    this.#keys = new Map(this.#keyTable.entries());
    this.#contents = new Map(this.#contentTable.entries());
    for (const record of this.#results.values()) this.#count(record, 1);
  }

  /** Chain ids that must stay. */
  layers(): ReadonlySet<Digest> {
    return new Set(this.#layers.keys());
  }

  hasLayer(chainId: Digest): boolean {
    return this.#layers.has(chainId);
  }

  list(): readonly ResultRecord[] {
    return [...this.#results.values()];
  }

  get(id: string): ResultRecord | undefined {
    return this.#results.get(id);
  }

  /** Keeps layers, and the results that they are of, until disposed. */
  hold(outputs: ResultRecord["outputs"]): Disposable {
    const held = outputs.flatMap((layers) => layers.at(-1)?.chainId ?? []);
    for (const chainId of held) add(this.#held, chainId, 1);
    return {
      [Symbol.dispose]: () => {
        for (const chainId of held.splice(0)) add(this.#held, chainId, -1);
      },
    };
  }

  /** Whether a build that goes on stands on it. */
  isUsed({ outputs }: ResultRecord): boolean {
    return outputs.some((layers) => {
      const top = layers.at(-1);
      return top !== undefined && this.#held.has(top.chainId);
    });
  }

  /** A result whose layers are all there. */
  async find(key: string): Promise<ResultRecord | undefined> {
    const id = this.#keys.get(key);
    const record = id === undefined ? undefined : this.#results.get(id);
    if (!record) return undefined;
    for (const layer of record.outputs.flat()) {
      if (await this.#snapshots.has(layer.chainId)) continue;
      log("warn", "a cached result has lost a layer: forgotten", { result: record.id, layer: layer.chainId });
      this.remove(record.id);
      return undefined;
    }
    const used = { ...record, lastUsedAt: Date.now(), uses: record.uses + 1 };
    this.#results.set(record.id, used);
    this.#unwritten.results.add(record.id);
    this.#schedule();
    return used;
  }

  /** A result that was just made. @param keys all that lead to it */
  add(
    result: Pick<ResultRecord, "key" | "outputs" | "description" | "type">,
    keys: readonly string[],
  ): ResultRecord {
    const now = Date.now();
    const record: ResultRecord = {
      ...{ id: randomBytes(16).toString("hex"), createdAt: now, lastUsedAt: now, uses: 0 },
      ...result,
    };
    this.#results.set(record.id, record);
    this.#count(record, 1);
    this.#unwritten.results.add(record.id);
    for (const key of keys) this.link(key, record.id);
    this.#schedule();
    return record;
  }

  link(key: string, id: string): void {
    if (this.#keys.get(key) === id) return;
    this.#keys.set(key, id);
    this.#unwritten.keys.add(key);
    this.#schedule();
  }

  findContent(identity: string, selector: string): string | undefined {
    return this.#contents.get(`${identity} ${hashOf(selector)}`);
  }

  addContent(identity: string, selector: string, digest: string): void {
    const key = `${identity} ${hashOf(selector)}`;
    this.#contents.set(key, digest);
    this.#unwritten.contents.add(key);
    this.#schedule();
  }

  /** Forgets a result. @returns layers that no other result has */
  remove(id: string): Digest[] {
    const record = this.#results.get(id);
    if (!record) return [];
    this.#results.delete(id);
    this.#count(record, -1);
    const keys = [...this.#keys].flatMap(([key, target]) => (target === id ? [key] : []));
    for (const key of keys) this.#keys.delete(key);
    this.#state.transaction(() => {
      this.#resultTable.delete(id);
      for (const key of keys) this.#keyTable.delete(key);
    });
    return record.outputs.flat().flatMap(({ chainId }) => (this.#layers.has(chainId) ? [] : [chainId]));
  }

  #count({ outputs }: ResultRecord, change: 1 | -1): void {
    for (const { chainId } of outputs.flat()) add(this.#layers, chainId, change);
  }

  #schedule(): void {
    this.#timer ??= setTimeout(() => this.flush(), DELAY);
    this.#timer.unref();
  }

  /** Writes what is not written yet. Never throws: what could not be written is tried again with the next. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const { results, keys, contents } = this.#unwritten;
    try {
      this.#state.transaction(() => {
        writeAll(results, this.#results, this.#resultTable);
        writeAll(keys, this.#keys, this.#keyTable);
        writeAll(contents, this.#contents, this.#contentTable);
      });
      for (const set of [results, keys, contents]) set.clear();
    } catch (error) {
      log("warn", "results of builds could not be written down", { error: messageOf(error) });
    }
  }
}

function add(counts: Map<Digest, number>, chainId: Digest, change: 1 | -1): void {
  const count = (counts.get(chainId) ?? 0) + change;
  if (count > 0) counts.set(chainId, count);
  else counts.delete(chainId);
}

function writeAll<T>(names: ReadonlySet<string>, from: ReadonlyMap<string, T>, to: Table<T>): void {
  for (const name of names) {
    const value = from.get(name);
    if (value !== undefined) to.put(name, value);
  }
}

export function hashOf(...parts: readonly string[]): string {
  return createHash("sha256").update(parts.join("\0")).digest("hex");
}
