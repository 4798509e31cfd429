/**
 * Directories that builds keep for the next ones, beside results: caches of programs, copies of the client's directories.
 * Each is a folder of its own, with a file that says what it is. One that is in use stays; one that goes is first moved
 * to where the next boot empties, so that half of it is never found again.
 *
 *     <directory>/<name>/facts.json
 */
import { existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { lstat, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { log } from "../../base/log.ts";
import { messageOf } from "../../core/errors.ts";
import type { CacheRecord } from "../build.ts";

interface Facts {
  readonly description: string;
  /** ms since the epoch. */
  readonly createdAt: number;
  readonly lastUsedAt: number;
  readonly uses: number;
}

export interface KeptParts {
  readonly directory: string;
  /** On the same disk, emptied at boot. */
  readonly workDirectory: string;
  readonly type: CacheRecord["type"];
}

export class KeptDirectories {
  readonly #parts: KeptParts;
  /** How many use a directory now. */
  readonly #users = new Map<string, number>();

  constructor(parts: KeptParts) {
    this.#parts = parts;
    mkdirSync(parts.directory, { recursive: true, mode: 0o700 });
  }

  isUsed(name: string): boolean {
    return this.#users.has(name);
  }

  /** How many use it now. */
  users(name: string): number {
    return this.#users.get(name) ?? 0;
  }

  /** Keeps it in place until disposed. It need not be there yet. */
  use(name: string): Disposable {
    this.#users.set(name, this.users(name) + 1);
    return {
      [Symbol.dispose]: () => {
        const left = this.users(name) - 1;
        if (left > 0) this.#users.set(name, left);
        else this.#users.delete(name);
      },
    };
  }

  /** The path of one that is used; made if it is not there. Counts as a use. */
  open(name: string, description: string): string {
    const path = join(this.#parts.directory, name);
    const former = existsSync(path) ? this.#factsOf(path) : undefined;
    mkdirSync(path, { recursive: true, mode: 0o700 });
    const now = Date.now();
    const facts: Facts = {
      ...{ description, createdAt: former?.createdAt ?? now, lastUsedAt: now },
      uses: (former?.uses ?? 0) + 1,
    };
    writeFileSync(join(path, "facts.json"), JSON.stringify(facts), { mode: 0o600 });
    return path;
  }

  /** All that there are, measured anew. */
  async records(signal: AbortSignal): Promise<CacheRecord[]> {
    const records: CacheRecord[] = [];
    for (const name of await readdir(this.#parts.directory)) {
      const path = join(this.#parts.directory, name);
      const size = await diskSize(path, signal);
      if (!existsSync(path)) continue;
      const { description, createdAt, lastUsedAt, uses } = this.#factsOf(path);
      records.push({
        ...{ id: name, parents: [], mutable: true, inUse: this.isUsed(name), shared: false, size },
        createdAt: BigInt(createdAt) * 1_000_000n,
        lastUsedAt: BigInt(lastUsedAt) * 1_000_000n,
        ...{ usageCount: uses, description, type: this.#parts.type },
      });
    }
    return records;
  }

  /** Whether it went: one that is used stays. */
  async remove(name: string): Promise<boolean> {
    const path = join(this.#parts.directory, name);
    if (this.isUsed(name) || !existsSync(path)) return false;
    const doomed = join(this.#parts.workDirectory, `removed-${name}-${process.hrtime.bigint()}`);
    renameSync(path, doomed);
    await rm(doomed, { recursive: true, force: true });
    return true;
  }

  /** As they are written; what a file does not tell, the directory itself does. */
  #factsOf(path: string): Facts {
    try {
      const { description, createdAt, lastUsedAt, uses } = JSON.parse(
        readFileSync(join(path, "facts.json"), "utf8"),
      ) as Facts;
      return { description, createdAt, lastUsedAt, uses };
    } catch (error) {
      if ((error as { code?: unknown }).code !== "ENOENT")
        log("warn", "what a kept directory is cannot be read", { path, error: messageOf(error) });
      const { birthtimeMs, mtimeMs } = statSync(path);
      const [createdAt, lastUsedAt] = [Math.floor(birthtimeMs), Math.floor(mtimeMs)];
      return { description: this.#parts.type, createdAt, lastUsedAt, uses: 0 };
    }
  }
}

/** Bytes that a tree takes on its disk, hard links once. What goes while it is measured counts as nothing. */
export async function diskSize(path: string, signal: AbortSignal): Promise<number> {
  const linked = new Set<number>();
  const pending = [path];
  let size = 0;
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    signal.throwIfAborted();
    const stat = await lstat(next).catch(ignoreMissing);
    if (!stat || linked.has(stat.ino)) continue;
    if (stat.nlink > 1 && !stat.isDirectory()) linked.add(stat.ino);
    size += stat.blocks * 512;
    if (!stat.isDirectory()) continue;
    for (const name of (await readdir(next).catch(ignoreMissing)) ?? []) pending.push(join(next, name));
  }
  return size;
}

function ignoreMissing(error: unknown): undefined {
  const code = (error as { code?: unknown }).code;
  if (code !== "ENOENT" && code !== "ENOTDIR") throw error;
}
