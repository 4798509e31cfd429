/**
 * One 512-byte header of a tar archive: V7, ustar, GNU; and the records of a pax extended header. Pure.
 *
 * Names are *byte strings*: one character for each byte (latin1), because file names are bytes and need not be UTF-8.
 * `Buffer.from(name, "latin1")` gives them back unchanged.
 * @see POSIX pax "ustar Interchange Format"; Go archive/tar, whose limits and leniencies these are
 */

export const BLOCK = 512;

/** The archive is malformed or holds what cannot be represented. */
export class TarError extends Error {
  override readonly name = "TarError";
}

export interface RawHeader {
  readonly name: string;
  /** The type flag, one character. */
  readonly type: string;
  readonly linkName: string;
  /** Permission bits, 07777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes of content that follow; 0 for types that have none. */
  readonly size: number;
  /** Seconds since the epoch. */
  readonly mtime: number;
  readonly deviceMajor: number;
  readonly deviceMinor: number;
}

/** Undefined for a block of zeros: the end of the archive. @throws TarError */
export function parseHeader(block: Buffer): RawHeader | undefined {
  if (!checksumMatches(block)) {
    if (block.every((byte) => byte === 0)) return undefined;
    throw new TarError("invalid tar header");
  }
  const magic = block.toString("latin1", 257, 263);
  const prefix = magic === "ustar\0" ? text(block, 345, 155) : "";
  const shortName = text(block, 0, 100);
  const name = prefix === "" ? shortName : `${prefix}/${shortName}`;
  const flag = block.toString("latin1", 156, 157);
  const type = flag === "\0" ? "0" : flag;
  const hasDevice = type === "3" || type === "4";
  return {
    name,
    type,
    linkName: text(block, 157, 100),
    mode: number(block, 100, 8) & 0o7777,
    uid: number(block, 108, 8),
    gid: number(block, 116, 8),
    size: /[1-6]/.test(type) ? 0 : size(number(block, 124, 12)),
    mtime: number(block, 136, 12),
    deviceMajor: hasDevice ? number(block, 329, 8) : 0,
    deviceMinor: hasDevice ? number(block, 337, 8) : 0,
  };
}

/** The sum of all bytes, with the checksum's own as spaces. Some old writers summed signed bytes. */
function checksumMatches(block: Buffer): boolean {
  let unsigned = 0;
  let signed = 0;
  for (let index = 0; index < BLOCK; index++) {
    const byte = index >= 148 && index < 156 ? 32 : (block[index] ?? 0);
    unsigned += byte;
    signed += byte < 128 ? byte : byte - 256;
  }
  const stated = Number.parseInt(text(block, 148, 8).trim() || "0", 8);
  return unsigned > 256 && (stated === unsigned || stated === signed);
}

function text(block: Buffer, offset: number, length: number): string {
  const end = block.indexOf(0, offset);
  return block.toString("latin1", offset, end < 0 || end > offset + length ? offset + length : end);
}

/** Octal digits, or base 256 when the first bit is set. */
function number(block: Buffer, offset: number, length: number): number {
  const first = block[offset] ?? 0;
  if (first & 0x80) return base256(block, offset, length);
  const digits = text(block, offset, length).trim();
  if (digits === "") return 0;
  if (!/^[0-7]+$/.test(digits)) throw new TarError("invalid tar header: not a number");
  return Number.parseInt(digits, 8);
}

/** The first byte has the mark in its highest bit and the sign in the next. */
function base256(block: Buffer, offset: number, length: number): number {
  let value = BigInt.asIntN(7, BigInt(block[offset] ?? 0));
  for (let index = 1; index < length; index++) value = (value << 8n) | BigInt(block[offset + index] ?? 0);
  if (value > BigInt(Number.MAX_SAFE_INTEGER) || value < BigInt(Number.MIN_SAFE_INTEGER)) {
    throw new TarError("invalid tar header: number out of range");
  }
  return Number(value);
}

function size(value: number): number {
  if (value < 0) throw new TarError("invalid tar header: negative size");
  return value;
}

/** `<length> <key>=<value>\n`, repeated; keys and values are byte strings. @throws TarError */
export function parsePaxRecords(bytes: Buffer): Map<string, string> {
  const records = new Map<string, string>();
  const pieces: { key: string; value: string }[] = [];
  for (let offset = 0; offset < bytes.length; ) {
    const space = bytes.indexOf(32, offset);
    const digits = space < 0 ? "" : bytes.toString("latin1", offset, space);
    const end = /^[1-9]\d{0,9}$/.test(digits) ? offset + Number(digits) : 0;
    const equals = bytes.indexOf(61, space + 1);
    if (end <= space || end > bytes.length || bytes[end - 1] !== 10 || equals < 0 || equals >= end) {
      throw new TarError("invalid pax header");
    }
    const key = bytes.toString("latin1", space + 1, equals);
    const value = bytes.toString("latin1", equals + 1, end - 1);
    // Values of extended attributes are bytes, zeros included; names are not.
    if (key.includes("\0") || (value.includes("\0") && !key.startsWith("SCHILY.xattr."))) {
      throw new TarError("invalid pax header: NUL in a record");
    }
    // A sparse file in its first form says its pieces by repeating these two.
    if (key === "GNU.sparse.offset" || key === "GNU.sparse.numbytes") pieces.push({ key, value });
    else records.set(key, value);
    offset = end;
  }
  if (pieces.length > 0) records.set("GNU.sparse.map", joinPieces(pieces));
  return records;
}

/** What the second form says in one record. @throws TarError */
function joinPieces(pieces: readonly { readonly key: string; readonly value: string }[]): string {
  const alternate = pieces.every(
    ({ key }, index) => key === (index % 2 === 0 ? "GNU.sparse.offset" : "GNU.sparse.numbytes"),
  );
  if (!alternate || pieces.some(({ value }) => value.includes(",")))
    throw new TarError("invalid sparse file");
  return pieces.map(({ value }) => value).join(",");
}
