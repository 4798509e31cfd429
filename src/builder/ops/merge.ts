/** MergeOp and DiffOp: file systems laid over one another, and what one adds to another. */
import type { BuiltLayer } from "../../core/build-images.ts";
import { InvalidParameterError, NotImplementedError } from "../../core/errors.ts";
import { type DiffOp, type MergeOp, NONE } from "../graph/ops.ts";
import type { SolverDeps } from "../solve/deps.ts";
import type { Operation } from "../solve/operation.ts";
import { EMPTY, type Output } from "../solve/output.ts";

export function mergeOperation(deps: SolverDeps, op: MergeOp, inputs: number): Operation {
  if (op.inputs.length < 2) throw new InvalidParameterError("invalid merge op with less than two inputs");
  checkIndexes(op.inputs, inputs);
  return {
    selectors: [],
    outputs: 1,
    description: "merge",
    cacheKey: async () => `merge:${JSON.stringify(op.inputs)}`,
    async run({ signal }, given) {
      let merged: readonly BuiltLayer[] = [];
      for (const index of op.inputs) {
        const layers = layersOf(index === NONE ? EMPTY : given[index]);
        merged = await restack(deps, merged, layers, signal);
      }
      return [{ kind: "layers", layers: merged }];
    },
  };
}

export function diffOperation(deps: SolverDeps, op: DiffOp, inputs: number): Operation {
  checkIndexes([op.lower, op.upper], inputs);
  return {
    selectors: [],
    outputs: 1,
    description: "diff",
    cacheKey: async () => `diff:${op.lower}:${op.upper}`,
    async run({ signal }, given) {
      const lower = layersOf(op.lower === NONE ? EMPTY : given[op.lower]);
      const upper = layersOf(op.upper === NONE ? EMPTY : given[op.upper]);
      const isBase = lower.every(({ chainId }, index) => upper[index]?.chainId === chainId);
      if (!isBase) {
        throw new NotImplementedError(
          "the difference of file systems that were not made from one another is not implemented",
        );
      }
      return [{ kind: "layers", layers: await restack(deps, [], upper.slice(lower.length), signal) }];
    },
  };
}

function checkIndexes(indexes: readonly number[], inputs: number): void {
  const valid = indexes.every((index) => Number.isInteger(index) && index >= NONE && index < inputs);
  if (!valid) throw new InvalidParameterError(`invalid input index in an op with ${inputs} inputs`);
}

function layersOf(output: Output | undefined): readonly BuiltLayer[] {
  if (output?.kind === "layers") return output.layers;
  throw new NotImplementedError("a directory of the client's cannot be merged");
}

/** Layers over others than those that they were made on. Those that are there stay the same. */
async function restack(
  { snapshots }: SolverDeps,
  base: readonly BuiltLayer[],
  layers: readonly BuiltLayer[],
  signal: AbortSignal,
): Promise<readonly BuiltLayer[]> {
  let stack = base;
  for (const layer of layers) {
    const chainId = await snapshots.restack(layer, stack.at(-1)?.chainId, { signal });
    stack = [...stack, { ...layer, chainId }];
  }
  return stack;
}
