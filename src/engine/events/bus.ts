/**
 * The event bus: publishes to subscribers and keeps the last events for those who ask for the past.
 * What it keeps is in memory, as Docker's: after a restart of the daemon the past is empty.
 *
 * A subscriber that does not read is cut off once `QUEUE_LIMIT` events wait for it: memory is bounded, and
 * a client that sees its stream end knows that it missed something, while skipped events would be silent.
 */
import { type EngineEvent, type EventSink, REPLAYED_EVENTS } from "../../core/events.ts";
import { type Filters, matchesEvent } from "./filter.ts";

const QUEUE_LIMIT = 1024;

export interface EventQuery {
  /** Nanoseconds since the epoch. Absent: no past events, unless `until` is given. */
  readonly since?: bigint;
  /** Ends the stream at that time; in the past: only what was kept. */
  readonly until?: bigint;
  readonly filters?: Filters;
  readonly signal: AbortSignal;
}

/** The engine's events, in order, with the last 256 for who asks for the past. */
export class EventBus implements EventSink {
  /** Oldest first. */
  readonly #past: EngineEvent[] = [];
  readonly #subscribers = new Set<Subscriber>();
  #lastTime = 0n;

  publish({ type, action, actor }: Pick<EngineEvent, "type" | "action" | "actor">): void {
    const event: EngineEvent = { type, action, actor, scope: "local", timeNano: this.#nextTime() };
    this.#past.push(event);
    if (this.#past.length > REPLAYED_EVENTS) this.#past.shift();
    for (const subscriber of this.#subscribers) subscriber.offer(event);
  }

  /** For `/info`: `NEventsListener`. */
  get subscribers(): number {
    return this.#subscribers.size;
  }

  /**
   * Past events in order, then those to come, without a gap between. Subscribed when called, not when first read.
   * Ends at `until`, when the signal aborts, or when the reader fell too far behind.
   */
  subscribe({ since, until, filters = new Map(), signal }: EventQuery): AsyncIterable<EngineEvent> {
    const wanted = (event: EngineEvent) => matchesEvent(event, filters);
    const wantsPast = since !== undefined || until !== undefined;
    const past = wantsPast
      ? this.#past.filter(
          (event) =>
            event.timeNano >= (since ?? 0n) &&
            (until === undefined || event.timeNano <= until) &&
            wanted(event),
        )
      : [];
    const subscriber = new Subscriber(past, wanted);
    if (until !== undefined && until <= now()) {
      subscriber.finish();
      return subscriber.events(() => {});
    }

    this.#subscribers.add(subscriber);
    const stop = () => {
      this.#subscribers.delete(subscriber);
      subscriber.finish();
    };
    const cancelTimer = until === undefined ? () => {} : finishAt(until, stop);
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
    return subscriber.events(() => {
      cancelTimer();
      signal.removeEventListener("abort", stop);
      stop();
    });
  }

  /** The clock may stand still or be set back; the order of events must not. */
  #nextTime(): bigint {
    const time = now();
    this.#lastTime = time > this.#lastTime ? time : this.#lastTime + 1n;
    return this.#lastTime;
  }
}

/** One reader's queue. */
class Subscriber {
  readonly #queue: EngineEvent[];
  readonly #wanted: (event: EngineEvent) => boolean;
  #finished = false;
  #wake: () => void = () => {};

  constructor(past: EngineEvent[], wanted: (event: EngineEvent) => boolean) {
    this.#queue = past;
    this.#wanted = wanted;
  }

  offer(event: EngineEvent): void {
    if (this.#finished || !this.#wanted(event)) return;
    if (this.#queue.length >= QUEUE_LIMIT) {
      this.finish();
      return;
    }
    this.#queue.push(event);
    this.#wake();
  }

  /** No more will come; what is queued is still read. */
  finish(): void {
    this.#finished = true;
    this.#wake();
  }

  async *events(release: () => void): AsyncGenerator<EngineEvent> {
    try {
      for (;;) {
        for (let event = this.#queue.shift(); event; event = this.#queue.shift()) yield event;
        if (this.#finished) return;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    } finally {
      release();
    }
  }
}

/** Timers take at most 2³¹−1 ms, so a far deadline is waited for in steps. */
function finishAt(deadline: bigint, finish: () => void): () => void {
  let timer: ReturnType<typeof setTimeout>;
  const arm = () => {
    const left = Number((deadline - now()) / 1_000_000n) + 1;
    timer = left <= 1 ? setTimeout(finish, 0) : setTimeout(arm, Math.min(left, 2 ** 31 - 1));
  };
  arm();
  return () => clearTimeout(timer);
}

function now(): bigint {
  // performance.now() has more digits than Date.now(), and its origin is in ms since the epoch; but it does not
  // follow a clock that is set, so it only supplies what is below the millisecond.
  const micros = BigInt(Math.floor((performance.now() % 1) * 1e6));
  return BigInt(Date.now()) * 1_000_000n + micros;
}
