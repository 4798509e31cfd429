/**
 * The progress of one build: kept from the start, so that whoever asks late gets all of it, and handed on as it comes.
 */
import { nowNano } from "../../../base/times.ts";
import type { Digest } from "../../../core/ids.ts";
import type { ProgressFact, VertexFact } from "../../progress.ts";
import { Inbox } from "../session/inbox.ts";

/** What is kept of the output of programs for those who ask late; a client that is there gets all. */
const LARGEST_OUTPUT = 16 << 20;

export class ProgressLog {
  readonly #facts: ProgressFact[] = [];
  readonly #vertices = new Map<Digest, VertexFact>();
  readonly #readers = new Set<(facts: readonly ProgressFact[]) => void>();
  #output = 0;
  #over = false;
  #pending: ProgressFact[] = [];

  /** How many steps there are, are done, were there already. */
  get counts(): { total: number; completed: number; cached: number; warnings: number } {
    const vertices = [...this.#vertices.values()];
    return {
      total: vertices.length,
      completed: vertices.filter((vertex) => vertex.completed !== undefined).length,
      cached: vertices.filter((vertex) => vertex.cached).length,
      warnings: this.#facts.filter((fact) => fact.type === "warning").length,
    };
  }

  add(fact: ProgressFact): void {
    if (this.#over) return;
    if (fact.type === "vertex") this.#addVertex(fact.vertex);
    else this.#append(fact);
  }

  /** A build that ends leaves no step under way. */
  end(): void {
    if (this.#over) return;
    for (const vertex of this.#vertices.values()) {
      if (vertex.started === undefined || vertex.completed !== undefined) continue;
      this.#addVertex({ ...vertex, completed: nowNano(), error: vertex.error || "context canceled" });
    }
    this.#over = true;
    this.#flush();
    for (const reader of this.#readers) reader([]);
  }

  /** All facts from the first on, in batches, until the build is over. */
  async *read(signal: AbortSignal): AsyncGenerator<readonly ProgressFact[], void, void> {
    this.#flush();
    const inbox = new Inbox<readonly ProgressFact[]>(Number.POSITIVE_INFINITY);
    const reader = (facts: readonly ProgressFact[]) => {
      if (facts.length > 0) void inbox.put(facts);
      if (this.#over) inbox.end();
    };
    const stop = () => inbox.fail(signal.reason);
    reader([...this.#facts]);
    this.#readers.add(reader);
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
    try {
      yield* inbox;
    } finally {
      this.#readers.delete(reader);
      signal.removeEventListener("abort", stop);
    }
  }

  /** What a step that starts needs, and that was not seen to finish, was there already. */
  #addVertex(vertex: VertexFact): void {
    if (vertex.started !== undefined) {
      for (const input of vertex.inputs) {
        const known = this.#vertices.get(input);
        if (!known || known.completed !== undefined || known.started !== undefined) continue;
        this.#addVertex({ ...known, cached: true, started: vertex.started, completed: vertex.started });
      }
    }
    this.#vertices.set(vertex.digest, vertex);
    this.#append({ type: "vertex", vertex });
  }

  #append(fact: ProgressFact): void {
    if (this.#pending.length === 0) setImmediate(() => this.#flush());
    this.#pending.push(fact);
  }

  #flush(): void {
    const facts = this.#pending;
    this.#pending = [];
    if (facts.length === 0) return;
    for (const fact of facts) {
      if (fact.type === "log") {
        this.#output += fact.log.bytes.length;
        if (this.#output > LARGEST_OUTPUT) continue;
      }
      this.#facts.push(fact);
    }
    for (const reader of this.#readers) reader(facts);
  }
}
