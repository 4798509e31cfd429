/** A volume as it is persisted, and the filters of `volume ls` and `volume prune`. */
import { compileGoRegExp, type GoRegExp } from "../../base/go-regexp.ts";
import { InvalidParameterError } from "../../core/errors.ts";

export const ANONYMOUS_LABEL = "com.docker.volume.anonymous";

export interface VolumeRecord {
  readonly name: string;
  readonly driver: string;
  /** RFC 3339, seconds. */
  readonly createdAt: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly options: Readonly<Record<string, string>>;
  /** Made without a name: goes with its last container on `rm -v`. `volume prune` goes by the label. */
  readonly anonymous: boolean;
  /** The container whose create made it, while that one is there. Boot removes it if the create was cut short. */
  readonly madeFor?: string;
  /** An image's data was copied into it: never again. */
  readonly populated: boolean;
}

export type Filters = ReadonlyMap<string, ReadonlySet<string>>;

export const LIST_FILTERS = ["dangling", "driver", "label", "name"] as const;
export const PRUNE_FILTERS = ["all", "label", "label!"] as const;

/** All filters but `dangling`. */
export function matchesVolume(record: VolumeRecord, filters: Filters): boolean {
  return (
    isOneOf(record.driver, filters.get("driver")) &&
    [...(filters.get("label") ?? [])].every((label) => hasLabel(record, label)) &&
    ![...(filters.get("label!") ?? [])].some((label) => hasLabel(record, label)) &&
    matchesName(record.name, filters.get("name"))
  );
}

/** Whether its data is in the data root: what is mounted by driver options is not the engine's to prune and to count. */
export function isLocal({ driver, options }: VolumeRecord): boolean {
  return driver === "local" && Object.keys(options).length === 0;
}

/**
 * The filters of `prune` as those of a list: without `all` it is about anonymous volumes.
 * @throws InvalidParameterError in dockerd's words (moby volume/service/convert.go, withPrune)
 */
export function toPruneFilters(filters: Filters): Filters {
  const values = [...(filters.get("all") ?? [])];
  const [value] = values;
  if (values.length > 1) {
    throw new InvalidParameterError(`invalid filter 'all=[${values.join(" ")}]': only one value is expected`);
  }
  if (value !== undefined && /^(?:1|t|T|true|TRUE|True)$/.test(value)) return filters;
  if (value !== undefined && !/^(?:0|f|F|false|FALSE|False)$/.test(value)) {
    throw new InvalidParameterError(
      `invalid filter 'all': strconv.ParseBool: parsing ${JSON.stringify(value)}: invalid syntax`,
    );
  }
  return new Map([...filters, ["label", new Set([...(filters.get("label") ?? []), ANONYMOUS_LABEL])]]);
}

/**
 * The `dangling` filter as a test of whether a volume is used.
 * @throws InvalidParameterError in dockerd's words, whether or not there is a volume to test
 */
export function danglingTest(filters: Filters): (used: boolean) => boolean {
  const wanted = filters.get("dangling");
  if (!wanted) return () => true;
  const values = [...wanted].map((value) => {
    if (["1", "true"].includes(value.toLowerCase())) return true;
    if (["0", "false"].includes(value.toLowerCase())) return false;
    throw new InvalidParameterError(`invalid filter 'dangling=[${[...wanted].join(" ")}]'`);
  });
  return (used) => values.includes(!used);
}

function isOneOf(value: string, wanted: ReadonlySet<string> | undefined): boolean {
  return !wanted?.size || wanted.has(value);
}

function hasLabel(record: VolumeRecord, label: string): boolean {
  const [key = "", ...value] = label.split("=");
  const actual = record.labels[key];
  return actual !== undefined && (value.length === 0 || actual === value.join("="));
}

/** A part of the name, or a regular expression that matches it. */
function matchesName(name: string, wanted: ReadonlySet<string> | undefined): boolean {
  if (!wanted?.size) return true;
  return [...wanted].some((pattern) => name.includes(pattern) || safely(pattern)?.test(name));
}

function safely(pattern: string): GoRegExp | undefined {
  try {
    return compileGoRegExp(pattern);
  } catch {
    // Not a regular expression: then it only matched as text.
    return undefined;
  }
}
