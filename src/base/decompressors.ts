/** Which program undoes a compression, by the first bytes: media types and file names are often wrong. */
import { selfCommand } from "./self.ts";

/** So many bytes tell. */
export const MAGIC_LENGTH = 6;

export type Compression = "gzip" | "zstd" | "xz" | "bzip2";

/** Undefined for what is not compressed, as far as that can be told. */
export function compressionOf(start: Uint8Array): Compression | undefined {
  const magic = Buffer.from(
    start.buffer,
    start.byteOffset,
    Math.min(start.byteLength, MAGIC_LENGTH),
  ).toString("hex");
  if (magic.startsWith("1f8b")) return "gzip";
  // A skippable frame may come first.
  if (magic.startsWith("28b52ffd") || /^5.2a4d18/.test(magic)) return "zstd";
  if (magic === "fd377a585a00") return "xz";
  if (/^425a68(?:3[1-9])/.test(magic)) return "bzip2";
  return undefined;
}

/**
 * The command that decompresses stdin to stdout: the host's program, which is several times faster, or this one again
 * where the run time can do it.
 * @throws Error naming the program that is missing
 */
export function decompressCommand(compression: Compression): string[] {
  switch (compression) {
    case "gzip":
      return hostCommand("igzip", "-dc") ?? selfCommand("internal", "decompress", "gzip");
    case "zstd":
      return hostCommand("zstd", "-dcq", "--single-thread") ?? selfCommand("internal", "decompress", "zstd");
    default: {
      const command = hostCommand(compression, "-dcq");
      if (!command)
        throw new Error(`cannot read ${compression}: the program ${compression} is not installed`);
      return command;
    }
  }
}

function hostCommand(name: string, ...args: string[]): string[] | undefined {
  const path = Bun.which(name);
  return path ? [path, ...args] : undefined;
}
