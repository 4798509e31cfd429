/** Puts a definition together, vertex by vertex. Equal vertices become one. */
import { digestOf } from "../../core/digests.ts";
import type { Digest } from "../../core/ids.ts";
import type { Definition, SourceInfo, SourceLocation } from "./definition.ts";
import type { Edge, Op, OpMetadata } from "./ops.ts";

export interface VertexOptions {
  readonly metadata?: Partial<OpMetadata>;
  readonly locations?: readonly SourceLocation[];
}

export class DefinitionBuilder {
  readonly #ops = new Map<Digest, Op>();
  readonly #encoded = new Map<Digest, Uint8Array>();
  readonly #metadata = new Map<Digest, OpMetadata>();
  readonly #locations = new Map<Digest, SourceLocation[]>();
  readonly #encode: (op: Op) => Uint8Array;
  readonly #infos: readonly SourceInfo[];

  /** @param encode the deterministic encoding that digests are made of */
  constructor(encode: (op: Op) => Uint8Array, infos: readonly SourceInfo[] = []) {
    this.#encode = encode;
    this.#infos = infos;
  }

  /** Its inputs must have been added before. Gives the edge to output 0. */
  add(op: Op, { metadata = {}, locations = [] }: VertexOptions = {}): Edge {
    const bytes = this.#encode(op);
    const digest = digestOf(bytes);
    if (!this.#ops.has(digest)) {
      this.#ops.set(digest, op);
      this.#encoded.set(digest, bytes);
    }
    const before = this.#metadata.get(digest);
    this.#metadata.set(digest, { ignoreCache: false, description: {}, caps: {}, ...before, ...metadata });
    if (locations.length > 0) {
      this.#locations.set(digest, [...(this.#locations.get(digest) ?? []), ...locations]);
    }
    return { digest, index: 0 };
  }

  /** Takes over all vertices of another definition and gives its result. */
  include(definition: Definition): Edge | undefined {
    for (const [digest, op] of definition.ops) this.#ops.set(digest, op);
    for (const [digest, bytes] of definition.encoded) this.#encoded.set(digest, bytes);
    for (const [digest, metadata] of definition.metadata) {
      if (!this.#metadata.has(digest)) this.#metadata.set(digest, metadata);
    }
    return definition.result;
  }

  /** The definition of one result: only the vertices that it needs, inputs first. */
  toDefinition(result: Edge | undefined): Definition {
    const needed = new Set<Digest>();
    if (result) this.#collect(result.digest, needed);
    const pick = <T>(all: ReadonlyMap<Digest, T>): Map<Digest, T> => {
      const picked = new Map<Digest, T>();
      for (const digest of needed) {
        const value = all.get(digest);
        if (value !== undefined) picked.set(digest, value);
      }
      return picked;
    };
    return {
      ops: pick(this.#ops),
      encoded: pick(this.#encoded),
      metadata: pick(this.#metadata),
      result,
      source: { infos: this.#infos, locations: pick(this.#locations) },
    };
  }

  /** Depth first without recursion: a graph of a client may be deep. */
  #collect(root: Digest, needed: Set<Digest>): void {
    const stack: { digest: Digest; next: number }[] = [{ digest: root, next: 0 }];
    const seen = new Set<Digest>([root]);
    for (let top = stack.at(-1); top; top = stack.at(-1)) {
      const input = this.#ops.get(top.digest)?.inputs[top.next++];
      if (!input) {
        needed.add(top.digest);
        stack.pop();
      } else if (!seen.has(input.digest)) {
        seen.add(input.digest);
        stack.push({ digest: input.digest, next: 0 });
      }
    }
  }
}
