/**
 * The graph while it is being made: what each step gives, before anything has a digest. Some of it is decided late (which
 * files of the context are needed is known when all stages have been read), so vertices are written at the end, once
 * each, by a `GraphWriter`.
 */
import type { Platform } from "../../../core/content.ts";
import { DefinitionBuilder } from "../../graph/builder.ts";
import type { Definition, SourceInfo } from "../../graph/definition.ts";
import { type Edge, type LinuxResources, NONE, type Op, type ProgressGroup } from "../../graph/ops.ts";
import { encodeOp } from "../../protocol/ops.ts";
import type { SourceRange } from "../source/ranges.ts";

/** A file system. Undefined: an empty one. */
export type Output = VertexOutput | LateOutput | GivenOutput | undefined;

/** Output 0 of a vertex of ours. */
export interface VertexOutput {
  readonly kind: "vertex";
  readonly plan: VertexPlan;
}

/** Decided when the graph is written. */
export interface LateOutput {
  readonly kind: "late";
  readonly get: () => Output;
}

/** The result of a definition that came from outside. */
export interface GivenOutput {
  readonly kind: "given";
  readonly definition: Definition;
}

export interface VertexPlan {
  /** Makes the op. `use` gives an output's place among the op's inputs, −1 for an empty one. */
  readonly work: (use: (output: Output) => number) => Op["op"];
  readonly platform?: Platform | undefined;
  /** What clients show. */
  readonly name?: string | undefined;
  /** The instruction that it comes from. */
  readonly code?: string | undefined;
  readonly location?: readonly SourceRange[] | undefined;
  readonly ignoreCache?: boolean | undefined;
  readonly progressGroup?: ProgressGroup | undefined;
  readonly linuxResources?: LinuxResources | undefined;
}

export function vertex(plan: VertexPlan): VertexOutput {
  return { kind: "vertex", plan };
}

export function late(get: () => Output): LateOutput {
  return { kind: "late", get };
}

/** A definition as an output; one without a result is an empty file system. */
export function given(definition: Definition): Output {
  return definition.result ? { kind: "given", definition } : undefined;
}

/** Writes the definition of an output. */
export function toDefinition(output: Output, source: SourceInfo | undefined): Definition {
  return new GraphWriter(source).definition(output);
}

class GraphWriter {
  readonly #builder: DefinitionBuilder;
  readonly #hasSource: boolean;
  readonly #written = new Map<VertexPlan, Edge>();

  constructor(source: SourceInfo | undefined) {
    this.#builder = new DefinitionBuilder(encodeOp, source ? [source] : []);
    this.#hasSource = source !== undefined;
  }

  definition(output: Output): Definition {
    return this.#builder.toDefinition(this.#edge(output));
  }

  #edge(output: Output): Edge | undefined {
    switch (output?.kind) {
      case undefined:
        return undefined;
      case "late":
        return this.#edge(output.get());
      case "given":
        return this.#builder.include(output.definition);
      case "vertex":
        return this.#vertex(output.plan);
    }
  }

  #vertex(plan: VertexPlan): Edge {
    const known = this.#written.get(plan);
    if (known) return known;
    const inputs: Edge[] = [];
    const op = plan.work((output) => {
      const edge = this.#edge(output);
      if (!edge) return NONE;
      const at = inputs.findIndex(({ digest, index }) => digest === edge.digest && index === edge.index);
      return at >= 0 ? at : inputs.push(edge) - 1;
    });
    const { platform, name, code, ignoreCache, progressGroup, linuxResources } = plan;
    const edge = this.#builder.add(
      { inputs, op, ...(platform ? { platform } : {}) },
      {
        metadata: {
          description: {
            ...(code === undefined ? {} : { "com.docker.dockerfile.v1.command": code }),
            ...(name === undefined ? {} : { "llb.customname": name }),
          },
          ...(ignoreCache ? { ignoreCache } : {}),
          ...(progressGroup ? { progressGroup } : {}),
          ...(linuxResources ? { linuxResources } : {}),
        },
        locations:
          this.#hasSource && plan.location?.length ? [{ sourceIndex: 0, ranges: plan.location }] : [],
      },
    );
    this.#written.set(plan, edge);
    return edge;
  }
}
