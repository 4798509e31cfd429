/** FileOp: copies and changes of files, in as few goes as possible. */

import { baseName } from "../../base/patterns.ts";
import type { ContentSelector, FileOwner, FileAction as Work } from "../../core/build-files.ts";
import { InvalidParameterError } from "../../core/errors.ts";
import { type ChownOpt, type FileAction, type FileOp, NONE, type UserOpt } from "../graph/ops.ts";
import type { SolverDeps } from "../solve/deps.ts";
import type { Operation } from "../solve/operation.ts";
import { EMPTY, type Output } from "../solve/output.ts";
import { openReadable, openWritable, type WritableTree } from "./trees.ts";

export function fileOperation(deps: SolverDeps, op: FileOp, inputs: number): Operation {
  checkIndexes(op, inputs);
  const changed = new Set(op.actions.map(({ input }) => input));
  const selectors: (ContentSelector[] | undefined)[] = Array.from({ length: inputs }, () => undefined);
  const select = (input: number, selector: ContentSelector): void => {
    if (input < 0 || input >= inputs || changed.has(input)) return;
    selectors[input] = [...(selectors[input] ?? []), selector];
  };
  for (const { secondaryInput, action } of op.actions) {
    if (action.type === "copy") {
      select(secondaryInput, {
        path: action.src,
        followLinks: action.followSymlink,
        wildcards: action.allowWildcard,
        include: action.includePatterns,
        exclude: action.excludePatterns,
        required: action.requiredPaths,
      });
    }
    if (action.type === "rm") continue;
    for (const { user, file } of namesIn(action.owner)) select(user.input, wholeFile(file));
  }
  return {
    selectors,
    outputs: Math.max(0, ...op.actions.map(({ output }) => output)) + 1,
    description: op.actions.map(({ action }) => action.type).join(", "),
    cacheKey: async () => `file:${JSON.stringify(op.actions.map(keyOf), bigints)}`,
    run: (context, given) => new FileRun(deps, op, given, context.signal).run(),
  };
}

/** @throws InvalidParameterError for an index that leads nowhere (S09) */
function checkIndexes({ actions }: FileOp, inputs: number): void {
  if (actions.length === 0) throw new InvalidParameterError("invalid file op without actions");
  actions.forEach(({ input, secondaryInput, output, action }, index) => {
    const valid = (at: number) => Number.isInteger(at) && at >= NONE && at < inputs + index;
    const owners = "owner" in action ? namesIn(action.owner).map(({ user }) => user.input) : [];
    if (![input, secondaryInput, ...owners].every(valid) || output < NONE || output > actions.length) {
      throw new InvalidParameterError(
        `invalid input index in file action ${index} of a file op with ${inputs} inputs`,
      );
    }
  });
}

function namesIn(owner: ChownOpt | undefined): { user: Extract<UserOpt, { by: "name" }>; file: string }[] {
  const named = (user: UserOpt | undefined, file: string) => (user?.by === "name" ? [{ user, file }] : []);
  return [...named(owner?.user, "/etc/passwd"), ...named(owner?.group, "/etc/group")];
}

function wholeFile(path: string): ContentSelector {
  return { path, followLinks: true, wildcards: false, include: [], exclude: [], required: [] };
}

/** A copy's source is in the content that it selects: only its name counts here. */
function keyOf(action: FileAction): unknown {
  if (action.action.type !== "copy") return action;
  return { ...action, action: { ...action.action, src: baseName(action.action.src) } };
}

function bigints(_key: string, value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  return typeof value === "bigint" ? String(value) : value;
}

/** Where the work of one action is, or its result. */
type Place = { tree: WritableTree; pending: Work[]; output: Output | undefined };

class FileRun {
  readonly #deps: SolverDeps;
  readonly #op: FileOp;
  readonly #inputs: readonly Output[];
  readonly #signal: AbortSignal;
  /** By action. */
  readonly #places: Place[] = [];
  readonly #cleanup = new AsyncDisposableStack();
  /** Roots that are read from, by index. */
  readonly #roots = new Map<number, Promise<string>>();

  constructor(deps: SolverDeps, op: FileOp, inputs: readonly Output[], signal: AbortSignal) {
    this.#deps = deps;
    this.#op = op;
    this.#inputs = inputs;
    this.#signal = signal;
  }

