/** Files between the wire and here: fsutil's mode is Go's FileMode, ours is Linux's `st_mode`. */
import type { FileStat } from "../../frontend.ts";
import type { Stat } from "../messages/session.ts";
import type { Value } from "../wire/message.ts";

const PERMISSIONS = 0o777;
const TYPE = 0o170000;

/** The bits of Go's os.FileMode above the permissions, and what they are in `st_mode`. */
const TYPES: readonly (readonly [go: number, unix: number])[] = [
  [2 ** 31, 0o040000], // directory
  [2 ** 27, 0o120000], // symbolic link
  [2 ** 25, 0o010000], // fifo
  [2 ** 24, 0o140000], // socket
];
const DEVICE = 2 ** 26;
const CHARACTER = 2 ** 21;
const CHARACTER_DEVICE = 0o020000;
const BLOCK_DEVICE = 0o060000;
const REGULAR = 0o100000;
const SPECIAL: readonly (readonly [go: number, unix: number])[] = [
  [2 ** 23, 0o4000], // setuid
  [2 ** 22, 0o2000], // setgid
  [2 ** 20, 0o1000], // sticky
];

const has = (mode: number, bit: number) => Math.floor(mode / bit) % 2 === 1;

export function fromGoMode(mode: number): number {
  let type = TYPES.find(([go]) => has(mode, go))?.[1] ?? REGULAR;
  if (has(mode, DEVICE)) type = has(mode, CHARACTER) ? CHARACTER_DEVICE : BLOCK_DEVICE;
  const special = SPECIAL.filter(([go]) => has(mode, go)).reduce((sum, [, unix]) => sum + unix, 0);
  return type + special + (mode & PERMISSIONS);
}

export function toGoMode(mode: number): number {
  const type = mode & TYPE;
  let go = TYPES.find(([, unix]) => unix === type)?.[0] ?? 0;
  if (type === BLOCK_DEVICE) go = DEVICE;
  if (type === CHARACTER_DEVICE) go = DEVICE + CHARACTER;
  const special = SPECIAL.filter(([, unix]) => (mode & unix) !== 0).reduce((sum, [bit]) => sum + bit, 0);
  return go + special + (mode & PERMISSIONS);
}

export function isRegular(mode: number): boolean {
  return (mode & TYPE) === REGULAR;
}

export function fromStatMessage(stat: Value<typeof Stat>): FileStat {
  return { ...stat, mode: fromGoMode(stat.mode) };
}

export function toStatMessage(stat: FileStat): Value<typeof Stat> {
  return { ...stat, mode: toGoMode(stat.mode) };
}
