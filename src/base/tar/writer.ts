/**
 * Writes a tar archive in one pass: ustar headers, and a pax header where ustar cannot say it. What is written depends on
 * nothing but the entries: no names of users, no clock, no order of its own.
 *
 * Names and attributes are *byte strings*, as the reader gives them (`header.ts`).
 * @see Go archive/tar (FormatPAX), whose layout of the same entry this is
 */
import { BLOCK } from "./header.ts";
import type { TarEntry } from "./reader.ts";

/** What an entry is, without its content. A directory's name may have its slash or not. */
export interface TarHeader extends Pick<TarEntry, "name" | "type"> {
  /** Permission bits, 07777. */
  readonly mode: number;
  readonly uid?: number;
  readonly gid?: number;
  /** Bytes of content that follow; for files only. */
  readonly size?: number;
  /** Nanoseconds since the epoch; a fraction of a second takes a pax header. */
  readonly mtime?: bigint;
  readonly linkName?: string;
  readonly deviceMajor?: number;
  readonly deviceMinor?: number;
  readonly extendedAttributes?: ReadonlyMap<string, string>;
}

const FLAGS: Readonly<Record<TarEntry["type"], string>> = {
  file: "0",
  "hard-link": "1",
  "symbolic-link": "2",
  "character-device": "3",
  "block-device": "4",
  directory: "5",
  fifo: "6",
};

const NAME_LENGTH = 100;
const PREFIX_LENGTH = 155;
const LARGEST_OCTAL_7 = 0o7777777;
const LARGEST_OCTAL_11 = 0o77777777777;
const BUFFER_SIZE = 1 << 20;
const SECOND = 1_000_000_000n;

/** All blocks in front of an entry's content. */
export function encodeHeader(entry: TarHeader): Buffer {
  const name = entry.type === "directory" && !entry.name.endsWith("/") ? `${entry.name}/` : entry.name;
  const linkName = entry.linkName ?? "";
  const { uid = 0, gid = 0, mtime = 0n } = entry;
  const size = entry.type === "file" ? (entry.size ?? 0) : 0;
  const seconds = mtime >= 0n ? mtime / SECOND : -((-mtime + SECOND - 1n) / SECOND);
  const split = isPlain(name) ? splitName(name) : undefined;

  const records = new Map<string, string>();
  if (!split) records.set("path", name);
  if (linkName.length > NAME_LENGTH || !isPlain(linkName)) records.set("linkpath", linkName);
  if (uid > LARGEST_OCTAL_7) records.set("uid", String(uid));
  if (gid > LARGEST_OCTAL_7) records.set("gid", String(gid));
  if (size > LARGEST_OCTAL_11) records.set("size", String(size));
  const wholeSecond = seconds * SECOND === mtime;
  if (!wholeSecond || seconds < 0n || seconds > BigInt(LARGEST_OCTAL_11)) {
    records.set("mtime", formatTime(mtime));
  }
  for (const [key, value] of entry.extendedAttributes ?? []) records.set(`SCHILY.xattr.${key}`, value);

  const block = encodeBlock({
    ...(split ?? { name: cutName(name), prefix: "" }),
    flag: FLAGS[entry.type],
    mode: entry.mode & 0o7777,
    uid: uid > LARGEST_OCTAL_7 ? 0 : uid,
    gid: gid > LARGEST_OCTAL_7 ? 0 : gid,
    size: size > LARGEST_OCTAL_11 ? 0 : size,
    mtime: seconds < 0n || seconds > BigInt(LARGEST_OCTAL_11) ? 0 : Number(seconds),
    linkName: linkName.slice(0, NAME_LENGTH),
    device:
      entry.type === "character-device" || entry.type === "block-device"
        ? { major: entry.deviceMajor ?? 0, minor: entry.deviceMinor ?? 0 }
        : undefined,
  });
  return records.size === 0 ? block : Buffer.concat([encodePax(name, records), block]);
}

/** Zeros that fill up an entry's last block. */
export function paddingAfter(size: number): Buffer {
  return ZEROS.subarray(0, (BLOCK - (size % BLOCK)) % BLOCK);
}

/** The two empty blocks that end an archive. */
export const TAR_END: Uint8Array = Buffer.alloc(2 * BLOCK);
const ZEROS = Buffer.alloc(BLOCK);

/** Collects what is written into large pieces. Synchronous: for helper processes. */
export class TarWriter {
  readonly #sink: (bytes: Uint8Array) => void;
  readonly #buffer = Buffer.allocUnsafeSlow(BUFFER_SIZE);
  #used = 0;
  /** Of the current entry. */
  #size = 0;
  #left = 0;

  /** @param sink takes bytes that are valid during the call only */
  constructor(sink: (bytes: Uint8Array) => void) {
    this.#sink = sink;
  }

  /** Begins an entry; the content of the one before must be complete. */
  entry(header: TarHeader): void {
    this.#expectWhole();
    this.#size = header.type === "file" ? (header.size ?? 0) : 0;
    this.#left = this.#size;
    this.#write(encodeHeader(header));
  }

