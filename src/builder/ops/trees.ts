/** File systems as directories that can be read or written for a while. */
import type { BuiltLayer } from "../../core/build-images.ts";
import { randomId } from "../../core/ids.ts";
import type { SolverDeps } from "../solve/deps.ts";
import { EMPTY, type Output } from "../solve/output.ts";

type TreeDeps = Pick<SolverDeps, "snapshots">;

/** A root that can be written; its changes become a layer, or go. */
export interface WritableTree extends AsyncDisposable {
  readonly root: string;
  /** Once, at the end. */
  commit(signal: AbortSignal): Promise<Output>;
}

export async function openWritable(
  deps: SolverDeps,
  base: Output,
  signal: AbortSignal,
): Promise<WritableTree> {
  const { layers } = base.kind === "layers" ? base : await toLayers(deps, base, signal);
  const key = randomId<string>();
  const { snapshots } = deps;
  await snapshots.prepare(key, chainIds(layers));
  const mounted = await snapshots.mount(key).catch(async (error) => {
    await snapshots.remove(key);
    throw error;
  });
  return {
    root: mounted.path,
    async commit(aborted) {
      await mounted[Symbol.asyncDispose]();
      const { entries: _, ...layer } = await snapshots.commit(key, { keep: false, signal: aborted });
      return { kind: "layers", layers: [...layers, { ...layer, createdAt: new Date().toISOString() }] };
    },
    async [Symbol.asyncDispose]() {
      await mounted[Symbol.asyncDispose]();
      await snapshots.remove(key);
    },
  };
}

export interface ReadableTree extends AsyncDisposable {
  readonly root: string;
}

/** A root to read from. What is written to it is nobody's. */
export async function openReadable({ snapshots }: TreeDeps, output: Output): Promise<ReadableTree> {
  if (output.kind === "directory") return { root: output.root, [Symbol.asyncDispose]: async () => {} };
  const key = randomId<string>();
  await snapshots.prepare(key, chainIds(output.layers));
  const mounted = await snapshots.mount(key).catch(async (error) => {
    await snapshots.remove(key);
    throw error;
  });
  return {
    root: mounted.path,
    async [Symbol.asyncDispose]() {
      await mounted[Symbol.asyncDispose]();
      await snapshots.remove(key);
    },
  };
}

export async function withTree<T>(
  deps: TreeDeps,
  output: Output,
  use: (root: string) => Promise<T>,
): Promise<T> {
  await using tree = await openReadable(deps, output);
  return await use(tree.root);
}

/** A directory of a build as a layer of its own. */
async function toLayers(
  deps: SolverDeps,
  { root }: Extract<Output, { kind: "directory" }>,
  signal: AbortSignal,
): Promise<Extract<Output, { kind: "layers" }>> {
  await using tree = await openWritable(deps, EMPTY, signal);
  await deps.files.apply({ root: tree.root, signal, actions: [wholeCopy(root)] });
  const output = await tree.commit(signal);
  if (output.kind !== "layers") throw new Error("a layer was expected");
  return output;
}

function wholeCopy(source: string) {
  return {
    kind: "copy",
    source,
    ...{ src: "/", dest: "/", followLinks: false, directoryContents: true, unpackArchives: false },
    ...{ createDestination: true, wildcards: false, allowNoMatch: true, replaceExisting: false },
    ...{ include: [], exclude: [], required: [] },
  } as const;
}

function chainIds(layers: readonly BuiltLayer[]) {
  return layers.map(({ chainId }) => chainId);
}
