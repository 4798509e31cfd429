/**
 * Directories that programs of builds keep things in from one time to the next (`RUN --mount=type=cache`). Their names on
 * disk are digests of their ids, so that no id leads anywhere else (S08).
 *
 *     <directory>/cache-mounts/<sha256 of the id>[-n]/data
 */
import { existsSync, mkdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { KeyedLock } from "../../base/keyed-lock.ts";
import type { BuildFiles } from "../../core/build-files.ts";
import { KeptDirectories } from "../cache/kept.ts";
import { hashOf } from "../cache/store.ts";
import type { SolverDeps } from "../solve/deps.ts";
import type { Output } from "../solve/output.ts";
import { withTree } from "./trees.ts";

export interface CacheMountRequest {
  readonly id: string;
  /** Where the program sees it, for who looks at what is kept. */
  readonly dest: string;
  readonly sharing: "shared" | "private" | "locked";
  /** Begin with nothing. */
  readonly empty: boolean;
  /** What a new one begins with. */
  readonly base: Output | undefined;
  readonly selector: string;
  readonly signal: AbortSignal;
}

export interface CacheMountLease extends AsyncDisposable {
  readonly root: string;
}

type CacheMountDeps = Pick<SolverDeps, "snapshots" | "directory" | "workDirectory"> & {
  readonly files: BuildFiles;
};

export class CacheMounts {
  readonly kept: KeptDirectories;
  readonly #deps: CacheMountDeps;
  readonly #locks = new KeyedLock();

  constructor(deps: CacheMountDeps) {
    const { directory, workDirectory } = deps;
    this.#deps = deps;
    this.kept = new KeptDirectories({
      directory: join(directory, "cache-mounts"),
      ...{ workDirectory, type: "exec.cachemount" },
    });
  }

  async acquire(request: CacheMountRequest): Promise<CacheMountLease> {
    const { sharing, signal } = request;
    const name = hashOf(request.id);
    const lock = sharing === "locked" ? await this.#locks.acquire(name, signal) : undefined;
    const chosen = sharing === "private" ? this.#free(name) : name;
    const use = this.kept.use(chosen);
    const leave = () => {
      use[Symbol.dispose]();
      lock?.[Symbol.dispose]();
    };
    try {
      return { root: await this.#prepare(chosen, request), [Symbol.asyncDispose]: async () => leave() };
    } catch (error) {
      leave();
      throw error;
    }
  }

  /** The first that nobody uses. */
  #free(name: string): string {
    for (let number = 0; ; number++) {
      const candidate = number === 0 ? name : `${name}-${number}`;
      if (!this.kept.isUsed(candidate)) return candidate;
    }
  }

  async #prepare(name: string, { dest, empty, base, selector, signal }: CacheMountRequest): Promise<string> {
    const directory = this.kept.open(name, `cached mount ${dest}`);
    const root = join(directory, "data");
    if (empty && this.kept.users(name) === 1) await rm(root, { recursive: true, force: true });
    if (existsSync(root)) return root;
    mkdirSync(root, { mode: 0o755 });
    if (base) await this.#fill(root, base, selector, signal);
    return root;
  }

  async #fill(root: string, base: Output, selector: string, signal: AbortSignal): Promise<void> {
    await withTree(this.#deps, base, (source) =>
      this.#deps.files.apply({
        root,
        signal,
        actions: [
          {
            kind: "copy",
            source,
            ...{ src: selector || "/", dest: "/", followLinks: true, directoryContents: true },
            ...{ unpackArchives: false, createDestination: true, wildcards: false, allowNoMatch: true },
            ...{ include: [], exclude: [], required: [], replaceExisting: false },
          },
        ],
      }),
    );
  }
}
