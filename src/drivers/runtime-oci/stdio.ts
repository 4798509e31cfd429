/**
 * Clients on a container's stdio. Output comes from the log file where one is kept: a reader that is slow costs
 * nothing but its own time. Where none is kept it comes from the monitor's socket, and a reader that does not read
 * holds the container back, as Docker's do. Stdin goes through the socket, one connection for all clients: the
 * monitor closes stdin when a connection goes away.
 */

import { fstatSync, openSync } from "node:fs";
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

/** A process's standard streams, for any number of clients at a time. */
export class TaskStdio {
  readonly #options: StdioOptions;
  readonly #queues = new Set<ChunkQueue>();
  readonly #readers = new Set<{ readonly position: number }>();
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
    const fd = openIfThere(logPath);
    // All was written, read and thrown away.
    if (fd === undefined) return nothing();
    // Opened here, not at the first read: the position is that of the call.
    const reader = { position: fstatSync(fd).size };
    this.#readers.add(reader);
    const forget = (): void => void this.#readers.delete(reader);
    signal.addEventListener("abort", forget, { once: true });
    const pieces = followFile(logPath, { fd, from: reader.position, until: ended, signal });
    return toChunks(counted(pieces, reader, forget));
  }

  /** Byte of the log up to which the slowest client has read; undefined without one. */
  get readTo(): number | undefined {
    return this.#readers.size === 0
      ? undefined
      : Math.min(...[...this.#readers].map(({ position }) => position));
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

async function* nothing(): AsyncGenerator<never, void, void> {}

async function* counted(
  pieces: AsyncGenerator<Uint8Array>,
  reader: { position: number },
  atEnd: () => void,
): AsyncGenerator<Uint8Array, void, void> {
  try {
    for await (const piece of pieces) {
      yield piece;
      // The client has it: what comes before may go.
      reader.position += piece.length;
    }
  } finally {
    atEnd();
  }
}

function openIfThere(path: string): number | undefined {
  try {
    return openSync(path, "r");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
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
