/** What is kept for the next builds, as its owner sees it: what there is, and what goes when room is wanted. */
import { statfs } from "node:fs/promises";
import type { BuildImages } from "../../core/build-images.ts";
import { NotFoundError } from "../../core/errors.ts";
import type { EventSink } from "../../core/events.ts";
import type { Snapshotter } from "../../core/snapshots.ts";
import type { CacheRecord, PruneCacheRequest } from "../build.ts";
import type { KeptDirectories } from "./kept.ts";
import { bytesToKeep, cacheFilter } from "./pruning.ts";
import type { BuildCache, ResultRecord } from "./store.ts";

export interface UpkeepParts {
  readonly cache: BuildCache;
  readonly kept: readonly KeptDirectories[];
  readonly images: BuildImages;
  readonly snapshots: Snapshotter;
  readonly events: EventSink;
  /** Whose disk it is that has room or not. */
  readonly directory: string;
}

export class CacheUpkeep {
  readonly #parts: UpkeepParts;

  constructor(parts: UpkeepParts) {
    this.#parts = parts;
  }

  async records(signal: AbortSignal): Promise<CacheRecord[]> {
    const results = this.#parts.cache.list();
    const byLayer = new Map(results.flatMap((record) => topsOf(record).map((top) => [top, record.id])));
    const counted = new Set<string>();
    const records: CacheRecord[] = [];
    for (const record of results) records.push(await this.#recordOf(record, { byLayer, counted, signal }));
    for (const kept of this.#parts.kept) records.push(...(await kept.records(signal)));
    return records;
  }

  /** Least recently used first. @throws InvalidParameterError */
  async prune(request: PruneCacheRequest, removed: (record: CacheRecord) => Promise<void>): Promise<void> {
    const { filters, all, keepDuration, minFreeSpace, signal } = request;
    const fits = cacheFilter(filters);
    const records = (await this.records(signal)).sort((a, b) => Number(usedAt(a) - usedAt(b)));
    const free = minFreeSpace > 0 ? await freeBytes(this.#parts.directory) : 0;
    let total = records.reduce((sum, record) => sum + freedBy(record), 0);
    const keep = bytesToKeep(request, total, free);
    const before = BigInt(Date.now()) * 1_000_000n - BigInt(Math.round(keepDuration));
    let reclaimed = 0;
    try {
      for (const record of records) {
        signal.throwIfAborted();
        if (keep > 0 && total <= keep) break;
        if (keepDuration > 0 && usedAt(record) > before) continue;
        if (!all && (record.shared || record.type === "internal" || record.type === "frontend")) continue;
        const freed = fits(record) ? await this.#remove(record, signal) : undefined;
        if (freed === undefined) continue;
        total -= freed;
        reclaimed += freed;
        await removed({ ...record, size: freed });
      }
    } finally {
      const attributes = { reclaimed: String(reclaimed) };
      this.#parts.events.publish({ type: "builder", action: "prune", actor: { id: "", attributes } });
    }
  }

  /** The bytes that the disk has more of; undefined if it is in use, or gone already. */
  async #remove({ id, size }: CacheRecord, signal: AbortSignal): Promise<number | undefined> {
    const { cache, kept, images } = this.#parts;
    for (const directories of kept) if (await directories.remove(id)) return size;
    const record = cache.get(id);
    if (!record || cache.isUsed(record)) return undefined;
    const gone = cache.remove(id).filter((chainId) => !images.hasLayer(chainId));
    let freed = 0;
    for (const chainId of new Set(gone)) freed += await this.#sizeOf(chainId, signal);
    await images.collectLayers(gone);
    return freed;
  }

  async #recordOf(
    record: ResultRecord,
    known: {
      readonly byLayer: ReadonlyMap<string | undefined, string>;
      /** Layers that another record has told the size of: several results may be the same. */
      readonly counted: Set<string>;
      readonly signal: AbortSignal;
    },
  ): Promise<CacheRecord> {
    const { cache, images } = this.#parts;
    const { byLayer, counted, signal } = known;
    const own = record.outputs.flatMap((layers) => layers.at(-1) ?? []);
    const below = record.outputs.flatMap((layers) => byLayer.get(layers.at(-2)?.chainId) ?? []);
    let size = 0;
    for (const { chainId } of own) {
      if (!counted.has(chainId)) size += await this.#sizeOf(chainId, signal);
      counted.add(chainId);
    }
    return {
      id: record.id,
      parents: [...new Set(below)],
      mutable: false,
      inUse: cache.isUsed(record),
      shared: own.some(({ chainId }) => images.hasLayer(chainId)),
      size,
      createdAt: BigInt(record.createdAt) * 1_000_000n,
      lastUsedAt: record.uses > 0 ? BigInt(record.lastUsedAt) * 1_000_000n : undefined,
      usageCount: record.uses,
      description: record.description,
      type: record.type,
    };
  }

  /** Of a layer that was lost, nothing: its result is forgotten when it is wanted next. */
  async #sizeOf(chainId: Parameters<Snapshotter["layerUsage"]>[0], signal: AbortSignal): Promise<number> {
    try {
      return (await this.#parts.snapshots.layerUsage(chainId, signal)).size;
    } catch (error) {
      if (!(error instanceof NotFoundError)) throw error;
      return 0;
    }
  }
}

function topsOf({ outputs }: ResultRecord): (string | undefined)[] {
  return outputs.flatMap((layers) => layers.at(-1)?.chainId ?? []);
}

/** Bytes that the disk would have more of without it. */
function freedBy({ shared, size }: CacheRecord): number {
  return shared ? 0 : size;
}

function usedAt({ lastUsedAt, createdAt }: CacheRecord): bigint {
  return lastUsedAt ?? createdAt;
}

async function freeBytes(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize;
}
