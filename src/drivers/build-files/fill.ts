/**
 * `gantry internal fill-tree`: fills one directory from an archive or from what a client sends, in a process of its own that
 * makes the directory its root first. Everything is synchronous and blocks: nothing else happens in here.
 */
import { closeSync, openSync, readSync, writeSync } from "node:fs";
import { PatternError } from "../../base/patterns.ts";
import { TarError, TarReader } from "../../base/tar/index.ts";
import { enterRoot, FileMaker, openPipe, readBlocking } from "../../linux/files.ts";
import { endWithParent } from "../../linux/processes.ts";
import { decompressCommand } from "./archives.ts";
import { extractArchive } from "./extract.ts";
import { type ContentIndex, openNewIndex, readIndex, writeIndex } from "./index-file.ts";
import {
  type Compression,
  type FillAnswer,
  type FillRequest,
  FRAME,
  FRAME_HEADER,
  type WireEntry,
} from "./protocol.ts";
import { TreeReceiver } from "./receive.ts";
import { MisfitError, MissingError } from "./roots.ts";

const INPUT = 0;
const PIPE_CAPACITY = 1 << 20;
/** gzip cannot do better than 1032:1; what expands more is a bomb. */
const LARGEST_RATIO = 1100;
const RATIO_FREE = 64 << 20;
const LARGEST_FRAME = 64 << 20;

/** @param args the request as JSON */
export async function main([argument = ""]: readonly string[]): Promise<void> {
  try {
    const request = JSON.parse(argument) as FillRequest;
    endWithParent(request.parent);
    const filled = request.task.kind === "unpack" ? await unpack(request, request.task) : receive(request);
    answer({ kind: "filled", ...filled });
  } catch (error) {
    answer(failureOf(error));
    process.exitCode = 1;
  }
}

async function unpack(
  { root, index: indexFile }: FillRequest,
  { compression, owner }: Extract<FillRequest["task"], { kind: "unpack" }>,
): Promise<{ entries: number; size: number }> {
  const stream = openDecompressed(compression);
  const files = new FileMaker();
  const index: ContentIndex | undefined = indexFile === undefined ? undefined : new Map();
  const output = indexFile === undefined ? undefined : openNewIndex(indexFile);
  enterRoot(root);
  let total = 0;
  const archive = new TarReader((buffer) => {
    const count = readBlocking(stream.descriptor, buffer);
    total += count;
    if (compression !== "none" && total > RATIO_FREE && total > stream.consumed() * LARGEST_RATIO) {
      throw new TarError(`the archive expands to more than ${LARGEST_RATIO} times its size`);
    }
    return count;
  });
  let extracted: { entries: number; size: number };
  try {
    extracted = extractArchive(archive, files, { owner, index });
    // Whoever writes the archive must not be left with a broken pipe for the padding behind its end.
    const rest = Buffer.alloc(64 << 10);
    while (readBlocking(stream.descriptor, rest) > 0);
  } catch (error) {
    closeSync(stream.descriptor);
    const problem = await stream.problem();
    if (error instanceof TarError && problem) throw new TarError(`${error.message} (${problem})`);
    throw error;
  }
  const problem = await stream.problem();
  if (problem) throw new TarError(problem);
  if (index && output !== undefined) writeIndex(output, index);
  return extracted;
}

function receive({ root, index: indexFile }: FillRequest): { entries: number; size: number } {
  const known = indexFile === undefined ? new Map() : readIndex(indexFile);
  const output = indexFile === undefined ? undefined : openNewIndex(indexFile);
  const files = new FileMaker();
  enterRoot(root);
  const receiver = new TreeReceiver(files, known);
  for (let frame = readFrame(); frame.type !== FRAME.finish; frame = readFrame()) {
    const { type, body } = frame;
    if (type === FRAME.entries) {
      const entries = JSON.parse(body.toString("utf8")) as WireEntry[];
      answer({ kind: "wanted", indexes: receiver.offer(entries) });
    } else if (type === FRAME.data) receiver.write(body.readUInt32LE(0), body.subarray(4));
    else if (type === FRAME.end) receiver.end(body.readUInt32LE(0));
    else throw new MisfitError(`unknown frame ${type}`);
  }
  const filled = receiver.finish();
  if (output !== undefined) writeIndex(output, receiver.index);
  return filled;
}

function readFrame(): { type: number; body: Buffer } {
  const header = readExactly(FRAME_HEADER);
  const length = header.readUInt32LE(1);
  if (length > LARGEST_FRAME) throw new MisfitError("a frame is too large");
  return { type: header.readUInt8(0), body: readExactly(length) };
}

function readExactly(length: number): Buffer {
  const buffer = Buffer.allocUnsafe(length);
  for (let at = 0; at < length; ) {
    const count = readBlocking(INPUT, buffer.subarray(at));
    if (count === 0) throw new MisfitError("the transfer ended before it was finished");
    at += count;
  }
  return buffer;
}

interface DecompressedStream {
  readonly descriptor: number;
  /** Bytes that were read of the compressed archive, about. */
  consumed(): number;
  problem(): Promise<string | undefined>;
}

function openDecompressed(compression: Compression): DecompressedStream {
  if (compression === "none") {
    return { descriptor: INPUT, consumed: () => Number.POSITIVE_INFINITY, problem: async () => undefined };
  }
  const command = decompressCommand(compression);
  const { readEnd, writeEnd } = openPipe(PIPE_CAPACITY);
  const child = Bun.spawn(command, { stdin: INPUT, stdout: writeEnd, stderr: "pipe" });
  closeSync(writeEnd);
  const counters = openSync(`/proc/${child.pid}/io`, "r");
  return {
    descriptor: readEnd,
    consumed: () => {
      const buffer = Buffer.alloc(512);
      const length = readSync(counters, buffer, 0, buffer.length, 0);
      return Number(
        /^rchar: (\d+)/.exec(buffer.toString("latin1", 0, length))?.[1] ?? Number.POSITIVE_INFINITY,
      );
    },
    problem: async () => {
      const text = await child.stderr.text();
      if ((await child.exited) === 0 || child.signalCode === "SIGPIPE") return undefined;
      return `${compression}: ${text.trim().split("\n").at(-1) || "invalid compressed data"}`;
    },
  };
}

export function failureOf(error: unknown): Extract<FillAnswer, { kind: "failed" }> {
  const message = error instanceof Error ? error.message : String(error);
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOSPC" || code === "EDQUOT") return { kind: "failed", reason: "no-space", message };
  if (error instanceof MissingError) return { kind: "failed", reason: "not-found", message };
  const theirs = error instanceof TarError || error instanceof MisfitError || error instanceof PatternError;
  const codes = ["ENAMETOOLONG", "ENOTDIR", "ELOOP", "ENOENT", "EISDIR", "EEXIST", "EINVAL", "ENOTEMPTY"];
  const invalid = theirs || (typeof code === "string" && codes.includes(code));
  return { kind: "failed", reason: invalid ? "invalid" : "system", message };
}

function answer(line: FillAnswer): void {
  const bytes = Buffer.from(`${JSON.stringify(line)}\n`);
  for (let at = 0; at < bytes.length; ) at += writeSync(1, bytes, at);
}
