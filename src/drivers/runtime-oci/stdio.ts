/**
 * Clients on a container's stdio. Output comes from the log file where one is kept: a reader that is slow costs
 * nothing but its own time. Where none is kept it comes from the monitor's socket, and a reader that does not read
 * holds the container back, as Docker's do. Stdin goes through the socket, one connection for all clients: the
 * monitor closes stdin when a connection goes away.
 */
import { hasCode } from "../../base/error-codes.ts";
import { followFile } from "../../base/file-follower.ts";
import { log } from "../../base/log.ts";
import { LogRecordParser } from "../../core/log-records.ts";
import type { StdioChunk, StdioConnection } from "../../core/runtime.ts";
import { AttachSocket } from "./attach-socket.ts";
import { ChunkQueue } from "./chunk-queue.ts";

export interface StdioOptions {
  /** Where the monitor works. */
  readonly directory: string;
  readonly logPath: string | undefined;
  /** Whether a client's end of input ends the process's: `StdinOnce`, and no terminal. */
  readonly closable: boolean;
  readonly stdin: boolean;
  readonly ended: Promise<unknown>;
}

export class TaskStdio {
  readonly #options: StdioOptions;
  readonly #queues = new Set<ChunkQueue>();
  #socket: Promise<AttachSocket | undefined> | undefined;

  constructor(options: StdioOptions) {
    this.#options = options;
  }

  async attach({ stdin = false }: { stdin?: boolean } = {}): Promise<StdioConnection> {
    const abort = new AbortController();
    const queue = this.#options.logPath === undefined ? await this.#live() : undefined;
    const output = queue ? this.#readAndForget(queue) : this.#logged(abort.signal);
    const owns = stdin && this.#options.closable;
    try {
      if (stdin && this.#options.stdin) await this.#connected();
    } catch (error) {
      abort.abort();
      throw error;
    }
    return {
      output,
      write: (bytes) => this.#write(bytes),
      endInput: () => this.#endInput(),
      [Symbol.dispose]: () => {
        abort.abort();
        queue?.cancel();
        if (queue) this.#queues.delete(queue);
        if (owns) this.#endInput();
      },
    };
  }

  #logged(signal: AbortSignal): AsyncGenerator<StdioChunk, void, void> {
    const { logPath = "", ended } = this.#options;
    // Opened here, not at the first read: the position is that of the call.
    return toChunks(followFile(logPath, { from: "end", until: ended, signal }));
  }

  async #live(): Promise<ChunkQueue> {
    const queue = new ChunkQueue(() => this.#balance());
    this.#queues.add(queue);
    try {
      if (!(await this.#connected())) queue.end();
      return queue;
    } catch (error) {
      this.#queues.delete(queue);
      throw error;
    }
  }

  async *#readAndForget(queue: ChunkQueue): AsyncGenerator<StdioChunk, void, void> {
    try {
      yield* queue.read();
    } finally {
      this.#queues.delete(queue);
      this.#balance();
    }
  }

  /** The slowest reader sets the pace. */
  #balance(): void {
    const held = [...this.#queues].some((queue) => queue.full);
    void this.#socket?.then(
      (socket) => socket?.hold(held),
      () => {},
    );
  }

  /** One connection for the task's life. Undefined when its monitor is gone. */
  #connected(): Promise<AttachSocket | undefined> {
    this.#socket ??= this.#connect().catch((error) => {
      // It may work for the next client.
      this.#socket = undefined;
      throw error;
    });
    return this.#socket;
  }

  async #connect(): Promise<AttachSocket | undefined> {
    try {
      const socket = await AttachSocket.connect(this.#options.directory, (chunk) => {
        for (const queue of this.#queues) queue.push(chunk);
      });
      void socket.closed.then(() => {
        for (const queue of this.#queues) queue.end();
      });
      return socket;
    } catch (error) {
      if (hasCode(error, "ECONNREFUSED", "ENOENT")) return undefined;
      throw error;
    }
  }

  async #write(bytes: Uint8Array): Promise<void> {
    if (!this.#options.stdin) return;
    const socket = await this.#connected();
    await socket?.write(bytes);
  }

  #endInput(): void {
    if (!this.#options.stdin || !this.#options.closable) return;
    void this.#connected().then(
      (socket) => socket?.endInput(),
      (error) => log("warn", "the end of input could not be passed on", { error }),
    );
  }
}

async function* toChunks(pieces: AsyncGenerator<Uint8Array>): AsyncGenerator<StdioChunk, void, void> {
  const parser = new LogRecordParser();
  for await (const piece of pieces) yield* coalesce(parser.push(piece));
}

/** Records of the same stream in a row as one chunk: a client gets few large frames rather than one for each line. */
function* coalesce(records: readonly StdioChunk[]): Generator<StdioChunk> {
  for (let at = 0; at < records.length; ) {
    const stream = records[at]?.stream ?? "stdout";
    const parts: Uint8Array[] = [];
    for (; records[at]?.stream === stream; at++) parts.push(records[at]?.bytes ?? new Uint8Array(0));
    yield { stream, bytes: parts.length === 1 && parts[0] ? parts[0] : Buffer.concat(parts) };
  }
}
