/**
 * Reads a tar archive in one pass, synchronously: for helper processes that do nothing else. Memory is one buffer,
 * whatever the archive says its sizes are.
 *
 * Handles ustar, GNU long names, pax headers and the sparse files of pax (`sparse.ts`). Those of old GNU tar are refused,
 * as by Docker.
 */
import { BLOCK, parseHeader, parsePaxRecords, type RawHeader, TarError } from "./header.ts";
import { checkedSparseFile, readMap, type SparseFile, type SparsePiece, sparseForm } from "./sparse.ts";

export type TarEntryType =
  | "file"
  | "hard-link"
  | "symbolic-link"
  | "character-device"
  | "block-device"
  | "directory"
  | "fifo";

export interface TarEntry {
  /** A byte string, as in the archive: it may be absolute and have `.` and `..`. */
  readonly name: string;
  readonly type: TarEntryType;
  readonly linkName: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Of the file; of a sparse one with its holes. */
  readonly size: number;
  /** Where the content of a sparse file goes, in order; the rest is holes. */
  readonly sparse?: readonly SparsePiece[];
  /** Nanoseconds since the epoch. */
  readonly mtime: bigint;
  readonly deviceMajor: number;
  readonly deviceMinor: number;
  /** Byte strings by name, `security.capability`. */
  readonly extendedAttributes: ReadonlyMap<string, string>;
}

/** Fills the beginning of the buffer with what comes next; 0 at the end. */
export type ReadBytes = (into: Uint8Array) => number;

const TYPES: Readonly<Record<string, TarEntryType>> = {
  "0": "file",
  "7": "file",
  "1": "hard-link",
  "2": "symbolic-link",
  "3": "character-device",
  "4": "block-device",
  "5": "directory",
  "6": "fifo",
};

const BUFFER_SIZE = 1 << 20;
/** As Go's archive/tar: no sane archive has larger names or more attributes. */
const LARGEST_EXTENSION = 1 << 20;
const LARGEST_ID = 0xfffffffe;
const XATTR_PREFIX = "SCHILY.xattr.";

/** One pass over one archive: `next`, its `content`, `next` again. */
export class TarReader {
  readonly #read: ReadBytes;
  readonly #buffer = Buffer.allocUnsafeSlow(BUFFER_SIZE);
  #start = 0;
  #end = 0;
  /** Of the current entry: content not read yet, and the padding behind it. */
  #content = 0;
  #padding = 0;

  constructor(read: ReadBytes) {
    this.#read = read;
  }

