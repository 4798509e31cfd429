/**
 * `gantry internal diff-layer`: walks the top of an overlay in a process of its own. Compression runs in one more
 * process, on another core. Everything here is synchronous and blocks: nothing else happens in here.
 */
import { closeSync, openSync, writeSync } from "node:fs";
import { selfCommand } from "../../../base/self.ts";
import { TarWriter } from "../../../base/tar/index.ts";
import type { Digest } from "../../../core/ids.ts";
import type { LayerCompression, SnapshotChange } from "../../../core/snapshots.ts";
import { FileMaker, openPipe } from "../../../linux/files.ts";
import { endWithParent } from "../../../linux/processes.ts";
import { archiveDifferences } from "./archive.ts";
import type { DiffAnswer, DiffRequest } from "./protocol.ts";
import { walkDifferences } from "./walk.ts";

const PIPE_CAPACITY = 1 << 20;
const CHANGES_A_LINE = 256;

/** @param args the request as JSON */
export async function main([argument = ""]: readonly string[]): Promise<void> {
  try {
    const request = JSON.parse(argument) as DiffRequest;
    endWithParent(request.parent);
    if (request.task.kind === "list") list(request);
    else answer(await archive(request, request.task.output));
  } catch (error) {
    answer(failureOf(error));
    process.exitCode = 1;
  }
}

function list({ upper, lower }: DiffRequest): void {
  let changes: SnapshotChange[] = [];
  const flush = () => {
    if (changes.length > 0) answer({ kind: "changes", changes });
    changes = [];
  };
  for (const { kind, path } of walkDifferences(upper, lower)) {
    // The root itself is never told.
    if (path !== "") changes.push({ kind, path: `/${Buffer.from(path, "latin1").toString("utf8")}` });
    if (changes.length >= CHANGES_A_LINE) flush();
  }
  flush();
  answer({ kind: "listed" });
}

async function archive(
  { upper, lower }: DiffRequest,
  output: { file: string; compression: LayerCompression } | undefined,
): Promise<DiffAnswer> {
  const sink = output && openSink(output);
  const hash = new Bun.CryptoHasher("sha256");
  const writer = new TarWriter((bytes) => {
    hash.update(bytes);
    sink?.write(bytes);
  });
  const archived = archiveDifferences(walkDifferences(upper, lower), writer);
  const diffId = `sha256:${hash.digest("hex")}` as Digest;
  const blob = await sink?.finish(diffId);
  return { kind: "archived", diffId, ...archived, ...(blob ? { blob } : {}) };
}

interface Sink {
  write(bytes: Uint8Array): void;
  /** What was written. @throws if the compressor failed */
  finish(diffId: Digest): Promise<{ digest: Digest; size: number }>;
}

function openSink({ file, compression }: { file: string; compression: LayerCompression }): Sink {
  const files = new FileMaker();
  const target = openSync(file, "w", 0o600);
  if (compression === "none") {
    let size = 0;
    return {
      write: (bytes) => {
        files.write(target, bytes);
        size += bytes.byteLength;
      },
      finish: async (diffId) => {
        closeSync(target);
        return { digest: diffId, size };
      },
    };
  }
  const { readEnd, writeEnd } = openPipe(PIPE_CAPACITY);
  const child = Bun.spawn(selfCommand("internal", "compress", compression), {
    stdio: [readEnd, target, "pipe"],
  });
  closeSync(readEnd);
  closeSync(target);
  return {
    write: (bytes) => files.write(writeEnd, bytes),
    finish: async () => {
      closeSync(writeEnd);
      const last = (await child.stderr.text()).trim().split("\n").at(-1) ?? "";
      if ((await child.exited) !== 0) throw new Error(`compressing the layer: ${last}`);
      return JSON.parse(last) as { digest: Digest; size: number };
    },
  };
}

function failureOf(error: unknown): DiffAnswer {
  const message = error instanceof Error ? error.message : String(error);
  return { kind: "failed", reason: /ENOSPC|EDQUOT/.test(message) ? "no-space" : "system", message };
}

function answer(line: DiffAnswer): void {
  const bytes = Buffer.from(`${JSON.stringify(line)}\n`);
  for (let written = 0; written < bytes.byteLength; ) written += writeSync(1, bytes, written);
}
