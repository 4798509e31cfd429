/** Workers that stay as long as there is work, and a while longer. One request at a time each; idle ones end by themselves. */
import { selfCommand } from "../../base/self.ts";
import { Semaphore } from "../../base/semaphore.ts";
import { SystemError } from "../../core/errors.ts";
import type { WorkAnswer, WorkRequest } from "./protocol.ts";

/** Milliseconds. */
const IDLE = 3_000;

type Question = WorkRequest extends infer Request
  ? Request extends WorkRequest
    ? Omit<Request, "id">
    : never
  : never;

interface Worker {
  readonly child: Bun.Subprocess<"pipe", "pipe", "inherit">;
  readonly answers: AsyncGenerator<WorkAnswer>;
  timer: ReturnType<typeof setTimeout> | undefined;
}

export class WorkerPool implements Disposable {
  readonly #turns: Semaphore;
  readonly #idle: Worker[] = [];
  #count = 0;

  constructor(most: number) {
    this.#turns = new Semaphore(most);
  }

  /** @throws SystemError if the worker died; the signal's reason: then the worker is killed */
  async ask(question: Question, signal: AbortSignal): Promise<WorkAnswer> {
    using _turn = await this.#turns.acquire(signal);
    const worker = this.#idle.pop() ?? start();
    clearTimeout(worker.timer);
    const onAbort = (): void => worker.child.kill("SIGKILL");
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      signal.throwIfAborted();
      worker.child.stdin.write(`${JSON.stringify({ id: this.#count++, ...question })}\n`);
      await worker.child.stdin.flush();
      const { value, done } = await worker.answers.next();
      signal.throwIfAborted();
      if (done || !value) throw new SystemError("the file worker ended in the middle of its work");
      this.#keep(worker);
      return value;
    } catch (error) {
      worker.child.kill("SIGKILL");
      throw error;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  #keep(worker: Worker): void {
    worker.timer = setTimeout(() => {
      const at = this.#idle.indexOf(worker);
      if (at >= 0) this.#idle.splice(at, 1);
      void worker.child.stdin.end();
    }, IDLE);
    worker.timer.unref();
    this.#idle.push(worker);
  }

  [Symbol.dispose](): void {
    for (const { child, timer } of this.#idle.splice(0)) {
      clearTimeout(timer);
      child.kill("SIGKILL");
    }
  }
}

function start(): Worker {
  const child = Bun.spawn(selfCommand("internal", "build-files", String(process.pid)), {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "inherit",
  });
  return { child, answers: answersOf(child.stdout), timer: undefined };
}

async function* answersOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<WorkAnswer> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const bytes of stream) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) yield JSON.parse(line) as WorkAnswer;
  }
}
