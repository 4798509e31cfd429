/**
 * One sampler for all who watch: each container is looked at once a second, however many clients ask. It runs only
 * while somebody does.
 */
import type { HostUsage, TaskUsage } from "../../../core/usage.ts";
import type { Needs } from "../deps.ts";

type SamplerDeps = Needs<"running" | "runtime">;

/** Milliseconds. */
const INTERVAL = 1000;

export interface Sample {
  /** Nanoseconds since the epoch. */
  readonly at: bigint;
  readonly usage: TaskUsage;
  readonly host: HostUsage;
}

type Listener = (sample: Sample | undefined) => void;

export class StatsSampler {
  readonly #deps: SamplerDeps;
  readonly #listeners = new Map<string, Set<Listener>>();
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(deps: SamplerDeps) {
    this.#deps = deps;
  }

  /** Now; undefined if it does not run. */
  sample(id: string, host: HostUsage = this.#deps.runtime.hostUsage()): Sample | undefined {
    const running = this.#deps.running.get(id);
    if (!running?.task.alive) return undefined;
    const usage = running.task.usage();
    // The wall clock as clients reckon with it; two samples never have the same time.
    return { at: BigInt(Date.now()) * 1_000_000n, usage, host };
  }

  /** Each second a sample, or undefined while it does not run; ends when the signal aborts. */
  async *watch(id: string, signal: AbortSignal): AsyncGenerator<Sample | undefined, void, void> {
    let latest: { sample: Sample | undefined } | undefined;
    let wake = (): void => {};
    const listener: Listener = (sample) => {
      // A client that does not read gets the newest when it does.
      latest = { sample };
      wake();
    };
    const onAbort = (): void => wake();
    signal.addEventListener("abort", onAbort, { once: true });
    this.#add(id, listener);
    try {
      while (!signal.aborted) {
        const next = latest;
        latest = undefined;
        if (next) {
          yield next.sample;
          continue;
        }
        const { promise, resolve } = Promise.withResolvers<void>();
        wake = resolve;
        await promise;
      }
    } finally {
      signal.removeEventListener("abort", onAbort);
      this.#remove(id, listener);
    }
  }

  #add(id: string, listener: Listener): void {
    const listeners = this.#listeners.get(id) ?? new Set();
    this.#listeners.set(id, listeners.add(listener));
    this.#timer ??= setInterval(() => this.#tick(), INTERVAL);
  }

  #remove(id: string, listener: Listener): void {
    const listeners = this.#listeners.get(id);
    listeners?.delete(listener);
    if (listeners?.size === 0) this.#listeners.delete(id);
    if (this.#listeners.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #tick(): void {
    const host = this.#deps.runtime.hostUsage();
    for (const [id, listeners] of this.#listeners) {
      const sample = this.sample(id, host);
      for (const listener of listeners) listener(sample);
    }
  }
}
