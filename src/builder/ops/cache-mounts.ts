/**
 * Directories that programs of builds keep things in from one time to the next (`RUN --mount=type=cache`). Their names on
 * disk are digests of their ids, so that no id leads anywhere else (S08).
 *
 *     <directory>/cache-mounts/<sha256 of the id>[-n]/data
 */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { KeyedLock } from "../../base/keyed-lock.ts";
import type { BuildFiles } from "../../core/build-files.ts";
import { hashOf } from "../cache/store.ts";
import type { SolverDeps } from "../solve/deps.ts";
import type { Output } from "../solve/output.ts";
import { withTree } from "./trees.ts";

export interface CacheMountRequest {
  readonly id: string;
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

export class CacheMounts {
  readonly #deps: Pick<SolverDeps, "snapshots"> & { readonly files: BuildFiles };
  readonly #directory: string;
  readonly #locks = new KeyedLock();
  /** How many use a directory now. */
  readonly #users = new Map<string, number>();

  constructor(deps: Pick<SolverDeps, "snapshots"> & { readonly files: BuildFiles }, directory: string) {
    this.#deps = deps;
    this.#directory = join(directory, "cache-mounts");
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
  }

  async acquire(request: CacheMountRequest): Promise<CacheMountLease> {
    const { sharing, signal } = request;
    const name = hashOf(request.id);
    const lock = sharing === "locked" ? await this.#locks.acquire(name, signal) : undefined;
    try {
      const chosen = sharing === "private" ? this.#free(name) : name;
      this.#users.set(chosen, (this.#users.get(chosen) ?? 0) + 1);
      const root = await this.#prepare(chosen, request);
      return {
        root,
        [Symbol.asyncDispose]: async () => {
          this.#leave(chosen);
          lock?.[Symbol.dispose]();
        },
      };
    } catch (error) {
      lock?.[Symbol.dispose]();
      throw error;
    }
  }

  /** The first that nobody uses. */
  #free(name: string): string {
    for (let number = 0; ; number++) {
      const candidate = number === 0 ? name : `${name}-${number}`;
      if (!this.#users.has(candidate)) return candidate;
    }
  }

  #leave(name: string): void {
    const left = (this.#users.get(name) ?? 1) - 1;
    if (left > 0) this.#users.set(name, left);
    else this.#users.delete(name);
  }

  async #prepare(name: string, { id, empty, base, selector, signal }: CacheMountRequest): Promise<string> {
    const directory = join(this.#directory, name);
    const root = join(directory, "data");
    if (empty && this.#users.get(name) === 1) await rm(directory, { recursive: true, force: true });
    if (existsSync(root)) return root;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    mkdirSync(root, { mode: 0o755 });
    writeFileSync(join(directory, "id"), id, { mode: 0o600 });
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
