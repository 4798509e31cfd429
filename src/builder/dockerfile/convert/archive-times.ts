/** The newest time of a file within an archive that is in memory. */
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { TarReader } from "../../../base/tar/index.ts";

/** What an archive may grow to: it is only looked through for times. */
const LARGEST = 512 << 20;
const NANOSECONDS = 1_000_000_000n;

/** In seconds since 1970; undefined if it is no archive, or one of a kind that is not read here (bzip2, xz). */
export function newestInArchive(bytes: Uint8Array): number | undefined {
  try {
    return newestIn(decompressed(bytes));
  } catch {
    return undefined; // Not an archive: it has no time of its own, as BuildKit holds too.
  }
}

function decompressed(bytes: Uint8Array): Uint8Array {
  const options = { maxOutputLength: LARGEST };
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) return gunzipSync(bytes, options);
  if (bytes[0] === 0x28 && bytes[1] === 0xb5) return zstdDecompressSync(bytes, options);
  return bytes;
}

function newestIn(archive: Uint8Array): number | undefined {
  let at = 0;
  const reader = new TarReader((into) => {
    const part = archive.subarray(at, at + into.length);
    into.set(part);
    at += part.length;
    return part.length;
  });
  let newest: bigint | undefined;
  for (let entry = reader.next(); entry; entry = reader.next()) {
    if (entry.type === "file" && (newest === undefined || entry.mtime > newest)) newest = entry.mtime;
  }
  return newest === undefined ? undefined : Number(newest / NANOSECONDS);
}
