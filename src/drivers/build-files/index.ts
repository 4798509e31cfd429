/**
 * Driver of the build files port: helper processes do the work. Small operations share workers that stay for a while;
 * what fills a tree has a process of its own, which makes that tree its root.
 *
 * Beside a tree lies `<tree>.index`, digests of contents. A worker that is killed with its caller leaves a tree in any state.
 */
import { createReadStream, renameSync } from "node:fs";
import { availableParallelism } from "node:os";
import { selfCommand } from "../../base/self.ts";
import type { BuildFiles, FilledTree, TreeEntry, TreeTransfer } from "../../core/build-files.ts";
import { InvalidParameterError, NoSpaceError, NotFoundError, SystemError } from "../../core/errors.ts";
import { WrongKindError, withRoot } from "../../linux/foreign-root.ts";
import { indexPath } from "./index-file.ts";
import {
  compressionOf,
  type FailureReason,
  type FillAnswer,
  type FillRequest,
  FRAME,
  FRAME_HEADER,
  type WireEntry,
} from "./protocol.ts";
import { WorkerPool } from "./worker-pool.ts";

export class HelperBuildFiles implements BuildFiles, Disposable {
  readonly #workers = new WorkerPool(Math.max(2, availableParallelism()));

  async apply({ root, actions, signal }: Parameters<BuildFiles["apply"]>[0]): Promise<void> {
    const answer = await this.#workers.ask({ kind: "apply", root, actions }, signal);
    if (answer.kind === "failed") throw toError(answer);
  }

  async digest({ root, selectors, signal }: Parameters<BuildFiles["digest"]>[0]): Promise<string> {
    const answer = await this.#workers.ask({ kind: "digest", root, selectors }, signal);
    if (answer.kind === "failed") throw toError(answer);
    return answer.digest ?? "";
  }

  async unpack({
    root,
    archive,
    keepOwners,
    signal,
  }: Parameters<BuildFiles["unpack"]>[0]): Promise<FilledTree> {
    const chunks = archive[Symbol.asyncIterator]();
    const start = await peek(chunks);
    const owner = keepOwners ? "keep" : { uid: 0, gid: 0 };
    const task = { kind: "unpack", compression: compressionOf(start), owner, merge: false } as const;
    await using filler = new Filler({ root, index: indexPath(root), parent: process.pid, task }, signal);
    await filler.send(start);
    for (let next = await chunks.next(); !next.done; next = await chunks.next())
      await filler.send(next.value);
    return await filler.finish();
  }

  async receive({ root, signal }: Parameters<BuildFiles["receive"]>[0]): Promise<TreeTransfer> {
    const filler = new Filler(
      { root, index: indexPath(root), parent: process.pid, task: { kind: "receive" } },
      signal,
    );
    return {
      offer: async (entries) => {
        await filler.send(frame(FRAME.entries, Buffer.from(JSON.stringify(entries.map(toWire)))));
        const answer = await filler.next();
        if (answer?.kind === "wanted") return answer.indexes;
        throw new SystemError("the file helper gave no answer");
      },
      write: async (index, bytes, end) => {
        if (bytes.length > 0) await filler.send(frame(FRAME.data, numbered(index, bytes)));
        if (end) await filler.send(frame(FRAME.end, numbered(index)));
      },
      finish: async () => {
        await filler.send(frame(FRAME.finish, Buffer.alloc(0)));
        return await filler.finish();
      },
      [Symbol.asyncDispose]: () => filler[Symbol.asyncDispose](),
    };
  }

  async *archive({ root, signal }: Parameters<BuildFiles["archive"]>[0]): AsyncGenerator<Uint8Array> {
    // The root is ours, and `.` is no name of anybody's: nothing of the tree is taken for an option.
    const command = ["tar", "--create", "--numeric-owner", "--sort=name", "--format=posix", "--xattrs"];
    const child = Bun.spawn([...command, "--file=-", `--directory=${root}`, "."], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      signal,
      killSignal: "SIGKILL",
    });
    const problems = child.stderr.text();
    for await (const bytes of child.stdout) yield bytes;
    const code = await child.exited;
    signal.throwIfAborted();
    if (code !== 0) throw new SystemError(`archiving a result failed: ${(await problems).trim()}`);
  }

  async *read({ root, path }: Parameters<BuildFiles["read"]>[0]): AsyncGenerator<Uint8Array> {
    const descriptor = openRegular(root, path);
    yield* createReadStream("", { fd: descriptor, highWaterMark: 1 << 18 });
  }

  [Symbol.dispose](): void {
    this.#workers[Symbol.dispose]();
  }
}