  /** Content of the current entry, in order. */
  content(bytes: Uint8Array): void {
    if (bytes.byteLength > this.#left) throw new Error("more content than the entry's header says");
    this.#left -= bytes.byteLength;
    this.#write(bytes);
    if (this.#left === 0) this.#write(paddingAfter(this.#size));
  }

  /** Ends the archive. */
  finish(): void {
    this.#expectWhole();
    this.#write(TAR_END);
    this.#flush();
  }

  #expectWhole(): void {
    if (this.#left > 0) throw new Error("less content than the entry's header says");
  }

  #write(bytes: Uint8Array): void {
    if (this.#used + bytes.byteLength > BUFFER_SIZE) this.#flush();
    if (bytes.byteLength >= BUFFER_SIZE) {
      this.#sink(bytes);
      return;
    }
    this.#buffer.set(bytes, this.#used);
    this.#used += bytes.byteLength;
  }

  #flush(): void {
    if (this.#used > 0) this.#sink(this.#buffer.subarray(0, this.#used));
    this.#used = 0;
  }
}

/** Every byte of it is printable ASCII: ustar says nothing about others. */
function isPlain(text: string): boolean {
  return !/[^ -~]/.test(text);
}

/** A long name has its first directories in the prefix, if there is a slash in the right place. */
function splitName(name: string): { name: string; prefix: string } | undefined {
  if (name.length <= NAME_LENGTH) return { name, prefix: "" };
  if (name.length > NAME_LENGTH + PREFIX_LENGTH + 1) return undefined;
  const end = name.endsWith("/") ? name.length - 1 : name.length;
  const slash = name.lastIndexOf("/", Math.min(PREFIX_LENGTH, end - 1));
  const rest = name.length - slash - 1;
  return slash <= 0 || rest > NAME_LENGTH
    ? undefined
    : { prefix: name.slice(0, slash), name: name.slice(slash + 1) };
}

/** For readers without pax: a slash at the cut would make a directory of it. */
function cutName(name: string): string {
  return name.slice(0, NAME_LENGTH).replace(/\/+$/, "");
}

interface Block {
  readonly name: string;
  readonly prefix: string;
  readonly flag: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly mtime: number;
  readonly linkName: string;
  readonly device: { readonly major: number; readonly minor: number } | undefined;
}

function encodeBlock(fields: Block): Buffer {
  const block = Buffer.alloc(BLOCK);
  const octal = (value: number, offset: number, length: number) =>
    block.write(`${value.toString(8).padStart(length - 1, "0")}\0`, offset, "latin1");
  block.write(fields.name, 0, NAME_LENGTH, "latin1");
  octal(fields.mode, 100, 8);
  octal(fields.uid, 108, 8);
  octal(fields.gid, 116, 8);
  octal(fields.size, 124, 12);
  octal(fields.mtime, 136, 12);
  block.write(fields.flag, 156, "latin1");
  block.write(fields.linkName, 157, NAME_LENGTH, "latin1");
  block.write("ustar\x0000", 257, "latin1");
  octal(fields.device?.major ?? 0, 329, 8);
  octal(fields.device?.minor ?? 0, 337, 8);
  block.write(fields.prefix, 345, PREFIX_LENGTH, "latin1");
  block.fill(32, 148, 156);
  let sum = 0;
  for (const byte of block) sum += byte;
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}

/** The extended header as an entry of its own. Its records are sorted. */
function encodePax(name: string, records: ReadonlyMap<string, string>): Buffer {
  const content = Buffer.from([...records].sort(byKey).map(formatRecord).join(""), "latin1");
  const slash = name.replace(/\/$/, "").lastIndexOf("/");
  const base = name.replace(/\/$/, "").slice(slash + 1);
  const directory = slash < 0 ? "" : `${name.slice(0, slash)}/`;
  const header = encodeBlock({
    // For people only; readers go by the type.
    name: `${directory}PaxHeaders.0/${base}`.replace(/[^ -~]/g, "").slice(0, NAME_LENGTH),
    prefix: "",
    flag: "x",
    mode: 0o644,
    uid: 0,
    gid: 0,
    size: content.byteLength,
    mtime: 0,
    linkName: "",
    device: undefined,
  });
  return Buffer.concat([header, content, paddingAfter(content.byteLength)]);
}

function byKey([a]: [string, string], [b]: [string, string]): number {
  return a < b ? -1 : 1;
}

/** `<length> <key>=<value>\n`, where the length counts itself. */
function formatRecord([key, value]: [string, string]): string {
  const rest = ` ${key}=${value}\n`;
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return `${length}${rest}`;
}

function formatTime(nanoseconds: bigint): string {
  const sign = nanoseconds < 0n ? "-" : "";
  const absolute = nanoseconds < 0n ? -nanoseconds : nanoseconds;
  const fraction = (absolute % SECOND).toString().padStart(9, "0").replace(/0+$/, "");
  return `${sign}${absolute / SECOND}${fraction === "" ? "" : `.${fraction}`}`;
}
