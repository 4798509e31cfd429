/** What an active snapshot changed, from the helper process that walks it. */
import { selfCommand } from "../../../base/self.ts";
import { Semaphore } from "../../../base/semaphore.ts";
import { NoSpaceError, SystemError } from "../../../core/errors.ts";
import type { Digest } from "../../../core/ids.ts";
import type { LayerCompression, SnapshotChange } from "../../../core/snapshots.ts";
import type { DiffAnswer, DiffRequest } from "./protocol.ts";

/** So many trees are walked at a time. */
const WALKS = 4;
const turns = new Semaphore(WALKS);

export interface OverlayTop {
  readonly upper: string;
  /** Highest first. */
  readonly lower: readonly string[];
}

export interface ArchivedDiff {
  readonly diffId: Digest;
  readonly size: number;
  readonly entries: number;
  readonly blob?: { readonly digest: Digest; readonly size: number };
}

/** @throws SystemError; the signal's reason */
export async function listChanges(top: OverlayTop, signal: AbortSignal): Promise<SnapshotChange[]> {
  const changes: SnapshotChange[] = [];
  await runHelper(top, { kind: "list" }, signal, (answer) => {
    if (answer.kind === "changes") changes.push(...answer.changes);
  });
  return changes;
}

/** Hashes the layer's archive, and writes it to a file if there is an output. @throws NoSpaceError, SystemError; the signal's reason */
export async function archiveDiff(
  top: OverlayTop,
  options: {
    readonly output?: { readonly file: string; readonly compression: LayerCompression };
    readonly signal: AbortSignal;
  },
): Promise<ArchivedDiff> {
  const { output, signal } = options;
  const last = await runHelper(top, { kind: "archive", ...(output ? { output } : {}) }, signal, () => {});
  if (last?.kind !== "archived") throw new SystemError(`archiving ${top.upper}: the helper gave no result`);
  return last;
}

async function runHelper(
  { upper, lower }: OverlayTop,
  task: DiffRequest["task"],
  signal: AbortSignal,
  onAnswer: (answer: DiffAnswer) => void,
): Promise<DiffAnswer | undefined> {
  using _turn = await turns.acquire(signal);
  signal.throwIfAborted();
  const argument: DiffRequest = { upper, lower, parent: process.pid, task };
  const child = Bun.spawn(selfCommand("internal", "diff-layer", JSON.stringify(argument)), {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    signal,
    killSignal: "SIGKILL",
  });
  const problems = child.stderr.text();
  let last: DiffAnswer | undefined;
  let rest = "";
  const decoder = new TextDecoder();
  for await (const bytes of child.stdout) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      last = JSON.parse(line) as DiffAnswer;
      onAnswer(last);
    }
  }
  await child.exited;
  signal.throwIfAborted();
  if (last?.kind === "failed") {
    const message = `reading the changes of ${upper}: ${last.message}`;
    throw last.reason === "no-space"
      ? new NoSpaceError(`no space left on device: ${message}`)
      : new SystemError(message);
  }
  if (child.exitCode !== 0) {
    throw new SystemError(`the diff helper ended without an answer: ${(await problems).trim()}`);
  }
  return last;
}
