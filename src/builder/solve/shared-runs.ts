/**
 * Work that several builds want at the same time: done once, told to all of them, and given up when nobody wants it any
 * more. Who comes late is told the rest.
 */
import type { Output } from "./output.ts";
import type { VertexReport } from "./progress-log.ts";

interface Waiting {
  readonly signal: AbortSignal;
  readonly report: VertexReport;
}

interface Shared {
  readonly waiting: Set<Waiting>;
  readonly controller: AbortController;
  readonly result: Promise<readonly Output[]>;
}

export class SharedRuns {
  readonly #running = new Map<string, Shared>();

  /** @throws the signal's reason when this caller gives up; what the work throws */
  async run(
    key: string,
    waiting: Waiting,
    work: (signal: AbortSignal, report: VertexReport) => Promise<readonly Output[]>,
  ): Promise<readonly Output[]> {
    waiting.signal.throwIfAborted();
    const shared = this.#running.get(key) ?? this.#start(key, work);
    shared.waiting.add(waiting);
    const { promise: givenUp, reject } = Promise.withResolvers<never>();
    const onAbort = (): void => {
      shared.waiting.delete(waiting);
      if (shared.waiting.size === 0) {
        if (this.#running.get(key) === shared) this.#running.delete(key);
        shared.controller.abort(waiting.signal.reason);
        // What it leaves is cleaned up before the build is over.
        shared.result.then(() => reject(waiting.signal.reason), reject);
      } else reject(waiting.signal.reason);
    };
    waiting.signal.addEventListener("abort", onAbort, { once: true });
    try {
      return await Promise.race([shared.result, givenUp]);
    } finally {
      waiting.signal.removeEventListener("abort", onAbort);
      shared.waiting.delete(waiting);
    }
  }

  #start(
    key: string,
    work: (signal: AbortSignal, report: VertexReport) => Promise<readonly Output[]>,
  ): Shared {
    const waiting = new Set<Waiting>();
    const controller = new AbortController();
    const report: VertexReport = {
      log: (stream, bytes) => {
        for (const one of waiting) one.report.log(stream, bytes);
      },
      status: (id, status) => {
        for (const one of waiting) one.report.status(id, status);
      },
    };
    const result = work(controller.signal, report).finally(() => {
      if (this.#running.get(key) === shared) this.#running.delete(key);
    });
    // Everybody may have left.
    result.catch(() => {});
    const shared: Shared = { waiting, controller, result };
    this.#running.set(key, shared);
    return shared;
  }
}
