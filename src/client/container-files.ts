/** Calls about the files of containers. A path's stat comes in a header, as JSON in base64. */
import { type Call, type Engine, objectSegment, type Reply } from "./engine.ts";
import { EngineProtocolError } from "./errors.ts";

/** @see the API's ContainerPathStat; `mode` is Go's */
export interface ContainerPathStat {
  readonly name: string;
  readonly size: number;
  readonly mode: number;
  readonly mtime: string;
  readonly linkTarget: string;
}

/** A line of `diff`: 0 changed, 1 added, 2 deleted. */
export interface ContainerChange {
  readonly Path: string;
  readonly Kind: 0 | 1 | 2;
}

const GO_DIRECTORY = 0x80000000;
const GO_SYMLINK = 0x8000000;
/** Everything that is no regular file. */
const GO_TYPES = 0x8f280000;

export const isDirectory = ({ mode }: ContainerPathStat): boolean => (mode & GO_DIRECTORY) !== 0;
export const isSymlink = ({ mode }: ContainerPathStat): boolean => (mode & GO_SYMLINK) !== 0;
export const isRegular = ({ mode }: ContainerPathStat): boolean => (mode & GO_TYPES) === 0;

export async function statContainerPath(
  engine: Engine,
  id: string,
  path: string,
): Promise<ContainerPathStat> {
  const reply = await engine.request({ method: "HEAD", path: archiveOf(id), query: { path } });
  await reply.discard();
  return statOf(reply);
}

/** A tar archive of what is there. */
export async function readContainerPath(
  engine: Engine,
  id: string,
  path: string,
): Promise<{ readonly stat: ContainerPathStat; readonly body: AsyncIterable<Uint8Array> }> {
  const reply = await engine.request({ method: "GET", path: archiveOf(id), query: { path } });
  return { stat: statOf(reply), body: reply.body };
}

/** Unpacks a tar archive into a directory. */
export async function writeContainerPath(
  engine: Engine,
  id: string,
  path: string,
  content: AsyncIterable<Uint8Array>,
  { copyUIDGID }: { readonly copyUIDGID: boolean },
): Promise<void> {
  const call: Call = {
    method: "PUT",
    path: archiveOf(id),
    query: { path, noOverwriteDirNonDir: "true", ...(copyUIDGID && { copyUIDGID: "true" }) },
    bytes: content,
    contentType: "application/x-tar",
  };
  const reply = await engine.request(call);
  await reply.discard();
}

export async function exportContainer(engine: Engine, id: string): Promise<AsyncIterable<Uint8Array>> {
  const path = `/containers/${objectSegment("container", id)}/export`;
  return (await engine.request({ method: "GET", path })).body;
}

export async function containerChanges(engine: Engine, id: string): Promise<ContainerChange[]> {
  const path = `/containers/${objectSegment("container", id)}/changes`;
  const reply = await engine.request({ method: "GET", path });
  return (await reply.json<ContainerChange[] | null>()) ?? [];
}

function archiveOf(id: string): string {
  return `/containers/${objectSegment("container", id)}/archive`;
}

function statOf({ headers }: Reply): ContainerPathStat {
  const encoded = headers.get("x-docker-container-path-stat") ?? "";
  try {
    return JSON.parse(Buffer.from(encoded, "base64").toString()) as ContainerPathStat;
  } catch (cause) {
    throw new EngineProtocolError(`unable to decode container path stat header: ${JSON.stringify(encoded)}`, {
      cause,
    });
  }
}
