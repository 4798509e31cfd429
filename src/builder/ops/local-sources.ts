/**
 * Directories of the client's. A copy is kept for each, by what the client calls itself and the directory, so that the next
 * build sends only what differs. A copy that is in use is left alone: another build at the same time gets one of its own.
 *
 *     <directory>/contexts/<name>/tree, tree.index
 */
import { randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { BuildFiles, TreeEntry } from "../../core/build-files.ts";
import { KeptDirectories } from "../cache/kept.ts";
import { hashOf } from "../cache/store.ts";
import type { FileStat } from "../frontend.ts";
import type { BuildSession, Sessions } from "../session.ts";
import type { VertexReport } from "../solve/progress-log.ts";

export interface LocalRequest {
  readonly name: string;
  readonly sessionId: string;
  readonly sharedKeyHint: string;
  readonly includePatterns: readonly string[];
  readonly excludePatterns: readonly string[];
  readonly followPaths: readonly string[];
}

interface LocalParts {
  readonly files: BuildFiles;
  readonly sessions: Sessions;
  readonly directory: string;
  readonly workDirectory: string;
}

export class LocalSources {
  readonly kept: KeptDirectories;
  readonly #parts: LocalParts;

  constructor(parts: LocalParts) {
    const { directory, workDirectory } = parts;
    this.#parts = parts;
    this.kept = new KeptDirectories({
      directory: join(directory, "contexts"),
      ...{ workDirectory, type: "source.local" },
    });
  }

  /** The directory as the client has it now; valid until the build is over. @throws NotFoundError */
  async receive(
    request: LocalRequest,
    { signal, cleanup, report }: { signal: AbortSignal; cleanup: AsyncDisposableStack; report: VertexReport },
  ): Promise<string> {
    const session = await this.#parts.sessions.get(request.sessionId, { signal });
    const there = session.tree?.(request.name);
    if (there !== undefined) return there;
    const place = this.#place(request, session, cleanup);
    mkdirSync(place, { recursive: true, mode: 0o700 });
    const root = join(place, "tree");
    mkdirSync(root, { recursive: true, mode: 0o755 });
    await this.#transfer(root, request, session, { signal, report });
    return root;
  }

  #place(request: LocalRequest, session: BuildSession, cleanup: AsyncDisposableStack): string {
    const { sessionId: _, ...which } = request;
    const key = hashOf(session.sharedKey, JSON.stringify(which));
    if (session.sharedKey !== "" && !this.kept.isUsed(key)) {
      cleanup.use(this.kept.use(key));
      return this.kept.open(key, `local source for ${request.name}`);
    }
    const temporary = join(this.#parts.workDirectory, `context-${randomBytes(8).toString("hex")}`);
    cleanup.defer(() => rm(temporary, { recursive: true, force: true }));
    return temporary;
  }

  async #transfer(
    root: string,
    { name, includePatterns, excludePatterns, followPaths }: LocalRequest,
    session: BuildSession,
    { signal, report }: { signal: AbortSignal; report: VertexReport },
  ): Promise<void> {
    await using from = await session.openDirectory(name, {
      includePatterns,
      excludePatterns,
      followPaths,
      signal,
    });
    await using to = await this.#parts.files.receive({ root, signal });
    let wanted = 0;
    for await (const entries of from.entries) {
      for (const index of await to.offer(entries.map(toEntry))) {
        wanted++;
        from.request(index);
      }
    }
    const title = `transferring ${name}:`;
    let bytes = 0;
    report.status(title, { current: 0 });
    if (wanted > 0) {
      for await (const piece of from.data) {
        await to.write(piece.index, piece.bytes, piece.end);
        bytes += piece.bytes.length;
        if (piece.end && --wanted === 0) break;
      }
    }
    await to.finish();
    await from.finish();
    report.status(title, { current: bytes, done: true });
  }
}

function toEntry({ xattrs: _, modTime, path, linkname, ...rest }: FileStat): TreeEntry {
  return { ...rest, uid: 0, gid: 0, mtime: modTime, path: toBytes(path), linkname: toBytes(linkname) };
}

/** Text as a byte string. */
function toBytes(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}
