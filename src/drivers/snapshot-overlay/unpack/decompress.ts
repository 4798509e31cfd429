/** `gantry internal decompress gzip|zstd`: stdin to stdout, for hosts without igzip or zstd. */
import { pipeline } from "node:stream/promises";
import { createGunzip, createZstdDecompress } from "node:zlib";

export async function main([format = ""]: readonly string[]): Promise<void> {
  const decompressor = format === "zstd" ? createZstdDecompress() : createGunzip();
  try {
    await pipeline(process.stdin, decompressor, process.stdout);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}
