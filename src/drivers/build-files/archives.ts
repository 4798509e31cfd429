/** Archives that `ADD` unpacks: whether a file is one, and unpacking it by a process that enters the target first. */
import { readSync } from "node:fs";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { selfCommand } from "../../base/self.ts";
import { BLOCK, parseHeader } from "../../base/tar/header.ts";
import type { Ids } from "./metadata.ts";
import { type Compression, compressionOf, type FillRequest } from "./protocol.ts";
import { MisfitError } from "./roots.ts";

/** So much of a compressed file is looked at for its first header. */
const PEEK = 64 << 10;

/** Whether an open file begins with the header of a tar archive, compressed or not. */
export async function isArchive(file: number): Promise<boolean> {
  const start = Buffer.alloc(PEEK);
  const peeked = start.subarray(0, readSync(file, start, 0, PEEK, 0));
  const block = await firstBlock(peeked, compressionOf(peeked));
  if (block === undefined) return false;
  try {
    return parseHeader(block) !== undefined;
  } catch {
    return false; // the file is something else
  }
}

async function firstBlock(peeked: Buffer, compression: Compression): Promise<Buffer | undefined> {
  const bytes = compression === "none" ? peeked : await decompressedStart(peeked, compression);
  return bytes.length >= BLOCK ? bytes.subarray(0, BLOCK) : undefined;
}

async function decompressedStart(peeked: Buffer, compression: Exclude<Compression, "none">): Promise<Buffer> {
  if (compression === "bzip2" || compression === "xz") {
    const command = decompressCommand(compression);
    const child = Bun.spawn(command, { stdin: peeked, stdout: "pipe", stderr: "ignore" });
    return Buffer.from(await child.stdout.bytes());
  }
  const decompressor = compression === "gzip" ? createGunzip() : createZstdDecompress();
  const { promise, resolve } = Promise.withResolvers<Buffer>();
  const chunks: Buffer[] = [];
  const settle = (): void => resolve(Buffer.concat(chunks));
  // The end is missing: that is no error here.
  decompressor.on("error", settle).on("end", settle);
  decompressor.on("data", (chunk: Buffer) => {
    chunks.push(chunk);
    if (chunks.reduce((sum, { length }) => sum + length, 0) >= BLOCK) settle();
  });
  decompressor.end(peeked);
  const result = await promise;
  decompressor.destroy();
  return result;
}

/** From stdin to stdout. @throws MisfitError if the host lacks the program */
export function decompressCommand(compression: Exclude<Compression, "none">): string[] {
  switch (compression) {
    case "gzip": {
      const igzip = Bun.which("igzip");
      return igzip ? [igzip, "-dc"] : selfCommand("internal", "decompress", "gzip");
    }
    case "zstd": {
      const zstd = Bun.which("zstd");
      return zstd ? [zstd, "-dcq"] : selfCommand("internal", "decompress", "zstd");
    }
    default: {
      const program = Bun.which(compression);
      if (!program)
        throw new MisfitError(`${compression} is not installed on the host: the archive cannot be unpacked`);
      return [program, "-dc"];
    }
  }
}

/** @param target an open directory @param archive an open file @throws MisfitError with what the unpacker says */
export async function unpackInto(target: number, archive: number, owner: Ids | undefined): Promise<void> {
  const start = Buffer.alloc(6);
  readSync(archive, start, 0, start.length, 0);
  const request: FillRequest = {
    root: `/proc/${process.pid}/fd/${target}`,
    parent: process.pid,
    task: { kind: "unpack", compression: compressionOf(start), owner: owner ?? "keep", merge: true },
  };
  const child = Bun.spawn(selfCommand("internal", "fill-tree", JSON.stringify(request)), {
    stdin: archive,
    stdout: "pipe",
    stderr: "pipe",
  });
  const [text] = await Promise.all([child.stdout.text(), child.exited]);
  const last: unknown = JSON.parse(text.trim().split("\n").at(-1) || "{}");
  if (child.exitCode === 0) return;
  const message =
    typeof last === "object" && last !== null && "message" in last ? String(last.message) : text;
  throw new MisfitError(`unpacking the archive: ${message}`);
}
