/** A sink that sends each record as a message of its own, again and again until the server takes it. */
import { setTimeout as sleep } from "node:timers/promises";
import { log } from "../../../base/log.ts";
import type { LogRecord } from "../../../core/log-records.ts";
import type { LogSink } from "../../../core/logs.ts";
import type { Transport } from "./transport.ts";

const FIRST_PAUSE = 100;
const LONGEST_PAUSE = 5_000;

export class Sender implements LogSink {
  readonly #transport: Transport;
  readonly #encode: (record: LogRecord) => readonly Uint8Array[];
  readonly #what: string;
  readonly #closed = new AbortController();
  /** Nothing of it can be taken back. */
  readonly mark = 0;

  /** @param encode a record as the messages that it takes */
  constructor(what: string, transport: Transport, encode: (record: LogRecord) => readonly Uint8Array[]) {
    this.#what = what;
    this.#transport = transport;
    this.#encode = encode;
  }

  async write(records: readonly LogRecord[]): Promise<void> {
    for (const record of records) {
      for (const message of this.#encode(record)) await this.#deliver(message);
    }
  }

  async #deliver(message: Uint8Array): Promise<void> {
    for (let pause = FIRST_PAUSE; !this.#closed.signal.aborted; pause = Math.min(pause * 2, LONGEST_PAUSE)) {
      try {
        await this.#transport.send(message);
        return;
      } catch (error) {
        if (pause === FIRST_PAUSE)
          log("warn", "a log server does not answer: trying again", { to: this.#what, error });
        await sleep(pause, undefined, { signal: this.#closed.signal, ref: false }).catch(() => {});
      }
    }
  }

  async close(): Promise<void> {
    this.#closed.abort();
    this.#transport.close();
  }
}

/** The line without its newline. */
export function textOf({ bytes }: LogRecord): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
  return text.endsWith("\n") ? text.slice(0, -1) : text;
}
