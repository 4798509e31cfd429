/**
 * What of a cache goes: filters in containerd's words, and how many bytes may stay. Pure.
 * @see BuildKit cache/manager.go (calculateKeepBytes, adaptUsageInfo)
 */
import { InvalidParameterError } from "../../core/errors.ts";
import type { CacheRecord, PruneCacheRequest } from "../build.ts";

type Test = (record: CacheRecord) => boolean;

const TEXTS: Readonly<Record<string, (record: CacheRecord) => string>> = {
  id: ({ id }) => id,
  type: ({ type }) => type,
  description: ({ description }) => description,
  parent: ({ parents }) => parents.join(";"),
  parents: ({ parents }) => parents.join(";"),
};

const FLAGS: Readonly<Record<string, Test>> = {
  inuse: ({ inUse }) => inUse,
  mutable: ({ mutable }) => mutable,
  immutable: ({ mutable }) => !mutable,
  shared: ({ shared }) => shared,
  private: ({ shared }) => !shared,
};

/** Any of them; what stands between commas all. None, or empty ones, fit everything. @throws InvalidParameterError */
export function cacheFilter(filters: readonly string[]): Test {
  const any = filters.map((filter) => {
    const all = filter
      .split(",")
      .filter((term) => term !== "")
      .map(toTest);
    return (record: CacheRecord) => all.every((test) => test(record));
  });
  return (record) => any.length === 0 || any.some((test) => test(record));
}

function toTest(term: string): Test {
  const [, field = "", operator = "", given = ""] = /^([^=!~]+)(?:(==|!=|~=)(.*))?$/.exec(term) ?? [];
  const value = unquoted(given);
  const flag = Object.hasOwn(FLAGS, field) ? FLAGS[field] : undefined;
  if (flag) return flagTest(flag, operator, value, term);
  const text = Object.hasOwn(TEXTS, field) ? TEXTS[field] : undefined;
  if (!text) {
    const known = [...Object.keys(TEXTS), ...Object.keys(FLAGS)].join(", ");
    throw new InvalidParameterError(`invalid filter of the build cache '${term}': it goes by ${known}`);
  }
  if (operator === "") return (record) => text(record) !== "";
  if (operator === "==") return (record) => text(record) === value;
  if (operator === "!=") return (record) => text(record) !== value;
  const pattern = toPattern(value, term);
  return (record) => pattern.test(text(record));
}

function flagTest(flag: Test, operator: string, value: string, term: string): Test {
  if (operator === "") return flag;
  const wanted = ["1", "true"].includes(value) ? true : ["0", "false"].includes(value) ? false : undefined;
  if (wanted === undefined || operator === "~=")
    throw new InvalidParameterError(`invalid filter of the build cache '${term}': it is true or false`);
  return (record) => flag(record) === (operator === "==" ? wanted : !wanted);
}

function toPattern(text: string, term: string): RegExp {
  try {
    return new RegExp(text, "u");
  } catch (error) {
    throw new InvalidParameterError(`invalid filter of the build cache '${term}'`, { cause: error });
  }
}

function unquoted(text: string): string {
  return /^"(.*)"$/.exec(text)?.[1] ?? text;
}

/**
 * How many bytes may stay; 0: there is no such limit, all may go.
 * @param total bytes of the cache now
 * @param free bytes free on its disk
 */
export function bytesToKeep(
  {
    reservedSpace,
    maxUsedSpace,
    minFreeSpace,
  }: Pick<PruneCacheRequest, "reservedSpace" | "maxUsedSpace" | "minFreeSpace">,
  total: number,
  free: number,
): number {
  let keep = maxUsedSpace > 0 ? maxUsedSpace : undefined;
  if (minFreeSpace > free) keep = Math.min(keep ?? total, total - (minFreeSpace - free));
  else if (minFreeSpace > 0) keep ??= total;
  return Math.max(keep ?? 0, reservedSpace);
}