  /** The next entry; what was not read of the one before is skipped. Undefined at the end. @throws TarError */
  next(): TarEntry | undefined {
    this.#skip(this.#content + this.#padding);
    let records: Map<string, string> | undefined;
    let longName: string | undefined;
    let longLink: string | undefined;
    for (;;) {
      const block = this.#block();
      const header = block && parseHeader(block);
      if (!header) return undefined;
      this.#content = header.size;
      this.#padding = paddingOf(header.size);
      if (header.type === "x") records = parsePaxRecords(this.#extension());
      else if (header.type === "L") longName = cut(this.#extension().toString("latin1"));
      else if (header.type === "K") longLink = cut(this.#extension().toString("latin1"));
      else if (header.type === "g") this.#extension();
      else return this.#entry(header, { records, longName, longLink });
    }
  }

  #entry(
    header: RawHeader,
    extra: { records?: Map<string, string>; longName?: string; longLink?: string },
  ): TarEntry {
    const { records } = extra;
    const name = records?.get("GNU.sparse.name") ?? records?.get("path") ?? extra.longName ?? header.name;
    // An old-style directory is a file whose name, whole, ends in a slash.
    const type = header.type === "0" && name.endsWith("/") ? "directory" : TYPES[header.type];
    if (!type)
      throw new TarError(`unhandled tar header type ${header.type.charCodeAt(0)}: ${readable(name)}`);
    if (type === "file") {
      this.#content = integerRecord(records, "size") ?? header.size;
      this.#padding = paddingOf(this.#content);
    }
    const sparse = type === "file" && records ? this.#sparse(records) : undefined;
    return {
      name,
      type,
      linkName: records?.get("linkpath") ?? extra.longLink ?? header.linkName,
      mode: header.mode,
      uid: checkedId(integerRecord(records, "uid") ?? header.uid),
      gid: checkedId(integerRecord(records, "gid") ?? header.gid),
      size: sparse?.size ?? (type === "file" ? this.#content : 0),
      ...(sparse && { sparse: sparse.pieces }),
      mtime: timeRecord(records, "mtime") ?? BigInt(header.mtime) * 1_000_000_000n,
      deviceMajor: header.deviceMajor,
      deviceMinor: header.deviceMinor,
      extendedAttributes: records ? attributesOf(records) : NONE,
    };
  }

  /** Reads the map that is in front of the content, if that is where it is. */
  #sparse(records: ReadonlyMap<string, string>): SparseFile | undefined {
    const form = sparseForm(records);
    if (form === undefined) return undefined;
    const map = form.map ?? readMap(() => this.#sparseBlock());
    return checkedSparseFile(map, form.size, this.#content);
  }

  #sparseBlock(): string {
    const block = this.#content < BLOCK ? undefined : this.#block();
    if (block === undefined) throw new TarError("invalid sparse file");
    this.#content -= BLOCK;
    return block.toString("latin1");
  }

  /** The next piece of the current entry's content, valid until the next call; undefined when all was read. @throws TarError */
  content(): Uint8Array | undefined {
    if (this.#content === 0) return undefined;
    if (this.#start === this.#end) this.#fill();
    const length = Math.min(this.#content, this.#end - this.#start);
    const piece = this.#buffer.subarray(this.#start, this.#start + length);
    this.#start += length;
    this.#content -= length;
    return piece;
  }

  /** Reads on to the end of the stream: what follows the archive belongs to its digest. */
  drain(): void {
    this.#start = 0;
    do this.#end = this.#read(this.#buffer);
    while (this.#end > 0);
  }

  /** Undefined if the stream ends where a header could begin: some writers leave out the final blocks. */
  #block(): Buffer | undefined {
    if (this.#end - this.#start < BLOCK) {
      this.#buffer.copyWithin(0, this.#start, this.#end);
      this.#end -= this.#start;
      this.#start = 0;
      while (this.#end < BLOCK) {
        const count = this.#read(this.#buffer.subarray(this.#end));
        if (count === 0 && this.#end === 0) return undefined;
        if (count === 0) throw new TarError("unexpected EOF");
        this.#end += count;
      }
    }
    const block = this.#buffer.subarray(this.#start, this.#start + BLOCK);
    this.#start += BLOCK;
    return block;
  }

  #extension(): Buffer {
    if (this.#content > LARGEST_EXTENSION) throw new TarError("invalid tar header: extension too large");
    const pieces: Uint8Array[] = [];
    for (let piece = this.content(); piece; piece = this.content()) pieces.push(Uint8Array.from(piece));
    this.#skip(this.#padding);
    return Buffer.concat(pieces);
  }

  #skip(count: number): void {
    let left = count;
    while (left > 0) {
      if (this.#start === this.#end) this.#fill();
      const step = Math.min(left, this.#end - this.#start);
      this.#start += step;
      left -= step;
    }
    this.#content = 0;
    this.#padding = 0;
  }

  #fill(): void {
    this.#start = 0;
    this.#end = this.#read(this.#buffer);
    if (this.#end === 0) throw new TarError("unexpected EOF");
  }
}

const NONE: ReadonlyMap<string, string> = new Map();

function paddingOf(size: number): number {
  return (BLOCK - (size % BLOCK)) % BLOCK;
}

function cut(text: string): string {
  const end = text.indexOf("\0");
  return end < 0 ? text : text.slice(0, end);
}

function integerRecord(records: Map<string, string> | undefined, key: string): number | undefined {
  const value = records?.get(key);
  if (value === undefined || value === "") return undefined;
  const result = Number(value);
  if (!/^\d+$/.test(value) || !Number.isSafeInteger(result)) throw new TarError(`invalid pax header: ${key}`);
  return result;
}

/** Decimal seconds with a fraction, to nanoseconds. */
function timeRecord(records: Map<string, string> | undefined, key: string): bigint | undefined {
  const value = records?.get(key);
  if (value === undefined || value === "") return undefined;
  const [, sign, seconds = "", fraction = ""] = /^(-?)(\d{1,15})(?:\.(\d*))?$/.exec(value) ?? [];
  if (seconds === "") throw new TarError(`invalid pax header: ${key}`);
  const nanoseconds = BigInt(seconds) * 1_000_000_000n + BigInt(fraction.padEnd(9, "0").slice(0, 9));
  return sign === "-" ? -nanoseconds : nanoseconds;
}

function checkedId(id: number): number {
  if (id < 0 || id > LARGEST_ID) throw new TarError(`invalid tar header: owner ${id} out of range`);
  return id;
}

function attributesOf(records: Map<string, string>): ReadonlyMap<string, string> {
  const attributes = new Map<string, string>();
  for (const [key, value] of records) {
    if (key.startsWith(XATTR_PREFIX)) attributes.set(key.slice(XATTR_PREFIX.length), value);
  }
  return attributes;
}

/** A byte string for people. */
export function readable(name: string): string {
  return JSON.stringify(Buffer.from(name, "latin1").toString("utf8"));
}
