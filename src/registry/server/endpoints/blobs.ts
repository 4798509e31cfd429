/** `/v2/<name>/blobs/<digest>` and the uploads below it. */
import { parseRange } from "../../../http/index.ts";
import { deleteBlob, getBlob, holdBlob, mountBlob } from "../content/blobs.ts";
import {
  appendChunk,
  beginUpload,
  type ChunkRange,
  dropUpload,
  finishUpload,
  getUpload,
  uploadRange,
} from "../content/uploads.ts";
import { RegistryError } from "../errors.ts";
import { isRepositoryName, parseBlobDigest } from "../names.ts";
import type { UploadRow } from "../store/uploads.ts";
import type { Headers, RegistryCall } from "./call.ts";

export async function readBlob(call: RegistryCall, name: string, text: string): Promise<void> {
  const repository = await call.repository(name, "pull");
  const blob = await getBlob(call.deps, repository, parseBlobDigest(text));
  const { exchange } = call;
  // Who may push asks in order to leave the upload out; who only reads keeps nothing alive.
  if (repository && exchange.head.method === "HEAD" && (await call.may("push", repository))) {
    await holdBlob(call.deps, repository, blob);
  }
  const headers: Headers = {
    "Content-Type": "application/octet-stream",
    "Docker-Content-Digest": blob.digest,
    ETag: `"${blob.digest}"`,
    "Accept-Ranges": "bytes",
    "Cache-Control": "private, max-age=31536000, immutable",
  };
  if (matchesEtag(call, blob.digest)) return await call.empty(304, headers);
  const range = parseRange(call.header("range"), blob.size);
  if (range === "unsatisfiable") {
    throw new RegistryError("RANGE_INVALID", "the range is outside of the blob", {
      headers: { "Content-Range": `bytes */${blob.size}` },
    });
  }
  const isRead = exchange.head.method === "GET";
  const url = isRead ? await call.deps.bytes.signedUrl(blob.objectKey) : undefined;
  if (url !== undefined) return await call.empty(307, { ...headers, Location: url });
  const { start, end } = range ?? { start: 0, end: blob.size };
  const partial: Headers = range ? { "Content-Range": `bytes ${start}-${end - 1}/${blob.size}` } : {};
  const stream = exchange.stream(
    range ? 206 : 200,
    call.commonHeaders({ ...headers, ...partial }),
    end - start,
  );
  if (isRead && end > start) {
    for await (const bytes of call.deps.bytes.read(blob.objectKey, { start, end: end - 1 })) {
      if (exchange.signal.aborted) return stream.destroy();
      await stream.write(bytes);
    }
    call.deps.events.publish({
      action: "pull",
      target: "blob",
      repository: name,
      digest: blob.digest,
      size: blob.size,
      account: call.caller.account,
    });
  }
  await stream.end();
}

export async function removeBlob(call: RegistryCall, name: string, text: string): Promise<void> {
  const repository = await call.repository(name, "delete");
  checkDeletion(call);
  const digest = parseBlobDigest(text);
  await deleteBlob(call.deps, repository, digest);
  call.deps.events.publish({
    action: "delete",
    target: "blob",
    repository: name,
    digest,
    account: call.caller.account,
  });
  await call.empty(202);
}

/** Begins an upload; or mounts, or takes all of the blob at once. */
export async function startUpload(call: RegistryCall, name: string): Promise<void> {
  await call.repository(name, "push");
  const mount = call.query.get("mount");
  if (mount !== null && (await mounted(call, name, mount))) return;
  checkAlgorithm(call.query.get("digest-algorithm"));
  const owner = { repository: name, account: call.account };
  const digestText = call.query.get("digest");
  const digest = digestText === null ? undefined : parseBlobDigest(digestText);
  const upload = await beginUpload(call.deps, owner);
  if (digest === undefined) return await call.empty(202, whereItIs(name, upload));
  await finish(call, name, upload, digest);
}

