/** The facts of one build's vertices, as they happen. Times never run backwards within a build. */

import { digestOf } from "../../core/digests.ts";
import { messageOf } from "../../core/errors.ts";
import type { Digest } from "../../core/ids.ts";
import type { OpMetadata } from "../graph/ops.ts";
import type { ProgressSink, VertexFact } from "../progress.ts";

/** What a running vertex tells; shared by all builds that wait for it. */
export interface VertexReport {
  log(stream: "stdout" | "stderr", bytes: Uint8Array): void;
  status(id: string, status: { name?: string; current?: number; total?: number; done?: boolean }): void;
}

export class BuildProgress {
  readonly #sink: ProgressSink;
  readonly #vertices = new Map<Digest, VertexFact>();
  readonly #statuses = new Map<string, bigint>();
  #last = 0n;

  constructor(sink: ProgressSink) {
    this.#sink = sink;
  }

  now(): bigint {
    const now = BigInt(Math.round((performance.timeOrigin + performance.now()) * 1e6));
    this.#last = now > this.#last ? now : this.#last;
    return this.#last;
  }

  /** Makes a vertex known. A second time changes nothing. */
  add(
    digest: Digest,
    {
      name,
      inputs = [],
      metadata,
    }: { name: string; inputs?: readonly Digest[]; metadata?: OpMetadata | undefined },
  ): void {
    if (this.#vertices.has(digest)) return;
    this.#put({
      ...{ digest, inputs, name, cached: false, started: undefined, completed: undefined, error: "" },
      ...(metadata?.progressGroup ? { progressGroup: metadata.progressGroup } : {}),
    });
  }

  start(digest: Digest): void {
    this.#change(digest, (fact) => (fact.started === undefined ? { started: this.now() } : undefined));
  }

  /** It was not needed, or its result was there. */
  cached(digest: Digest): void {
    const now = this.now();
    this.#change(digest, (fact) =>
      fact.completed === undefined
        ? { cached: true, started: fact.started ?? now, completed: now }
        : undefined,
    );
  }

  complete(digest: Digest, error?: unknown): void {
    const text = error === undefined ? "" : messageOf(error);
    this.#change(digest, (fact) =>
      fact.completed === undefined
        ? { started: fact.started ?? this.now(), completed: this.now(), error: text }
        : undefined,
    );
  }

  /** Whatever is still going on when the build is over; in one that went well, what was not run was not needed. */
  finish({ success }: { success: boolean }): void {
    if (success) for (const digest of [...this.#vertices.keys()]) this.cached(digest);
    for (const { digest, started, completed } of [...this.#vertices.values()]) {
      if (started !== undefined && completed === undefined)
        this.complete(digest, new Error("context canceled"));
    }
  }

  reportFor(vertex: Digest): VertexReport {
    return {
      log: (stream, bytes) =>
        this.#sink({ type: "log", log: { vertex, timestamp: this.now(), stream, bytes } }),
      status: (id, { name = id, current = 0, total = 0, done = false }) => {
        const key = `${vertex} ${id}`;
        const started = this.#statuses.get(key) ?? this.now();
        this.#statuses.set(key, started);
        const timestamp = this.now();
        const completed = done ? timestamp : undefined;
        this.#sink({
          type: "status",
          status: { id, vertex, name, current, total, timestamp, started, completed },
        });
      },
    };
  }

  /** A step of the builder itself, with a vertex made for it. */
  async step<T>(name: string, id: string, work: (report: VertexReport) => Promise<T>): Promise<T> {
    const digest = digestOf(id);
    this.add(digest, { name });
    this.start(digest);
    try {
      const result = await work(this.reportFor(digest));
      this.complete(digest);
      return result;
    } catch (error) {
      this.complete(digest, error);
      throw error;
    }
  }

  /** Something that whoever started the build should know, with a vertex made for it. A second time changes nothing. */
  warn(short: string, detail: readonly string[]): void {
    const vertex = digestOf(`warning ${short}`);
    if (this.#vertices.has(vertex)) return;
    this.add(vertex, { name: "[internal] checking options" });
    this.start(vertex);
    this.complete(vertex);
    const warning = { vertex, level: 1, short, detail, url: "", source: undefined, ranges: [] };
    this.#sink({ type: "warning", warning });
    this.reportFor(vertex).log("stderr", new TextEncoder().encode(`WARNING: ${short}\n`));
  }

  get sink(): ProgressSink {
    return this.#sink;
  }

  #change(digest: Digest, change: (fact: VertexFact) => Partial<VertexFact> | undefined): void {
    const fact = this.#vertices.get(digest);
    const changed = fact && change(fact);
    if (fact && changed) this.#put({ ...fact, ...changed });
  }

  #put(vertex: VertexFact): void {
    this.#vertices.set(vertex.digest, vertex);
    this.#sink({ type: "vertex", vertex });
  }
}
