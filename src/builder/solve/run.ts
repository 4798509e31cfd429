/**
 * One build's walk through its graph. A vertex is looked up by what it does and what its inputs are called; where that
 * finds nothing, by the content of its inputs that counts; and is run only then, and only if somebody needs its result.
 * Vertices that do not need one another run side by side; equal ones of builds that go on at the same time run once.
 * @see BuildKit docs/dev/solver.md
 */
import { randomBytes } from "node:crypto";
import { InvalidParameterError, NotFoundError } from "../../core/errors.ts";
import type { Digest } from "../../core/ids.ts";
import { hashOf } from "../cache/store.ts";
import { SourceError, VertexError } from "../errors.ts";
import type { Definition } from "../graph/definition.ts";
import type { Edge, Op } from "../graph/ops.ts";
import { withTree } from "../ops/trees.ts";
import type { SolverDeps } from "./deps.ts";
import { nameOf } from "./names.ts";
import type { Operation, OperationContext } from "./operation.ts";
import { identityOf, type Output } from "./output.ts";
import type { BuildProgress } from "./progress-log.ts";
import type { SharedRuns } from "./shared-runs.ts";

/** A vertex whose result is known by name; the result itself comes when it is asked for. */
interface Resolved {
  readonly key: string;
  /** Runs the vertex, once, if its result is not there. */
  outputs(): Promise<readonly Output[]>;
}

export interface RunParts {
  readonly deps: SolverDeps;
  readonly shared: SharedRuns;
  readonly progress: BuildProgress;
  readonly toOperation: (op: Op, digest: Digest) => Operation;
  readonly sessionId: string;
  readonly entitlements: ReadonlySet<string>;
  readonly signal: AbortSignal;
  readonly cleanup: AsyncDisposableStack;
}

export class BuildRun {
  readonly #parts: RunParts;
  readonly #resolved = new Map<Digest, Promise<Resolved>>();
  readonly #loaded = new Map<Digest, Definition>();

  constructor(parts: RunParts) {
    this.#parts = parts;
  }

  /** Makes the vertices of a definition known to who watches. */
  load(definition: Definition): void {
    for (const [digest, op] of definition.ops) {
      const metadata = definition.metadata.get(digest);
      const inputs = op.inputs.map((input) => input.digest);
      this.#parts.progress.add(digest, { name: nameOf(op, metadata), inputs, metadata });
      if (!this.#loaded.has(digest)) this.#loaded.set(digest, definition);
    }
  }

  /** The file system at an edge. @throws VertexError, SourceError around what went wrong */
  async output(definition: Definition, edge: Edge): Promise<Output> {
    this.load(definition);
    const resolved = await this.#resolve(edge.digest);
    return pick(await resolved.outputs(), edge);
  }

  #resolve(digest: Digest): Promise<Resolved> {
    const known = this.#resolved.get(digest) ?? this.#resolveNew(digest);
    this.#resolved.set(digest, known);
    return known;
  }

  async #resolveNew(digest: Digest): Promise<Resolved> {
    const definition = this.#loaded.get(digest);
    const op = definition?.ops.get(digest);
    if (!definition || !op) throw new InvalidParameterError(`invalid missing vertex ${digest} in definition`);
    const inputs = await Promise.all(op.inputs.map((input) => this.#resolve(input.digest)));
    try {
      return await this.#lookUp(digest, op, definition, inputs);
    } catch (error) {
      throw this.#explained(error, digest, definition);
    }
  }

  async #lookUp(
    digest: Digest,
    op: Op,
    definition: Definition,
    inputs: readonly Resolved[],
  ): Promise<Resolved> {
    const { deps, progress } = this.#parts;
    const operation = this.#parts.toOperation(op, digest);
    const metadata = definition.metadata.get(digest);
    const ignoreCache = metadata?.ignoreCache ?? false;
    const context = this.#contextFor(metadata, ignoreCache, this.#parts.signal);
    const own = await operation.cacheKey(context);
    const inputKeys = inputs.map(({ key }, index) => `${key}:${op.inputs[index]?.index ?? 0}`);
    const random = own === undefined || ignoreCache;
    const fast = random ? undefined : hashOf("fast", own, ...inputKeys);
    const found = fast === undefined ? undefined : await deps.cache.find(fast);
    if (found) {
      this.#hold(found.outputs);
      return { key: found.key, outputs: async () => this.#hit(digest, found.outputs) };
    }
    const slow = await this.#contentKey({ op, operation, own, inputs, inputKeys });
    if (slow !== undefined && !ignoreCache) {
      const bySlow = await deps.cache.find(slow);
      if (bySlow) {
        this.#hold(bySlow.outputs);
        if (fast !== undefined) deps.cache.link(fast, bySlow.id);
        progress.cached(digest);
        return { key: bySlow.key, outputs: async () => this.#hit(digest, bySlow.outputs) };
      }
    }
    const keys = [slow, fast].filter((key) => key !== undefined);
    const key = random ? randomBytes(16).toString("hex") : (keys[0] ?? "");
    let running: Promise<readonly Output[]> | undefined;
    const outputs = (): Promise<readonly Output[]> => {
      running ??= this.#execute({ digest, op, operation, definition, inputs, key, keys, ignoreCache });
      return running;
    };
    return { key, outputs };
  }

  /** What this build stands on stays until it is over. */
  #hold(outputs: Parameters<SolverDeps["cache"]["hold"]>[0]): void {
    this.#parts.cleanup.use(this.#parts.deps.cache.hold(outputs));
  }

  #hit(
    digest: Digest,
    outputs: readonly (readonly import("../../core/build-images.ts").BuiltLayer[])[],
  ): Output[] {
    this.#parts.progress.cached(digest);
    return outputs.map((layers) => ({ kind: "layers", layers }));
  }

