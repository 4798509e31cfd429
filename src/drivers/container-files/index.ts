/** Driver of the container files port: each task is a helper process, which is killed when nobody wants its answer any more. */
import { closeSync, openSync } from "node:fs";
import { selfCommand } from "../../base/self.ts";
import { Semaphore } from "../../base/semaphore.ts";
import type { TreeFailure, TreeRequest, TreeStatAnswer } from "../../base/tree-files.ts";
import type {
  ContainerFiles,
  FilesArchive,
  FilesView,
  PathStat,
  WriteFilesOptions,
} from "../../core/container-files.ts";
import { InvalidParameterError, NoSpaceError, NotFoundError, SystemError } from "../../core/errors.ts";
import { O } from "../../linux/foreign-root.ts";
import { isAlive } from "../../linux/processes.ts";
import { decompressing } from "./decompressing.ts";

/** So many helpers at a time: each reader may be as slow as it likes, so there are more than cores. */
const HELPERS = 32;

/** Clients send small pieces: so many bytes are handed on together. */
const FLUSH_SIZE = 1 << 20;

type Helper = Bun.Subprocess<"pipe" | "ignore" | number, "pipe", "pipe">;

export class HelperContainerFiles implements ContainerFiles {
  readonly #turns = new Semaphore(HELPERS);

  async stat(view: FilesView, path: string, signal: AbortSignal): Promise<PathStat> {
    await using archive = await this.#open(view, { kind: "stat", path }, signal);
    if (!archive.stat) throw new SystemError("the files helper gave no answer", { subject: path });
    return archive.stat;
  }

  async read(view: FilesView, path: string, signal: AbortSignal): Promise<FilesArchive> {
    return await this.#open(view, { kind: "read", path }, signal);
  }

  async readAll(view: FilesView, signal: AbortSignal): Promise<FilesArchive> {
    return await this.#open(view, { kind: "read-all" }, signal);
  }

  async write(
    view: FilesView,
    path: string,
    content: AsyncIterable<Uint8Array>,
    { signal, ...options }: WriteFilesOptions & { readonly signal: AbortSignal },
  ): Promise<void> {
    using _turn = await this.#turns.acquire(signal);
    const archive = await decompressing(content, signal);
    const helper = startHelper(view, { kind: "write", path, options }, { signal, input: "pipe" });
    const problem = problemOf(helper, path);
    try {
      await feed(helper, archive);
    } catch (error) {
      helper.kill("SIGKILL");
      await problem;
      throw error;
    }
    const failure = await problem;
    signal.throwIfAborted();
    if (failure) throw failure;
  }

