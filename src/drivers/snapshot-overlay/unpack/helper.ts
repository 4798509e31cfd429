/**
 * `gantry internal unpack-layer`: one layer, in a process of its own, so that layers use all cores and the daemon
 * stays responsive. A decompressor is started on the blob first; then this process makes the layer's directory its
 * root and reads from the decompressor's pipe: hash, tar, files. The two run on different cores.
 *
 * Everything is synchronous and blocks: nothing else happens in here.
 */
import { closeSync, openSync, readSync, writeSync } from "node:fs";
import { compressionOf, decompressCommand, MAGIC_LENGTH } from "../../../base/decompressors.ts";
import { TarError, TarReader } from "../../../base/tar/index.ts";
import { enterRoot, FileMaker, openPipe, readBlocking } from "../../../linux/files.ts";
import { checkFreeSpace } from "../../../linux/free-space.ts";
import { endWithParent } from "../../../linux/processes.ts";
import { extractLayer } from "./extract.ts";
import type { HelperAnswer, HelperRequest } from "./protocol.ts";

const PIPE_CAPACITY = 1 << 20;
const PROGRESS_STEP = 4 << 20;
/** gzip cannot do better than 1032:1; what expands more is a bomb. A small archive of zeros may. */
const LARGEST_RATIO = 1100;
const RATIO_FREE = 64 << 20;
/** No image has a larger layer; without it only the disk would bound one. */
const LARGEST_LAYER = 2 ** 40;

/** @param args the request as JSON */
export async function main([request = ""]: readonly string[]): Promise<void> {
  try {
    answer({ kind: "done", ...(await unpack(JSON.parse(request) as HelperRequest)) });
  } catch (error) {
    answer(failureOf(error));
    process.exitCode = 1;
  }
}

async function unpack({
  blob,
  diffId,
  into,
  parent,
}: HelperRequest): Promise<{ size: number; entries: number }> {
  endWithParent(parent);
  const source = openSync(blob, "r");
  // Of the shared file description: it moves as the decompressor reads.
  const position = openSync(`/proc/self/fdinfo/${source}`, "r");
  const { size: blobSize } = await Bun.file(blob).stat();
  const stream = openDecompressed(source);
  // Bun's own files are loaded by now; from here on no path means the host's.
  const files = new FileMaker();
  enterRoot(into);

  const hash = new Bun.CryptoHasher("sha256");
  let total = 0;
  let reported = 0;
  const archive = new TarReader((buffer) => {
    const count = readBlocking(stream.descriptor, buffer);
    hash.update(count === buffer.byteLength ? buffer : buffer.subarray(0, count));
    total += count;
    if (total > RATIO_FREE && total > blobSize * LARGEST_RATIO) {
      throw new TarError(`the layer expands to more than ${LARGEST_RATIO} times its size`);
    }
    if (total > LARGEST_LAYER) throw new TarError(`the layer expands to more than ${LARGEST_LAYER} bytes`);
    if (total - reported >= PROGRESS_STEP) {
      reported = total;
      // The layer's directory is the root by now.
      checkFreeSpace("/");
      answer({ kind: "progress", current: positionOf(position) });
    }
    return count;
  });
  let extracted: { size: number; entries: number };
  try {
    extracted = extractLayer(archive, files);
  } catch (error) {
    // An archive that ends early or turns into noise is the decompressor's to explain.
    closeSync(stream.descriptor);
    const problem = await stream.problem();
    if (error instanceof TarError && problem) throw new TarError(`${error.message} (${problem})`);
    throw error;
  }
  const problem = await stream.problem();
  if (problem) throw new TarError(problem);
  const actual = `sha256:${hash.digest("hex")}`;
  if (diffId !== undefined && actual !== diffId) {
    throw new TarError(`layer from archive has diff id ${actual}, the image's configuration says ${diffId}`);
  }
  return extracted;
}

interface DecompressedStream {
  readonly descriptor: number;
  /** Waits for the decompressor's end; undefined if all went well. */
  problem(): Promise<string | undefined>;
}

function openDecompressed(source: number): DecompressedStream {
  const command = decompressorFor(source);
  if (!command) return { descriptor: source, problem: async () => undefined };
  const { readEnd, writeEnd } = openPipe(PIPE_CAPACITY);
  const child = Bun.spawn(command, { stdin: source, stdout: writeEnd, stderr: "pipe" });
  closeSync(writeEnd);
  return {
    descriptor: readEnd,
    problem: async () => {
      const text = await child.stderr.text();
      // Broken pipe: this side stopped reading, for a reason of its own.
      if ((await child.exited) === 0 || child.signalCode === "SIGPIPE") return undefined;
      return `${command[0]?.split("/").at(-1)}: ${text.trim().split("\n").at(-1) || "invalid compressed data"}`;
    },
  };
}

function decompressorFor(source: number): string[] | undefined {
  const magic = Buffer.alloc(MAGIC_LENGTH);
  const count = readSync(source, magic, 0, MAGIC_LENGTH, 0);
  const compression = compressionOf(magic.subarray(0, count));
  if (!compression) return undefined;
  try {
    return decompressCommand(compression);
  } catch (error) {
    throw new TarError(error instanceof Error ? error.message : String(error));
  }
}

function positionOf(fdinfo: number): number {
  const buffer = Buffer.alloc(256);
  const count = readSync(fdinfo, buffer, 0, buffer.length, 0);
  return Number(/^pos:\s+(\d+)/.exec(buffer.toString("latin1", 0, count))?.[1] ?? 0);
}

function failureOf(error: unknown): HelperAnswer {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof TarError) return { kind: "failed", reason: "invalid", message };
  const code = error instanceof Error && "code" in error ? String(error.code) : undefined;
  if (code === "ENOSPC" || code === "EDQUOT") return { kind: "failed", reason: "no-space", message };
  // A name in the archive that the file system cannot have, or a path through what is no directory.
  const archive = ["ENAMETOOLONG", "ENOTDIR", "ELOOP", "ENOENT", "EISDIR", "EEXIST", "EINVAL", "EFBIG"];
  return { kind: "failed", reason: code && archive.includes(code) ? "invalid" : "system", message };
}

function answer(line: HelperAnswer): void {
  writeSync(1, `${JSON.stringify(line)}\n`);
}
