/** Docker's progress messages: what a pull tells its clients. @see moby `pkg/jsonmessage`, `pkg/streamformatter` */

export interface ProgressMessage {
  readonly status?: string;
  /** Text for people, in place of a status: what `load` and `build` tell. */
  readonly stream?: string;
  /** Facts for programs. */
  readonly aux?: object;
  /** The layer's short digest, or the tag. */
  readonly id?: string;
  readonly progressDetail?: { readonly current?: number; readonly total?: number };
  /** The bar, drawn for clients that do not draw their own. */
  readonly progress?: string;
}

/** A line that stays: `Pulling from library/busybox`. */
export function message(status: string, id?: string): ProgressMessage {
  return id === undefined ? { status } : { status, id };
}

/** The state of one layer, by its short id. */
export function layerMessage(status: string, id: string): ProgressMessage {
  return { status, progressDetail: {}, id };
}

/** The state of one layer with a bar. `current` and `total` are bytes. */
export function progressMessage(status: string, id: string, current: number, total: number): ProgressMessage {
  return { status, progressDetail: { current, total }, progress: bar(current, total), id };
}

const BAR_WIDTH = 50;

function bar(current: number, total: number): string {
  const filled = Math.min(BAR_WIDTH, Math.floor((current / Math.max(total, 1)) * BAR_WIDTH));
  const empty = " ".repeat(Math.max(0, BAR_WIDTH - filled - 1));
  const head = filled < BAR_WIDTH ? ">" : "";
  return `[${"=".repeat(filled)}${head}${empty}] ${humanSize(current).padStart(8)}/${humanSize(total)}`;
}

const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];

/** Decimal units with up to four digits, as go-units' HumanSize. */
function humanSize(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${Number(value.toPrecision(4))}${UNITS[unit]}`;
}

/**
 * Messages on their way to one client. Bounded however slow that is: of a layer's progress only the newest waits.
 * One writer, one reader.
 */
export class ProgressQueue implements AsyncIterable<ProgressMessage> {
  readonly #waiting: ProgressMessage[] = [];
  #ended = false;
  #error: unknown;
  #wake: (() => void) | undefined;

  push(next: ProgressMessage): void {
    const last =
      next.id === undefined ? -1 : this.#waiting.findLastIndex((waiting) => waiting.id === next.id);
    const replaces = last >= 0 && this.#waiting[last]?.status === next.status && next.progress !== undefined;
    if (replaces) this.#waiting[last] = next;
    else this.#waiting.push(next);
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  /** The reader gets what waits, then the error. */
  fail(error: unknown): void {
    this.#error = error;
    this.end();
  }

  async *[Symbol.asyncIterator](): AsyncIterator<ProgressMessage> {
    for (;;) {
      const next = this.#waiting.shift();
      if (next) yield next;
      else if (this.#ended) break;
      else {
        const { promise, resolve } = Promise.withResolvers<void>();
        this.#wake = resolve;
        await promise;
        this.#wake = undefined;
      }
    }
    if (this.#error !== undefined) throw this.#error;
  }
}

/** The newest `current` of what grows at most ten times a second. */
const PROGRESS_INTERVAL_MS = 100;

/** At most one call in the interval. */
export function throttled(report: (current: number) => void): (current: number) => void {
  let last = Number.NEGATIVE_INFINITY;
  return (current) => {
    const now = performance.now();
    if (now - last < PROGRESS_INTERVAL_MS) return;
    last = now;
    report(current);
  };
}

export type Report = (progress: ProgressMessage) => void;

/**
 * Runs work that reports progress. What fails before there is any fails at the first step of the iteration; giving the
 * iteration up stops the work, and the iteration ends when that has ended.
 */
export async function* withProgress(
  signal: AbortSignal,
  work: (report: Report, signal: AbortSignal) => Promise<void>,
): AsyncGenerator<ProgressMessage, void, undefined> {
  const queue = new ProgressQueue();
  const givenUp = new AbortController();
  const working = work((progress) => queue.push(progress), AbortSignal.any([signal, givenUp.signal])).then(
    () => queue.end(),
    (error: unknown) => queue.fail(error),
  );
  try {
    yield* queue;
  } finally {
    givenUp.abort(new DOMException("no client waits for it any more", "AbortError"));
    await working;
  }
}
