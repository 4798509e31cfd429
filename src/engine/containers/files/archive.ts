/**
 * `docker cp`, `docker export` and `docker diff`: a container's files as its clients want them. Nothing here holds the
 * container's lock: who copies slowly keeps nobody from stopping or removing it.
 */

import type { ContainerRecord } from "../../../core/container.ts";
import type { FilesArchive, PathStat, WriteFilesOptions } from "../../../core/container-files.ts";
import { ConflictError, InvalidParameterError, NotFoundError } from "../../../core/errors.ts";
import type { SnapshotChange } from "../../../core/snapshots.ts";
import type { ContainerDeps } from "../deps.ts";
import { publish } from "../events.ts";
import { resolveUser } from "../oci-spec/user.ts";
import { type OpenView, openRootView, openView, type ViewDeps } from "./view.ts";

export type FilesDeps = ViewDeps & Pick<ContainerDeps, "store" | "events" | "files" | "rootFiles">;

export interface WriteArchiveOptions {
  readonly noOverwriteDirNonDir: boolean;
  /** Everything is to belong to the container's user, if it has one. */
  readonly copyUIDGID: boolean;
  readonly signal: AbortSignal;
}

/** @throws NotFoundError "Could not find the file …" */
export async function statContainerPath(
  deps: FilesDeps,
  reference: string,
  path: string,
  signal: AbortSignal,
): Promise<PathStat> {
  const container = presentContainer(deps, reference);
  checkPath(path);
  await using open = await openView(deps, container);
  return await findingPath(reference, path, () => deps.files.stat(open.view, path, signal));
}

/** A tar archive of what is at a path. @throws NotFoundError "Could not find the file …" */
export async function readContainerPath(
  deps: FilesDeps,
  reference: string,
  path: string,
  signal: AbortSignal,
): Promise<FilesArchive> {
  const container = presentContainer(deps, reference);
  checkPath(path);
  const archive = await openArchive(await openView(deps, container), ({ view }) =>
    findingPath(reference, path, () => deps.files.read(view, path, signal)),
  );
  publish(deps.events, container, "archive-path");
  return archive;
}

/**
 * Unpacks a tar archive into a directory of the container.
 * @throws NotFoundError; InvalidParameterError where it must not be written; NoSpaceError
 */
export async function writeContainerPath(
  deps: FilesDeps,
  reference: string,
  path: string,
  content: AsyncIterable<Uint8Array>,
  options: WriteArchiveOptions,
): Promise<void> {
  const container = presentContainer(deps, reference);
  checkPath(path);
  const { noOverwriteDirNonDir, signal } = options;
  const write: WriteFilesOptions = {
    noOverwriteDirNonDir,
    owner: options.copyUIDGID ? await ownerOf(deps, container) : undefined,
    readOnlyRoot: container.hostConfig.ReadonlyRootfs ?? false,
    mounts: container.mounts.map(({ destination, rw }) => ({ destination, rw })),
  };
  await using open = await openView(deps, container);
  await findingPath(reference, path, () => deps.files.write(open.view, path, content, { ...write, signal }));
  publish(deps.events, container, "extract-to-dir");
}

/** A tar archive of the container's own file system, without volumes. */
export async function exportContainer(
  deps: FilesDeps,
  reference: string,
  signal: AbortSignal,
): Promise<FilesArchive> {
  const container = presentContainer(deps, reference);
  const archive = await openArchive(await openRootView(deps, container), ({ view }) =>
    deps.files.readAll(view, signal),
  );
  publish(deps.events, container, "export");
  return archive;
}

/** What the container changed of its image's files. */
export async function listContainerChanges(
  deps: Pick<ContainerDeps, "store" | "snapshots">,
  reference: string,
  signal: AbortSignal,
): Promise<SnapshotChange[]> {
  return await deps.snapshots.changes(presentContainer(deps, reference).id, signal);
}

/** The view stays open as long as the archive does. */
async function openArchive(
  open: OpenView,
  read: (open: OpenView) => Promise<FilesArchive>,
): Promise<FilesArchive> {
  await using undo = new AsyncDisposableStack();
  undo.use(open);
  const archive = undo.use(await read(open));
  const owned = undo.move();
  return {
    stat: archive.stat,
    content: archive.content,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** @throws ConflictError for one that is on its way out: its files may be gone */
function presentContainer({ store }: Pick<ContainerDeps, "store">, reference: string): ContainerRecord {
  const container = store.get(reference);
  const { status } = container.state;
  if (status === "dead") {
    throw new ConflictError(`can't get the files of a container which is dead: ${container.id}`, {
      subject: container.id,
    });
  }
  return container;
}

function checkPath(path: string): void {
  // The words are dockerd's, its missing blank included.
  if (path === "") throw new InvalidParameterError("bad parameter: pathcannot be empty");
  if (path.includes("\0")) throw new InvalidParameterError("invalid path: it has a NUL byte in it");
}

async function findingPath<T>(reference: string, path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof NotFoundError)) throw error;
    throw new NotFoundError(`Could not find the file ${path} in container ${reference}`, {
      subject: path,
      cause: error,
    });
  }
}

async function ownerOf(
  { snapshots, rootFiles }: FilesDeps,
  { id, config }: ContainerRecord,
): Promise<WriteFilesOptions["owner"]> {
  if (!config.User) return undefined;
  await using root = await snapshots.mount(id);
  const { uid, gid } = await resolveUser(rootFiles, root.path, config.User);
  return { uid, gid };
}
