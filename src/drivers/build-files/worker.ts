/**
 * `gantry internal build-files`: a long-lived helper that works on file trees, one request after another, so that many
 * small operations share one process. It ends with the daemon.
 */
import { writeSync } from "node:fs";
import { FileMaker, readBlocking } from "../../linux/files.ts";
import { endWithParent } from "../../linux/processes.ts";
import { applyActions } from "./actions.ts";
import { digestContent } from "./digest.ts";
import { failureOf } from "./fill.ts";
import type { WorkAnswer, WorkRequest } from "./protocol.ts";

/** @param args the daemon's process id */
export async function main([parent = ""]: readonly string[]): Promise<void> {
  endWithParent(Number(parent));
  const files = new FileMaker();
  for (let line = readLine(); line !== undefined; line = readLine()) {
    const request = JSON.parse(line) as WorkRequest;
    answer(await work(request, files).catch((error) => ({ id: request.id, ...failureOf(error) })));
  }
}

const chunk = Buffer.alloc(1 << 16);
let read = Buffer.alloc(0);

/** Blocks until the daemon has sent one; undefined when it sends no more. */
function readLine(): string | undefined {
  for (;;) {
    const end = read.indexOf(10);
    if (end >= 0) {
      const line = read.toString("utf8", 0, end);
      read = read.subarray(end + 1);
      return line;
    }
    const count = readBlocking(0, chunk);
    if (count === 0) return undefined;
    read = Buffer.concat([read, chunk.subarray(0, count)]);
  }
}

async function work(request: WorkRequest, files: FileMaker): Promise<WorkAnswer> {
  const { id } = request;
  if (request.kind === "digest")
    return { id, kind: "done", digest: digestContent(request.root, request.selectors) };
  await applyActions(request.root, request.actions, files);
  return { id, kind: "done" };
}

function answer(line: WorkAnswer): void {
  const bytes = Buffer.from(`${JSON.stringify(line)}\n`);
  for (let at = 0; at < bytes.length; ) at += writeSync(1, bytes, at);
}
