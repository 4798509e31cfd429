/** Vertices of file operations: copies, files, directories, one after the other in one layer. */
import type { ChownOpt, CopyAction, FileAction, UserOpt } from "../../graph/ops.ts";
import { joinPath } from "../paths.ts";
import { type Output, type VertexPlan, vertex } from "./output.ts";

type Shown = Omit<VertexPlan, "work">;

/** Times and modes that are left as the source has them. */
const KEEP_TIME = -1n;
export const KEEP_MODE = -1;

/** One copy among several that make a layer. */
export interface Copying {
  readonly from: Output;
  readonly src: string;
  readonly dest: string;
  readonly options: Partial<CopyAction>;
  /** `user[:group]`, by names or numbers. */
  readonly owner?: string;
}

/** Copies one after the other onto a base: one layer. */
export function copyAll(base: Output, copies: readonly Copying[], shown: Shown): Output {
  return vertex({
    ...shown,
    work(use) {
      const first = use(base);
      // All inputs come before the results of earlier actions, so they are counted first.
      const sources = copies.map((copy) => use(copy.from));
      const inputs = new Set([first, ...sources].filter((index) => index >= 0)).size;
      const actions = copies.map((copy, index): FileAction => {
        const input = index === 0 ? first : inputs + index - 1;
        const owner = copy.owner ? { owner: ownerOf(copy.owner, input) } : {};
        return {
          input,
          secondaryInput: sources[index] ?? -1,
          output: index === copies.length - 1 ? 0 : -1,
          action: {
            ...defaultCopy,
            ...copy.options,
            ...owner,
            src: joinPath("/", copy.src),
            dest: copy.dest,
          },
        };
      });
      return { type: "file", actions };
    },
  });
}

/** What lies at a path of another file system, alone. */
export function copyOf(from: Output, src: string, options: Partial<CopyAction>): Output {
  return copyAll(undefined, [{ from, src, dest: "/", options }], {});
}

const defaultCopy: CopyAction = {
  type: "copy",
  src: "",
  dest: "",
  mode: KEEP_MODE,
  followSymlink: false,
  dirCopyContents: false,
  attemptUnpackDockerCompatibility: false,
  createDestPath: false,
  allowWildcard: false,
  allowEmptyWildcard: false,
  timestamp: KEEP_TIME,
  includePatterns: [],
  excludePatterns: [],
  alwaysReplaceExistingDestPaths: false,
  modeStr: "",
  requiredPaths: [],
};

/** One file, alone in a file system. */
export function fileOf(path: string, mode: number, text: string, shown: Shown): Output {
  const data = new TextEncoder().encode(text);
  return one(undefined, shown, () => ({
    type: "mkfile",
    path: joinPath("/", path),
    mode,
    data,
    timestamp: KEEP_TIME,
  }));
}

export interface MakeDirectory {
  readonly path: string;
  readonly mode: number;
  readonly makeParents?: boolean;
  readonly owner?: string;
  readonly ownerIds?: { readonly uid: number; readonly gid: number };
  /** Nanoseconds since the epoch; absent: the time of the build. */
  readonly time?: bigint | undefined;
}

export function directoryIn(base: Output, directory: MakeDirectory, shown: Shown): Output {
  const { path, mode, makeParents = false, owner, ownerIds, time } = directory;
  return one(base, shown, (input) => ({
    type: "mkdir",
    path,
    mode,
    makeParents,
    timestamp: time ?? KEEP_TIME,
    ...(owner ? { owner: ownerOf(owner, input) } : {}),
    ...(ownerIds
      ? { owner: { user: { by: "id", id: ownerIds.uid }, group: { by: "id", id: ownerIds.gid } } }
      : {}),
  }));
}

function one(base: Output, shown: Shown, action: (input: number) => FileAction["action"]): Output {
  return vertex({
    ...shown,
    work(use) {
      const input = use(base);
      return { type: "file", actions: [{ input, secondaryInput: -1, output: 0, action: action(input) }] };
    },
  });
}

/** `user[:group]`: digits are numbers, anything else is looked up in the file system that is copied to. */
function ownerOf(text: string, input: number): ChownOpt {
  const at = text.indexOf(":");
  const user = at < 0 ? text : text.slice(0, at);
  const group = at < 0 ? undefined : text.slice(at + 1);
  return {
    user: userOf(user, input),
    ...(group === undefined ? {} : { group: userOf(group, input) }),
  };
}

function userOf(text: string, input: number): UserOpt {
  const id = /^\d+$/.test(text) ? Number(text) : undefined;
  return id !== undefined && id < 2 ** 32 ? { by: "id", id } : { by: "name", name: text, input };
}