  async run(): Promise<Output[]> {
    await using _cleanup = this.#cleanup;
    const outputs: Output[] = [];
    for (const [index, action] of this.#op.actions.entries()) {
      const place = await this.#placeFor(action.input, index);
      this.#places.push(place);
      place.pending.push(await this.#toWork(action, place.tree.root));
      if (action.output !== NONE) outputs[action.output] = await this.#finish(place);
    }
    return Array.from({ length: outputs.length }, (_, index) => outputs[index] ?? EMPTY);
  }

  /** An earlier action's tree goes on if it is its last user; anything else begins a new one. */
  async #placeFor(input: number, index: number): Promise<Place> {
    const earlier = this.#places[input - this.#inputs.length];
    const usedLater = this.#op.actions.some(
      (other, at) => at > index && (other.input === input || other.secondaryInput === input),
    );
    if (input >= this.#inputs.length && earlier && !earlier.output && !usedLater) return earlier;
    const base = await this.#outputAt(input);
    const tree = this.#cleanup.use(await openWritable(this.#deps, base, this.#signal));
    return { tree, pending: [], output: undefined };
  }

  async #outputAt(index: number): Promise<Output> {
    if (index === NONE) return EMPTY;
    const given = this.#inputs[index];
    if (given) return given;
    const place = this.#places[index - this.#inputs.length];
    if (!place) throw new InvalidParameterError(`invalid input index ${index} in a file op`);
    return await this.#finish(place);
  }

  async #finish(place: Place): Promise<Output> {
    if (place.output) return place.output;
    await this.#deps.files.apply({ root: place.tree.root, actions: place.pending, signal: this.#signal });
    place.output = await place.tree.commit(this.#signal);
    return place.output;
  }

  /** The root of what is read from; an empty one is undefined. */
  async #rootOf(index: number): Promise<string | undefined> {
    const output = await this.#outputAt(index);
    if (output === EMPTY) return undefined;
    const opened =
      this.#roots.get(index) ?? openReadable(this.#deps, output).then((tree) => this.#cleanup.use(tree).root);
    this.#roots.set(index, opened);
    return await opened;
  }

  async #toWork({ secondaryInput, action }: FileAction, target: string): Promise<Work> {
    switch (action.type) {
      case "copy":
        return {
          kind: "copy",
          source: await this.#rootOf(secondaryInput),
          src: action.src,
          dest: action.dest,
          ...(await this.#made(action, target)),
          ...(action.modeStr === "" && action.mode >= 0 ? { mode: action.mode } : {}),
          ...(action.modeStr === "" ? {} : { modeText: action.modeStr }),
          followLinks: action.followSymlink,
          directoryContents: action.dirCopyContents,
          unpackArchives: action.attemptUnpackDockerCompatibility,
          createDestination: action.createDestPath,
          wildcards: action.allowWildcard,
          allowNoMatch: action.allowEmptyWildcard,
          include: action.includePatterns,
          exclude: action.excludePatterns,
          replaceExisting: action.alwaysReplaceExistingDestPaths,
          required: action.requiredPaths,
        };
      case "mkfile": {
        const { path, mode, data } = action;
        const text = Buffer.from(data).toString("base64");
        return { kind: "mkfile", path, mode, data: text, ...(await this.#made(action, target)) };
      }
      case "mkdir": {
        const { path, mode, makeParents: parents } = action;
        return { kind: "mkdir", path, mode, parents, ...(await this.#made(action, target)) };
      }
      case "rm":
        return {
          kind: "rm",
          path: action.path,
          allowNotFound: action.allowNotFound,
          wildcards: action.allowWildcard,
        };
      case "symlink":
        return {
          kind: "symlink",
          target: action.oldpath,
          path: action.newpath,
          ...(await this.#made(action, target)),
        };
    }
  }

  async #made(
    { owner, timestamp }: { owner?: ChownOpt; timestamp: bigint },
    target: string,
  ): Promise<{ owner?: FileOwner; time?: string }> {
    const identify = async (user: UserOpt) => {
      if (user.by === "id") return { id: user.id };
      return {
        name: user.name,
        root: user.input === NONE ? undefined : await this.#ownerRoot(user.input, target),
      };
    };
    return {
      ...(owner
        ? {
            owner: {
              ...(owner.user ? { user: await identify(owner.user) } : {}),
              ...(owner.group ? { group: await identify(owner.group) } : {}),
            },
          }
        : {}),
      ...(timestamp >= 0n ? { time: String(timestamp) } : {}),
    };
  }

  /** Of the tree that is being written: it is there already. */
  async #ownerRoot(index: number, target: string): Promise<string | undefined> {
    const place = this.#places[index - this.#inputs.length];
    return place && place.tree.root === target ? target : await this.#rootOf(index);
  }
}
