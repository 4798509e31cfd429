/** `/containers/{id}/archive`, `export` and `changes`: decode, one engine call, encode. */
import { createDeflateRaw, createGzip } from "node:zlib";
import type { FilesArchive, PathStat } from "../../core/container-files.ts";
import type { SnapshotChange } from "../../core/snapshots.ts";
import type { Containers } from "../../engine/containers/containers.ts";
import type { Call, Handlers } from "../call.ts";
import { chooseEncoding, type Encoding } from "../content-encoding.ts";

const STAT_HEADER = "X-Docker-Container-Path-Stat";
const KINDS: Readonly<Record<SnapshotChange["kind"], number>> = { modified: 0, added: 1, deleted: 2 };

export function archiveHandlers(containers: Containers): Handlers {
  return {
    async ContainerArchiveInfo(call) {
      const stat = await containers.statPath(call.param("id"), pathOf(call), call.signal);
      call.setHeader(STAT_HEADER, encodeStat(stat));
      call.empty(200);
    },
    async ContainerArchive(call) {
      await using archive = await containers.readPath(call.param("id"), pathOf(call), call.signal);
      await send(call, archive, {
        encoding: chooseEncoding(call.header("accept-encoding"), ["gzip", "deflate"]),
        contentType: "application/x-tar",
      });
    },
    async PutContainerArchive(call) {
      await containers.writePath(call.param("id"), pathOf(call), call.body, {
        noOverwriteDirNonDir: call.query.flag("noOverwriteDirNonDir"),
        copyUIDGID: call.query.flag("copyUIDGID"),
        signal: call.signal,
      });
      call.empty(200);
    },
    async ContainerExport(call) {
      await using archive = await containers.export(call.param("id"), call.signal);
      await send(call, archive, { encoding: undefined, contentType: "application/octet-stream" });
    },
    async ContainerChanges(call) {
      const changes = await containers.changes(call.param("id"), call.signal);
      const encoded = changes.map(({ kind, path }) => ({ Path: path, Kind: KINDS[kind] }));
      call.json(encoded.length > 0 ? encoded : null);
    },
  };
}

function pathOf(call: Call): string {
  return call.query.get("path") ?? "";
}

function encodeStat({ name, size, mode, mtime, linkTarget }: PathStat): string {
  return Buffer.from(JSON.stringify({ name, size, mode, mtime, linkTarget })).toString("base64");
}

/** A failure on the way breaks the connection off: an archive has no place for it. */
async function send(
  call: Call,
  { stat, content }: FilesArchive,
  { encoding, contentType }: { encoding: Encoding | undefined; contentType: string },
): Promise<void> {
  const reply = call.stream({
    contentType,
    headers: {
      ...(stat && { [STAT_HEADER]: encodeStat(stat) }),
      ...(encoding && { "Content-Encoding": encoding }),
    },
    errors: "abort",
  });
  for await (const bytes of encoding ? compressed(content, encoding) : content) {
    call.signal.throwIfAborted();
    await reply.write(bytes);
  }
  await reply.end();
}

/** Raw deflate, as dockerd sends it. */
async function* compressed(
  content: AsyncIterable<Uint8Array>,
  encoding: Encoding,
): AsyncGenerator<Uint8Array> {
  const compressor = encoding === "gzip" ? createGzip() : createDeflateRaw();
  const fed = (async () => {
    for await (const bytes of content) {
      if (!compressor.write(bytes)) await new Promise((resolve) => compressor.once("drain", resolve));
    }
    compressor.end();
  })().catch((error) => compressor.destroy(error as Error));
  yield* compressor;
  await fed;
}
