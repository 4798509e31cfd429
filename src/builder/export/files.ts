/** Exporters that give the client files: `local` (a tree) and `tar` (an archive of it). */
import { NotImplementedError } from "../../core/errors.ts";
import type { FileStat } from "../frontend.ts";
import { openReadable } from "../ops/trees.ts";
import type { OutputTree } from "../session.ts";
import type { SolverDeps } from "../solve/deps.ts";
import type { BuildProgress } from "../solve/progress-log.ts";
import type { Exportable } from "./exportable.ts";

interface FilesRequest {
  readonly type: "local" | "tar";
  readonly attrs: Readonly<Record<string, string>>;
  readonly exporterId: string;
  readonly sessionId: string;
  readonly signal: AbortSignal;
}

export async function exportFiles(
  deps: SolverDeps,
  { type, exporterId, sessionId, signal }: FilesRequest,
  result: Exportable,
  progress: BuildProgress,
): Promise<Map<string, string>> {
  const session = await deps.sessions.get(sessionId, { signal });
  const [platform, ...more] = result.platforms;
  if (!platform || more.length > 0) {
    throw new NotImplementedError("files of several platforms are not implemented");
  }
  const options = { exporterId, metadata: new Map<string, string>(), multiPlatform: false, signal };
  const name = type === "local" ? "exporting to client directory" : "exporting to client tarball";
  await progress.step(name, `export ${type} ${exporterId}`, async () => {
    await using tree = await openReadable(deps, platform.output);
    if (type === "tar")
      await session.output.sendFile(deps.files.archive({ root: tree.root, signal }), options);
    else await session.output.sendDirectory(treeOf(deps, tree.root), options);
  });
  return new Map();
}

function treeOf(deps: SolverDeps, root: string): OutputTree {
  return {
    entries: walk(deps, root, ""),
    read: (path) => deps.files.read({ root, path }),
  };
}

/** Parents before what lies in them, a directory at a time. */
async function* walk(deps: SolverDeps, root: string, path: string): AsyncGenerator<readonly FileStat[]> {
  const entries = (await deps.roots.readDirectory(root, `/${path}`)) ?? [];
  for (const { name, ...facts } of entries) {
    const child = path === "" ? name : `${path}/${name}`;
    yield [{ ...facts, path: child, xattrs: new Map() }];
    if ((facts.mode & 0o170000) === 0o040000) yield* walk(deps, root, child);
  }
}
