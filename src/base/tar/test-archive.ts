/** Archives for tests, block by block: hostile ones are what no archiver would write. */
import { BLOCK } from "./header.ts";

export interface TestEntry {
  readonly name: string;
  /** The type flag; a regular file by default. */
  readonly type?: string;
  readonly linkName?: string;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly mtime?: number;
  readonly content?: string | Uint8Array;
  /** What the header says, if it is to lie. */
  readonly size?: number;
  readonly device?: readonly [major: number, minor: number];
  /** Records of a pax header in front of the entry. */
  readonly pax?: Readonly<Record<string, string>>;
}

/** With the two blocks of zeros at the end. */
export function testArchive(entries: readonly TestEntry[]): Buffer {
  return Buffer.concat([...entries.flatMap(blocksOf), Buffer.alloc(2 * BLOCK)]);
}

function blocksOf(entry: TestEntry): Buffer[] {
  const blocks: Buffer[] = [];
  if (entry.pax) blocks.push(...blocksOf({ name: "pax", type: "x", content: paxRecords(entry.pax) }));
  const content = Buffer.from(entry.content ?? "");
  blocks.push(
    header(entry, content.byteLength),
    content,
    Buffer.alloc((BLOCK - (content.byteLength % BLOCK)) % BLOCK),
  );
  return blocks;
}

function paxRecords(records: Readonly<Record<string, string>>): string {
  return Object.entries(records)
    .map(([key, value]) => {
      const rest = ` ${key}=${value}\n`;
      let length = Buffer.byteLength(rest) + 1;
      while (`${length}`.length + Buffer.byteLength(rest) !== length) length++;
      return `${length}${rest}`;
    })
    .join("");
}

function header(entry: TestEntry, contentSize: number): Buffer {
  const block = Buffer.alloc(BLOCK);
  const octal = (value: number, offset: number, length: number) => {
    const digits = value.toString(8);
    if (digits.length < length) block.write(digits.padStart(length - 1, "0"), offset, "latin1");
    else {
      block.writeBigUInt64BE(BigInt(value), offset + length - 8);
      block[offset] = 0x80;
    }
  };
  block.write(entry.name, 0, 100, "utf8");
  octal(entry.mode ?? (entry.type === "5" ? 0o755 : 0o644), 100, 8);
  octal(entry.uid ?? 0, 108, 8);
  octal(entry.gid ?? 0, 116, 8);
  octal(entry.size ?? contentSize, 124, 12);
  octal(entry.mtime ?? 1_700_000_000, 136, 12);
  block.write(entry.type ?? "0", 156, "latin1");
  block.write(entry.linkName ?? "", 157, 100, "utf8");
  block.write("ustar\x0000", 257, "latin1");
  if (entry.device) {
    octal(entry.device[0], 329, 8);
    octal(entry.device[1], 337, 8);
  }
  block.fill(32, 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}