  /** Resolves once the first answer is there: the helper found what was asked for, or not. */
  async #open(view: FilesView, task: TreeRequest["task"], signal: AbortSignal): Promise<FilesArchive> {
    await using undo = new AsyncDisposableStack();
    undo.use(await this.#turns.acquire(signal));
    const helper = startHelper(view, task, { signal, input: "ignore" });
    undo.defer(async () => {
      helper.kill("SIGKILL");
      await helper.exited;
    });
    const path = "path" in task ? task.path : "/";
    const problem = problemOf(helper, path);
    const output = helper.stdout[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
    // Its pipe stays open as long as somebody might read on.
    undo.defer(async () => void (await output.return?.()));
    const first = task.kind === "read-all" ? undefined : await readLine(output);
    if (task.kind !== "read-all" && first === undefined) {
      signal.throwIfAborted();
      throw (await problem) ?? new SystemError("the files helper gave no answer", { subject: path });
    }
    const owned = undo.move();
    return {
      stat: first && (JSON.parse(first.line) as TreeStatAnswer).stat,
      content: contentOf(output, first?.rest, problem, signal),
      [Symbol.asyncDispose]: () => owned.disposeAsync(),
    };
  }
}

function startHelper(
  view: FilesView,
  task: TreeRequest["task"],
  { signal, input }: { signal: AbortSignal; input: "pipe" | "ignore" },
): Helper {
  signal.throwIfAborted();
  const stopped = view.kind === "stopped" ? { rootfs: view.rootfs, mounts: view.mounts } : undefined;
  const request: TreeRequest = { parent: process.pid, stopped, task };
  const root = view.kind === "running" ? openRunningRoot(view) : undefined;
  try {
    return Bun.spawn(selfCommand("internal", "container-files", JSON.stringify(request)), {
      stdio: [input, "pipe", "pipe", ...(root === undefined ? [] : [root])],
      cwd: "/",
      signal,
      killSignal: "SIGKILL",
    }) as Helper;
  } finally {
    if (root !== undefined) closeSync(root);
  }
}

/** @throws NotFoundError if that very process has ended */
function openRunningRoot(process: { readonly pid: number; readonly startTime: number }): number {
  const gone = (cause?: unknown) => new NotFoundError("the container has just stopped", { cause });
  let root: number;
  try {
    root = openSync(`/proc/${process.pid}/root`, O.PATH | O.DIRECTORY | O.CLOEXEC);
  } catch (error) {
    throw gone(error);
  }
  // Another process may have got its number: looked at after the root was opened, it was this one's.
  if (isAlive(process)) return root;
  closeSync(root);
  throw gone();
}

/** What went wrong, once it has ended; undefined if nothing did. */
async function problemOf(helper: Helper, path: string): Promise<Error | undefined> {
  const [text, code] = await Promise.all([new Response(helper.stderr).text(), helper.exited]);
  if (code === 0) return undefined;
  const last = text.trim().split("\n").at(-1) ?? "";
  let failure: TreeFailure;
  try {
    failure = JSON.parse(last) as TreeFailure;
  } catch {
    return new SystemError(`the files helper ended without an answer: ${last}`, { subject: path });
  }
  const { reason, message } = failure;
  if (reason === "not-found") return new NotFoundError(message, { subject: path });
  if (reason === "not-a-directory") {
    return new InvalidParameterError(`lstat ${path}: not a directory`, { subject: path });
  }
  if (reason === "invalid") return new InvalidParameterError(message, { subject: path });
  if (reason === "no-space")
    return new NoSpaceError(`no space left on device: ${message}`, { subject: path });
  return new SystemError(message, { subject: path });
}

async function feed(helper: Helper, content: AsyncIterable<Uint8Array>): Promise<void> {
  const sink = helper.stdin as Bun.FileSink;
  try {
    let pending = 0;
    for await (const bytes of content) {
      // A helper that has ended says why itself.
      if (helper.exitCode !== null) break;
      sink.write(bytes);
      pending += bytes.byteLength;
      if (pending < FLUSH_SIZE) continue;
      await sink.flush();
      pending = 0;
    }
  } catch (error) {
    if (!isBrokenPipe(error)) throw error;
  }
  try {
    await sink.end();
  } catch (error) {
    if (!isBrokenPipe(error)) throw error;
  }
}

function isBrokenPipe(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "EPIPE";
}

async function readLine(
  output: AsyncIterator<Uint8Array>,
): Promise<{ line: string; rest: Uint8Array } | undefined> {
  const pieces: Uint8Array[] = [];
  for (;;) {
    const { value, done } = await output.next();
    if (done) return undefined;
    const end = value.indexOf(10);
    pieces.push(end < 0 ? value : value.subarray(0, end));
    if (end >= 0) return { line: Buffer.concat(pieces).toString(), rest: value.subarray(end + 1) };
  }
}

async function* contentOf(
  output: AsyncIterator<Uint8Array>,
  rest: Uint8Array | undefined,
  problem: Promise<Error | undefined>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  if (rest && rest.byteLength > 0) yield rest;
  for (;;) {
    const { value, done } = await output.next();
    if (done) break;
    yield value;
  }
  signal.throwIfAborted();
  const failure = await problem;
  if (failure) throw failure;
}
