/**
 * `gantry internal compress gzip|zstd`: stdin to stdout; at the end a line of JSON on stderr with digest and size of what
 * was written. The same input gives the same output on every host: no program of the host takes part.
 *
 * gzip is written as one member for each MiB, which every reader of gzip takes (RFC 1952, section 2.2), because
 * libdeflate works on whole buffers; at its fastest level it is smaller and faster than zlib at any.
 */
import { FileMaker, readBlocking } from "../../../linux/files.ts";

const BLOCK_SIZE = 1 << 20;
const ZSTD_LEVEL = 3;

export async function main([format = ""]: readonly string[]): Promise<void> {
  try {
    const result = compress(format === "zstd" ? compressZstd : compressGzip);
    process.stderr.write(`${JSON.stringify(result)}\n`);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}

function compressGzip(block: Uint8Array<ArrayBuffer>): Uint8Array {
  return Bun.gzipSync(block, { level: 1, library: "libdeflate" });
}

function compressZstd(block: Uint8Array<ArrayBuffer>): Uint8Array {
  return Bun.zstdCompressSync(block, { level: ZSTD_LEVEL });
}

function compress(pack: (block: Uint8Array<ArrayBuffer>) => Uint8Array): { digest: string; size: number } {
  const files = new FileMaker();
  const hash = new Bun.CryptoHasher("sha256");
  const block = new Uint8Array(BLOCK_SIZE);
  let size = 0;
  for (;;) {
    const filled = fill(block);
    const packed = pack(block.subarray(0, filled));
    // An empty archive is still one member.
    if (filled > 0 || size === 0) {
      hash.update(packed);
      files.write(1, packed);
      size += packed.byteLength;
    }
    if (filled < BLOCK_SIZE) return { digest: `sha256:${hash.digest("hex")}`, size };
  }
}

function fill(block: Uint8Array): number {
  let filled = 0;
  while (filled < block.byteLength) {
    const count = readBlocking(0, block.subarray(filled));
    if (count === 0) break;
    filled += count;
  }
  return filled;
}
