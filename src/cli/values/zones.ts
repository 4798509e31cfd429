/**
 * The abbreviation of the local time zone, as Go prints it. It stands in the zone's file (RFC 9636), not in the tables
 * of the runtime, which knows the offset alone.
 */
import { readFileSync } from "node:fs";

const ZONES = "/usr/share/zoneinfo";

interface Zone {
  /** Seconds since 1970 at which `types` begin; ascending. */
  readonly transitions: readonly number[];
  /** Abbreviations by transition. */
  readonly names: readonly string[];
  /** Before the first transition. */
  readonly first: string;
  /** The POSIX rule for times after the last transition: `CET-1CEST,M3.5.0,M10.5.0/3`. */
  readonly rule: string;
}

/** `CET`, `GMT`, `+08`. @param minutesWest what the runtime gives as the zone's offset at that time */
export function zoneName(date: Date, minutesWest: number = date.getTimezoneOffset()): string {
  const name = new Intl.DateTimeFormat().resolvedOptions().timeZone;
  const zone = findZone(name);
  const found = zone && nameAt(zone, date.getTime() / 1000, minutesWest);
  return found || (minutesWest === 0 ? "UTC" : shortName(date));
}

function shortName(date: Date): string {
  const parts = new Intl.DateTimeFormat("en-US", { timeZoneName: "short" }).formatToParts(date);
  return parts.find(({ type }) => type === "timeZoneName")?.value ?? "";
}

let known: { readonly name: string; readonly zone: Zone | undefined } | undefined;

/** Read once: rows of a list share it. */
function findZone(name: string): Zone | undefined {
  if (known?.name !== name)
    known = { name, zone: readZone(`${ZONES}/${name}`) ?? readZone("/etc/localtime") };
  return known.zone;
}

function readZone(path: string): Zone | undefined {
  try {
    return parseZone(readFileSync(path));
  } catch {
    return undefined; // A host without time zones has names of the runtime.
  }
}

/** @throws Error if the bytes are no zone file */
export function parseZone(bytes: Buffer): Zone {
  if (bytes.toString("latin1", 0, 4) !== "TZif") throw new Error("malformed time zone information");
  const old = headerAt(bytes, 0);
  if (old.version < 0x32) return blockAt(bytes, old, 4);
  return blockAt(bytes, headerAt(bytes, old.data + blockSize(old, 4)), 8);
}

interface Header {
  readonly version: number;
  readonly utcIndicators: number;
  readonly standardIndicators: number;
  readonly leaps: number;
  readonly times: number;
  readonly types: number;
  readonly characters: number;
  /** Where the block begins. */
  readonly data: number;
}

function headerAt(bytes: Buffer, at: number): Header {
  const count = (index: number): number => bytes.readUInt32BE(at + 20 + index * 4);
  return {
    version: bytes.readUInt8(at + 4),
    utcIndicators: count(0),
    standardIndicators: count(1),
    leaps: count(2),
    times: count(3),
    types: count(4),
    characters: count(5),
    data: at + 44,
  };
}

function blockSize(header: Header, width: 4 | 8): number {
  const { times, types, characters, leaps, standardIndicators, utcIndicators } = header;
  return (
    times * (width + 1) + types * 6 + characters + leaps * (width + 4) + standardIndicators + utcIndicators
  );
}

function blockAt(bytes: Buffer, header: Header, width: 4 | 8): Zone {
  const { data, times, types, characters } = header;
  const indexes = data + times * width;
  const typesAt = indexes + times;
  const texts = bytes.subarray(typesAt + types * 6, typesAt + types * 6 + characters);
  const nameOf = (type: number): string => {
    const start = bytes.readUInt8(typesAt + type * 6 + 5);
    return texts.toString("latin1", start, texts.indexOf(0, start));
  };
  const each = Array.from({ length: times }, (_none, index) => index);
  return {
    transitions: each.map((index) =>
      width === 8 ? Number(bytes.readBigInt64BE(data + index * 8)) : bytes.readInt32BE(data + index * 4),
    ),
    names: each.map((index) => nameOf(bytes.readUInt8(indexes + index))),
    first: types > 0 ? nameOf(0) : "",
    rule: width === 8 ? bytes.toString("latin1", data + blockSize(header, width)).trim() : "",
  };
}

/** @param seconds since 1970 */
export function nameAt(zone: Zone, seconds: number, minutesWest: number): string {
  const { transitions, names, first, rule } = zone;
  const at = transitions.findLastIndex((transition) => transition <= seconds);
  if (at === transitions.length - 1 && rule !== "")
    return nameOfRule(rule, minutesWest) ?? names[at] ?? first;
  return names[at] ?? first;
}

/** Of the rule's two names the one with the offset; which of them holds, the runtime knows. */
function nameOfRule(rule: string, minutesWest: number): string | undefined {
  const match = /^(<[^>]+>|[A-Za-z]+)([-+]?[\d:]+)(?:(<[^>]+>|[A-Za-z]+)([-+]?[\d:]+)?)?/.exec(rule);
  if (!match) return undefined;
  const [, standard = "", west = "", summer, summerWest] = match;
  const name = toMinutes(west) === minutesWest || summer === undefined ? standard : summer;
  const bare = name.replace(/[<>]/g, "");
  const offset = name === standard ? toMinutes(west) : summerOffset(west, summerWest);
  return offset === minutesWest ? bare : undefined;
}

function summerOffset(west: string, summerWest: string | undefined): number {
  return summerWest === undefined ? toMinutes(west) - 60 : toMinutes(summerWest);
}

/** `-5:30` in minutes. */
function toMinutes(text: string): number {
  const [hours = "0", minutes = "0"] = text.replace(/^[-+]/, "").split(":");
  return (text.startsWith("-") ? -1 : 1) * (Number(hours) * 60 + Number(minutes));
}
