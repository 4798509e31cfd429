/** Builds that were: what `docker buildx history` lists, and what `docker buildx build` looks its own result up in. */
import { nowNano } from "../../../base/times.ts";
import { NotFoundError } from "../../../core/errors.ts";
import type { BuildHistoryEvent, BuildHistoryRecord } from "../messages/control.ts";
import { Inbox } from "../session/inbox.ts";
import type { Value } from "../wire/message.ts";

export type HistoryRecord = Value<typeof BuildHistoryRecord>;
type HistoryEvent = Value<typeof BuildHistoryEvent>;

export interface HistoryQuery {
  readonly activeOnly: boolean;
  readonly ref: string;
  /** Tell what is there and end. */
  readonly earlyExit: boolean;
  readonly limit: number;
  readonly signal: AbortSignal;
}

/** What is kept beyond what is pinned. */
const MOST = 50;
const OLDEST = 48n * 3600n * 1_000_000_000n;
const SECOND = 1_000_000_000n;

export class BuildHistory {
  readonly #records = new Map<string, HistoryRecord>();
  readonly #readers = new Set<(event: HistoryEvent) => void>();

  /** A build starts, goes on, or is over. */
  put(record: HistoryRecord): void {
    const known = this.#records.get(record.ref);
    const kept = { ...record, pinned: known?.pinned ?? false, generation: (known?.generation ?? 0) + 1 };
    this.#records.set(record.ref, kept);
    this.#tell({ type: record.completedAt ? "complete" : "started", record: kept });
    this.#forgetOld();
  }

  /** @throws NotFoundError */
  update(ref: string, change: { readonly pinned: boolean; readonly delete: boolean }): void {
    const record = this.#records.get(ref);
    if (!record) throw new NotFoundError(`failed to load record: ref ${ref}: not found`);
    if (change.delete) {
      this.#remove(record);
      return;
    }
    const changed = { ...record, pinned: change.pinned, generation: record.generation + 1 };
    this.#records.set(ref, changed);
    this.#tell({ type: changed.completedAt ? "complete" : "started", record: changed });
  }

  /** What is known and what comes. */
  async *events(query: HistoryQuery): AsyncGenerator<HistoryEvent, void, void> {
    const fits = ({ record }: HistoryEvent) => {
      if (!record) return false;
      if (query.ref !== "" && record.ref !== query.ref) return false;
      return !query.activeOnly || record.completedAt === undefined;
    };
    const known = [...this.#records.values()]
      .map((record): HistoryEvent => ({ type: record.completedAt ? "complete" : "started", record }))
      .filter(fits);
    yield* query.limit > 0 ? known.slice(-query.limit) : known;
    if (query.earlyExit) return;
    const inbox = new Inbox<HistoryEvent>(Number.POSITIVE_INFINITY);
    const reader = (event: HistoryEvent) => void inbox.put(event);
    const stop = () => inbox.end();
    this.#readers.add(reader);
    query.signal.addEventListener("abort", stop, { once: true });
    if (query.signal.aborted) stop();
    try {
      for await (const event of inbox) if (fits(event) || event.type === "complete") yield event;
    } finally {
      this.#readers.delete(reader);
      query.signal.removeEventListener("abort", stop);
    }
  }

  #tell(event: HistoryEvent): void {
    for (const reader of this.#readers) reader(event);
  }

  #remove(record: HistoryRecord): void {
    this.#records.delete(record.ref);
    this.#tell({ type: "deleted", record });
  }

  #forgetOld(): void {
    const over = [...this.#records.values()].filter((record) => record.completedAt && !record.pinned);
    const limit = nowNano() - OLDEST;
    for (const record of over) {
      const completed = (record.completedAt?.seconds ?? 0n) * SECOND;
      if (completed < limit || over.length - over.indexOf(record) > MOST) this.#remove(record);
    }
  }
}