  /** By content where only a part of an input counts; undefined if nothing is looked at closer. */
  async #contentKey({
    op,
    operation,
    own,
    inputs,
    inputKeys,
  }: {
    op: Op;
    operation: Operation;
    own: string | undefined;
    inputs: readonly Resolved[];
    inputKeys: readonly string[];
  }): Promise<string | undefined> {
    if (own === undefined || operation.selectors.every((selector) => selector === undefined))
      return undefined;
    const parts = await Promise.all(
      inputs.map(async (input, index) => {
        const selectors = operation.selectors[index];
        const edge = op.inputs[index];
        if (!selectors || !edge) return inputKeys[index] ?? "";
        const output = pick(await input.outputs(), edge);
        return `content:${await this.#digestOf(output, selectors)}`;
      }),
    );
    return hashOf("slow", own, ...parts);
  }

  async #digestOf(output: Output, selectors: NonNullable<Operation["selectors"][number]>): Promise<string> {
    const { deps, signal } = this.#parts;
    const identity = identityOf(output);
    const selector = JSON.stringify(selectors);
    const known = identity === undefined ? undefined : deps.cache.findContent(identity, selector);
    if (known !== undefined) return known;
    try {
      const digest = await withTree(deps, output, (root) => deps.files.digest({ root, selectors, signal }));
      if (identity !== undefined) deps.cache.addContent(identity, selector, digest);
      return digest;
    } catch (error) {
      if (!(error instanceof NotFoundError)) throw error;
      const message = `failed to compute cache key: failed to calculate checksum of ref: ${error.message}`;
      throw new NotFoundError(message, { cause: error });
    }
  }

  async #execute(work: {
    digest: Digest;
    op: Op;
    operation: Operation;
    definition: Definition;
    inputs: readonly Resolved[];
    key: string;
    keys: readonly string[];
    ignoreCache: boolean;
  }): Promise<readonly Output[]> {
    const { deps, shared, progress, signal } = this.#parts;
    const { digest, op, operation, definition, key, keys, ignoreCache } = work;
    const results = await Promise.all(work.inputs.map((input) => input.outputs()));
    const inputs = op.inputs.map((edge, index) => pick(results[index] ?? [], edge));
    signal.throwIfAborted();
    progress.start(digest);
    try {
      const outputs = await shared.run(
        key,
        { signal, report: progress.reportFor(digest) },
        async (one, report) => {
          const context = this.#contextFor(definition.metadata.get(digest), ignoreCache, one);
          const made = await operation.run(context, inputs, report);
          const layers = made.map((output) => (output.kind === "layers" ? output.layers : undefined));
          if (keys.length > 0 && layers.every((each) => each !== undefined)) {
            deps.cache.add(
              { key, outputs: layers, description: operation.description, type: "regular" },
              keys,
            );
            this.#hold(layers);
          }
          return made;
        },
      );
      this.#hold(outputs.flatMap((output) => (output.kind === "layers" ? [output.layers] : [])));
      progress.complete(digest);
      return outputs;
    } catch (error) {
      progress.complete(digest, signal.aborted ? new Error("context canceled") : error);
      throw this.#explained(error, digest, definition);
    }
  }

  #contextFor(
    metadata: OperationContext["metadata"],
    ignoreCache: boolean,
    signal: AbortSignal,
  ): OperationContext {
    const { sessionId, entitlements, cleanup } = this.#parts;
    return { sessionId, entitlements, metadata, ignoreCache, signal, cleanup };
  }

  /** With the vertex, and the lines of the source that it comes from; what was explained already stays as it is. */
  #explained(error: unknown, digest: Digest, definition: Definition): unknown {
    for (let cause = error; cause instanceof Error; cause = cause.cause)
      if (cause instanceof VertexError) return error;
    let explained: unknown = new VertexError(error, digest);
    for (const { sourceIndex, ranges } of definition.source.locations.get(digest) ?? []) {
      const info = definition.source.infos[sourceIndex];
      if (info) explained = new SourceError(explained, info, ranges);
    }
    return explained;
  }
}

function pick(outputs: readonly Output[], { digest, index }: Edge): Output {
  const output = outputs[index];
  if (!output) throw new InvalidParameterError(`vertex ${digest} has no output ${index}`);
  return output;
}
