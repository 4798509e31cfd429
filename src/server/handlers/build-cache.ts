/** `POST /build/prune`, and how a record of the build cache is shown. */
import { toRfc3339 } from "../../base/times.ts";
import type { BuildService, CacheRecord, PruneCacheRequest } from "../../builder/build.ts";
import { InvalidParameterError, messageOf } from "../../core/errors.ts";
import { parseTime } from "../../engine/images/filters.ts";
import type { Call, Handlers } from "../call.ts";

const FIELDS = ["id", "parent", "type", "description", "inuse", "shared", "private"] as const;
const FILTERS = [...FIELDS, "until", "unused-for", "label", "label!"];

export function buildCacheHandlers(builds: BuildService): Handlers {
  return {
    BuildPrune: async (call) => {
      const deleted: string[] = [];
      let reclaimed = 0;
      const request = toPruneRequest(call, Date.now());
      if (request) {
        await builds.pruneCache(request, async ({ id, size }) => {
          deleted.push(id);
          reclaimed += size;
        });
      }
      call.json({ CachesDeleted: deleted.length > 0 ? deleted : null, SpaceReclaimed: reclaimed });
    },
  };
}

/** An item of `BuildCache`. */
export function toCacheItem(record: CacheRecord): object {
  const { id, parents, type, description, inUse, shared, size, createdAt, lastUsedAt, usageCount } = record;
  return {
    ID: id,
    ...(parents.length > 0 && { Parents: parents }),
    Type: type,
    Description: description,
    InUse: inUse,
    Shared: shared,
    Size: size,
    CreatedAt: toRfc3339(createdAt),
    LastUsedAt: lastUsedAt === undefined ? null : toRfc3339(lastUsedAt),
    UsageCount: usageCount,
  };
}

/**
 * What is asked for, in the builder's words; undefined: nothing can fit, as records have no labels.
 * @param now ms since the epoch
 * @throws InvalidParameterError
 * @see moby builder-next/builder.go, toBuildkitPruneInfo
 */
export function toPruneRequest(
  call: Pick<Call, "query" | "atLeast" | "signal">,
  now: number,
): PruneCacheRequest | undefined {
  const { query } = call;
  const filters = query.filters(FILTERS);
  const terms = FIELDS.flatMap((field) => {
    const value = only(filters, field);
    if (value === undefined) return filters.has(field) ? [field] : [];
    return [field === "id" ? `id~=${value}` : `${field}==${value}`];
  });
  const request = {
    filters: terms.length > 0 ? [terms.join()] : [],
    all: query.flag("all"),
    keepDuration: keepDuration(filters, now),
    ...spaceOf(call),
    signal: call.signal,
  };
  return (filters.get("label")?.size ?? 0) > 0 ? undefined : request;
}

function spaceOf(
  call: Pick<Call, "query" | "atLeast">,
): Pick<PruneCacheRequest, "reservedSpace" | "maxUsedSpace" | "minFreeSpace"> {
  if (!call.atLeast([1, 48]))
    return { reservedSpace: bytes(call, "keep-storage"), maxUsedSpace: 0, minFreeSpace: 0 };
  return {
    reservedSpace: bytes(call, "reserved-space") || bytes(call, "keep-storage"),
    maxUsedSpace: bytes(call, "max-used-space"),
    minFreeSpace: bytes(call, "min-free-space"),
  };
}

function bytes({ query }: Pick<Call, "query">, name: string): number {
  try {
    return query.integer(name) ?? 0;
  } catch (error) {
    const problem = `${name} is in bytes and expects an integer, got ${query.get(name)}`;
    throw new InvalidParameterError(`${problem}: ${messageOf(error)}`, { cause: error });
  }
}

/** Nanoseconds. */
function keepDuration(filters: ReadonlyMap<string, ReadonlySet<string>>, now: number): number {
  const [until, unusedFor] = [only(filters, "until"), only(filters, "unused-for")];
  if (until !== undefined && unusedFor !== undefined)
    throw new InvalidParameterError('conflicting filters: "until" and "unused-for"');
  const text = until ?? unusedFor;
  return text === undefined ? 0 : Math.max(0, now - parseTime(text, now)) * 1e6;
}

function only(filters: ReadonlyMap<string, ReadonlySet<string>>, name: string): string | undefined {
  const [value, ...more] = filters.get(name) ?? [];
  if (more.length > 0) throw new InvalidParameterError("filters expect only one value");
  return value;
}