async function mounted(call: RegistryCall, name: string, mount: string): Promise<boolean> {
  const digest = parseBlobDigest(mount);
  const from = call.query.get("from") ?? undefined;
  if (from !== undefined && !isRepositoryName(from)) return false;
  const source = await mountBlob(call.deps, name, {
    digest,
    from,
    mayPull: (repository) => call.may("pull", repository),
  });
  if (source === undefined) return false;
  call.deps.events.publish({
    action: "mount",
    target: "blob",
    repository: name,
    fromRepository: source,
    digest,
    account: call.caller.account,
  });
  await call.empty(201, blobPlace(name, digest));
  return true;
}

export async function uploadStatus(call: RegistryCall, name: string, id: string): Promise<void> {
  await call.empty(204, whereItIs(name, await ownUpload(call, name, id)));
}

export async function addChunk(call: RegistryCall, name: string, id: string): Promise<void> {
  const upload = await ownUpload(call, name, id);
  const range = contentRange(call);
  const state = await appendChunk(call.deps, upload, { range, body: call.exchange.body });
  await call.empty(202, whereItIs(name, { ...upload, state }));
}

export async function endUpload(call: RegistryCall, name: string, id: string): Promise<void> {
  const upload = await ownUpload(call, name, id);
  await finish(call, name, upload, parseBlobDigest(call.query.get("digest") ?? ""));
}

export async function cancelUpload(call: RegistryCall, name: string, id: string): Promise<void> {
  await dropUpload(call.deps, await ownUpload(call, name, id));
  await call.empty(204);
}

async function finish(call: RegistryCall, name: string, upload: UploadRow, digest: string): Promise<void> {
  const { size } = await finishUpload(call.deps, upload, {
    digest,
    range: contentRange(call),
    body: call.exchange.body,
  });
  call.deps.events.publish({
    action: "push",
    target: "blob",
    repository: name,
    digest,
    size,
    account: call.caller.account,
  });
  await call.empty(201, blobPlace(name, digest));
}

async function ownUpload(call: RegistryCall, name: string, id: string): Promise<UploadRow> {
  const repository = await call.repository(name, "push");
  return await getUpload(call.deps, id, { repository: name, account: call.account }, repository);
}

function blobPlace(name: string, digest: string): Headers {
  return { Location: `/v2/${name}/blobs/${digest}`, "Docker-Content-Digest": digest };
}

function whereItIs(name: string, { id, state }: UploadRow): Headers {
  return { Location: `/v2/${name}/blobs/uploads/${id}`, Range: uploadRange(state), "Docker-Upload-UUID": id };
}

/** `0-99`, as the specification has it, or `bytes 0-99/*`. @throws RegistryError */
function contentRange(call: RegistryCall): ChunkRange | undefined {
  const header = call.header("content-range");
  if (header === undefined) return undefined;
  const [, first = "", last = ""] =
    /^(?:bytes[ =])?\s*(\d{1,15})-(\d{1,15})(?:\/(?:\*|\d+))?$/.exec(header.trim()) ?? [];
  const start = Number(first);
  const end = Number(last);
  if (first === "" || end < start)
    throw new RegistryError("RANGE_INVALID", "the Content-Range cannot be read", { status: 416 });
  const { bodyLength } = call.exchange;
  if (bodyLength !== Number.POSITIVE_INFINITY && bodyLength !== end - start + 1) {
    throw new RegistryError("SIZE_INVALID", "Content-Length and Content-Range differ");
  }
  return { start, end };
}

function checkAlgorithm(algorithm: string | null): void {
  if (algorithm === null || algorithm === "sha256" || algorithm === "sha512") return;
  throw new RegistryError("DIGEST_INVALID", "digest algorithm is neither sha256 nor sha512");
}

export function checkDeletion(call: RegistryCall): void {
  if (!call.deps.policy.deletion)
    throw new RegistryError("UNSUPPORTED", "deletion is switched off in this registry");
}

export function matchesEtag(call: RegistryCall, digest: string): boolean {
  const wanted = call.header("if-none-match");
  return (
    wanted?.split(",").some((tag) => tag.trim().replace(/^W\//, "").replaceAll('"', "") === digest) ?? false
  );
}