/** @throws NotFoundError, InvalidParameterError */
function openRegular(root: string, path: string): number {
  try {
    const found = withRoot(root, (base) => base.findRegularFile(path));
    if (found === undefined) throw new NotFoundError(`${JSON.stringify(path)}: not found`, { subject: path });
    return found;
  } catch (error) {
    if (!(error instanceof WrongKindError)) throw error;
    throw new InvalidParameterError(error.message, { cause: error });
  }
}

/** At least six bytes, if there are so many. */
async function peek(chunks: AsyncIterator<Uint8Array>): Promise<Uint8Array> {
  let start: Uint8Array = new Uint8Array(0);
  while (start.length < 6) {
    const next = await chunks.next();
    if (next.done) break;
    start = start.length === 0 ? next.value : Buffer.concat([start, next.value]);
  }
  return start;
}

function toWire(entry: TreeEntry): WireEntry {
  return { ...entry, mtime: String(entry.mtime) };
}

function numbered(index: number, bytes: Uint8Array = new Uint8Array(0)): Buffer {
  const body = Buffer.allocUnsafe(4 + bytes.length);
  body.writeUInt32LE(index, 0);
  body.set(bytes, 4);
  return body;
}

function frame(type: number, body: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(FRAME_HEADER + body.length);
  bytes.writeUInt8(type, 0);
  bytes.writeUInt32LE(body.length, 1);
  bytes.set(body, FRAME_HEADER);
  return bytes;
}

/** One `internal fill-tree`. Disposing kills it, unless it has finished. */
class Filler implements AsyncDisposable {
  readonly #request: FillRequest;
  readonly #signal: AbortSignal;
  readonly #child: Bun.Subprocess<"pipe", "pipe", "pipe">;
  readonly #answers: AsyncGenerator<FillAnswer>;
  readonly #problems: Promise<string>;

  constructor(request: FillRequest, signal: AbortSignal) {
    signal.throwIfAborted();
    this.#request = request;
    this.#signal = signal;
    this.#child = Bun.spawn(selfCommand("internal", "fill-tree", JSON.stringify(request)), {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "pipe",
      signal,
      killSignal: "SIGKILL",
    });
    this.#answers = linesOf<FillAnswer>(this.#child.stdout);
    this.#problems = this.#child.stderr.text();
  }

  /** Resolves when there is room for more. @throws what the helper failed with */
  async send(bytes: Uint8Array): Promise<void> {
    try {
      this.#child.stdin.write(bytes);
      await this.#child.stdin.flush();
    } catch (error) {
      this.#signal.throwIfAborted();
      // It has ended early, and says why.
      for (let answer = await this.next(); answer; answer = await this.next());
      throw error;
    }
  }

  /** @throws what the helper failed with; the signal's reason */
  async next(): Promise<FillAnswer | undefined> {
    const { value } = await this.#answers.next();
    this.#signal.throwIfAborted();
    if (value?.kind === "failed") throw toError(value);
    if (value) return value;
    throw new SystemError(`the file helper ended without an answer: ${(await this.#problems).trim()}`);
  }

  async finish(): Promise<FilledTree> {
    await this.#child.stdin.end();
    const answer = await this.next();
    await this.#child.exited;
    if (answer?.kind !== "filled")
      throw new SystemError("the file helper gave an answer to another question");
    if (this.#request.index !== undefined) renameSync(`${this.#request.index}.new`, this.#request.index);
    return { entries: answer.entries, size: answer.size };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill("SIGKILL");
    await this.#child.exited;
  }
}

async function* linesOf<T>(stream: ReadableStream<Uint8Array>): AsyncGenerator<T> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const bytes of stream) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) yield JSON.parse(line) as T;
  }
}

function toError({ reason, message }: { reason: FailureReason; message: string }): Error {
  if (reason === "not-found") return new NotFoundError(message);
  if (reason === "invalid") return new InvalidParameterError(message);
  if (reason === "no-space") return new NoSpaceError(`no space left on device: ${message}`);
  return new SystemError(message);
}
