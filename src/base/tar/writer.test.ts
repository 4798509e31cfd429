import { describe, expect, test } from "bun:test";
import { type TarHeader, TarReader, TarWriter } from "./index.ts";

function archiveOf(entries: readonly (TarHeader & { content?: Uint8Array })[]): Buffer {
  const pieces: Buffer[] = [];
  const writer = new TarWriter((bytes) => void pieces.push(Buffer.from(bytes)));
  for (const { content, ...header } of entries) {
    writer.entry({ ...header, ...(content ? { size: content.byteLength } : {}) });
    if (content) writer.content(content);
  }
  writer.finish();
  return Buffer.concat(pieces);
}

function readerOf(archive: Buffer): TarReader {
  let offset = 0;
  return new TarReader((into) => {
    const count = Math.min(into.byteLength, archive.byteLength - offset);
    into.set(archive.subarray(offset, offset + count));
    offset += count;
    return count;
  });
}

const file = (rest: Partial<TarHeader> & { name: string; content?: Uint8Array }) =>
  ({ type: "file", mode: 0o644, ...rest }) as const;

describe("what is written is what the reader reads", () => {
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, index) => index)).toString("latin1");
  const cases: [string, TarHeader & { content?: Uint8Array }][] = [
    ["an empty file", file({ name: "empty" })],
    ["a file of one block", file({ name: "block", content: Buffer.alloc(512, "x") })],
    ["a file larger than the buffer", file({ name: "large", content: Buffer.alloc((3 << 20) + 7, "y") })],
    ["owner and set-user-id", file({ name: "su", mode: 0o4755, uid: 1000, gid: 100 })],
    ["an owner beyond octal", file({ name: "far", uid: 0xfffffffe, gid: 3_000_000 })],
    ["a time with a fraction", file({ name: "t", mtime: 1_700_000_000_123_456_789n })],
    ["a time before 1970", file({ name: "old", mtime: -1_500_000_000n })],
    ["a name of 100 bytes", file({ name: "a".repeat(100) })],
    ["a name for the prefix", file({ name: `${"a".repeat(90)}/${"b".repeat(90)}` })],
    ["a name too long for the prefix", file({ name: `${"a".repeat(120)}/${"b".repeat(120)}` })],
    ["a name of 4000 bytes", file({ name: `${"deep/".repeat(799)}file` })],
    ["a name that is UTF-8", file({ name: Buffer.from("größe").toString("latin1") })],
    ["a name that is not UTF-8", file({ name: "\xff\xfe" })],
    ["a symbolic link", { name: "l", type: "symbolic-link", mode: 0o777, linkName: "../target" }],
    ["a link to a long name", { name: "l", type: "symbolic-link", mode: 0o777, linkName: "x".repeat(300) }],
    ["a hard link", { name: "h", type: "hard-link", mode: 0o644, linkName: "deep/file" }],
    ["a device", { name: "d", type: "block-device", mode: 0o600, deviceMajor: 259, deviceMinor: 1_048_575 }],
    ["a fifo", { name: "f", type: "fifo", mode: 0o600 }],
    [
      "attributes with every byte",
      file({
        name: "x",
        extendedAttributes: new Map([
          ["security.capability", bytes],
          ["user.a", ""],
        ]),
      }),
    ],
  ];
  test.each(cases)("%s", (_, { content, ...header }) => {
    const reader = readerOf(archiveOf([{ ...header, ...(content ? { content } : {}) }]));
    const entry = reader.next();
    expect(entry).toMatchObject({
      ...header,
      size: content?.byteLength ?? 0,
      uid: header.uid ?? 0,
      mtime: header.mtime ?? 0n,
    });
    const read: Uint8Array[] = [];
    for (let piece = reader.content(); piece; piece = reader.content()) read.push(Uint8Array.from(piece));
    expect(Buffer.concat(read).equals(content ?? Buffer.alloc(0))).toBe(true);
    expect(reader.next()).toBeUndefined();
  });
});

test("a directory gets its slash, once", () => {
  const reader = readerOf(
    archiveOf([
      { name: "a", type: "directory", mode: 0o755 },
      { name: "b/", type: "directory", mode: 0o755 },
    ]),
  );
  expect([reader.next()?.name, reader.next()?.name]).toEqual(["a/", "b/"]);
});

test("GNU tar lists and verifies it", async () => {
  const archive = archiveOf([
    { name: "dir", type: "directory", mode: 0o1777, uid: 5 },
    file({ name: `dir/${"n".repeat(200)}`, content: Buffer.from("hello") }),
    { name: "dir/dev", type: "character-device", mode: 0o620, deviceMajor: 5, deviceMinor: 1 },
  ]);
  const child = Bun.spawn(["tar", "--numeric-owner", "-tvf", "-"], {
    stdin: archive,
    stdout: "pipe",
    stderr: "pipe",
  });
  const text = await child.stdout.text();
  expect([await child.exited, await child.stderr.text()]).toEqual([0, ""]);
  expect(text).toContain("drwxrwxrwt 5/0");
  expect(text).toContain("n".repeat(200));
  expect(text).toMatch(/crw--w---- 0\/0\s+5,1/);
});

test("the same entries are the same bytes", () => {
  const entries = [
    file({
      name: "a",
      mtime: 5n,
      extendedAttributes: new Map([
        ["user.b", "1"],
        ["user.a", "2"],
      ]),
    }),
  ];
  const other = [
    file({
      name: "a",
      mtime: 5n,
      extendedAttributes: new Map([
        ["user.a", "2"],
        ["user.b", "1"],
      ]),
    }),
  ];
  expect(archiveOf(entries).equals(archiveOf(other))).toBe(true);
});

test("content that is not what the header says is a programming error", () => {
  const writer = new TarWriter(() => {});
  writer.entry(file({ name: "a", size: 2 }));
  expect(() => writer.content(Buffer.from("abc"))).toThrow("more content");
  expect(() => writer.finish()).toThrow("less content");
});
