/** `/v2/<name>/manifests/<reference>`, `/v2/<name>/tags/list`, `/v2/<name>/referrers/<digest>`. */
import { HttpError, readWhole } from "../../../http/index.ts";
import { deleteManifest, getManifest, LARGEST_MANIFEST, putManifest } from "../content/manifests.ts";
import { RegistryError } from "../errors.ts";
import { OCI_INDEX } from "../manifests.ts";
import { isTag, parseBlobDigest, parseManifestReference } from "../names.ts";
import { nextPage, pageOf } from "../pages.ts";
import { listReferrers, listTags } from "../store/manifests.ts";
import { checkDeletion, matchesEtag } from "./blobs.ts";
import type { RegistryCall } from "./call.ts";

/** A client sends a few megabytes at most: it has a minute. */
const BODY_TIME = 60_000;
const MOST_TAGS_AT_ONCE = 100;
const REFERRERS_PAGE = 1_000;

export async function readManifest(call: RegistryCall, name: string, text: string): Promise<void> {
  const reference = parseManifestReference(text);
  const repository = await call.repository(name, "pull");
  const { digest, mediaType, payload } = await getManifest(call.deps, repository, reference);
  const headers = { "Content-Type": mediaType, "Docker-Content-Digest": digest, ETag: `"${digest}"` };
  if (matchesEtag(call, digest)) return await call.empty(304, headers);
  await call.bytes(200, payload, headers);
  if (call.exchange.head.method !== "GET") return;
  call.deps.events.publish({
    action: "pull",
    target: "manifest",
    repository: name,
    digest,
    mediaType,
    size: payload.byteLength,
    ...(reference.kind === "tag" ? { tag: reference.tag } : {}),
    account: call.caller.account,
  });
}

export async function writeManifest(call: RegistryCall, name: string, text: string): Promise<void> {
  const reference = parseManifestReference(text);
  const tags = call.query.getAll("tag");
  if (tags.length > MOST_TAGS_AT_ONCE || !tags.every(isTag)) {
    throw new RegistryError("TAG_INVALID", "manifest tag did not match the grammar");
  }
  await call.repository(name, "push");
  const payload = await readPayload(call);
  const contentType = (call.header("content-type") ?? "").split(";")[0]?.trim() ?? "";
  const { digest, facts } = await putManifest(call.deps, {
    repository: name,
    reference,
    tags,
    contentType,
    payload,
    account: call.account,
  });
  call.deps.events.publish({
    action: "push",
    target: "manifest",
    repository: name,
    digest,
    mediaType: facts.mediaType,
    size: payload.byteLength,
    ...(reference.kind === "tag" ? { tag: reference.tag } : {}),
    account: call.caller.account,
  });
  await call.empty(201, {
    Location: `/v2/${name}/manifests/${digest}`,
    "Docker-Content-Digest": digest,
    ...(facts.subject === undefined ? {} : { "OCI-Subject": facts.subject }),
    ...(tags.length === 0 ? {} : { "OCI-Tag": tags.join(", ") }),
  });
}

export async function removeManifest(call: RegistryCall, name: string, text: string): Promise<void> {
  const reference = parseManifestReference(text);
  const repository = await call.repository(name, "delete");
  checkDeletion(call);
  const digest = await deleteManifest(call.deps, repository, reference);
  call.deps.events.publish({
    action: "delete",
    repository: name,
    digest,
    ...(reference.kind === "tag"
      ? { target: "tag" as const, tag: reference.tag }
      : { target: "manifest" as const }),
    account: call.caller.account,
  });
  await call.empty(202);
}

export async function readTags(call: RegistryCall, name: string): Promise<void> {
  const repository = await call.repository(name, "pull");
  if (!repository)
    throw new RegistryError("NAME_UNKNOWN", "repository name not known to registry", { detail: { name } });
  const page = pageOf(call.query, undefined);
  const found =
    page.limit === 0
      ? []
      : await listTags(call.deps.database.reader, repository.id, page.after, page.limit + 1);
  const tags = found.slice(0, page.limit);
  const more = found.length > tags.length ? tags.at(-1) : undefined;
  await call.json({ name, tags }, { headers: nextPage(`/v2/${name}/tags/list`, page.limit, more) });
}

/** Also for a subject that is not there: it may come later. */
export async function readReferrers(call: RegistryCall, name: string, text: string): Promise<void> {
  const subject = parseBlobDigest(text);
  const repository = await call.repository(name, "pull");
  const artifactType = call.query.get("artifactType") || undefined;
  const after = call.query.get("last") ?? "";
  const found = repository
    ? await listReferrers(call.deps.database.reader, {
        repoId: repository.id,
        subject,
        artifactType,
        after,
        limit: REFERRERS_PAGE + 1,
      })
    : [];
  const shown = found.slice(0, REFERRERS_PAGE);
  const last = found.length > shown.length ? shown.at(-1)?.digest : undefined;
  const more = new URLSearchParams({
    last: last ?? "",
    ...(artifactType === undefined ? {} : { artifactType }),
  });
  const index = {
    schemaVersion: 2,
    mediaType: OCI_INDEX,
    manifests: shown.map((row) => ({
      mediaType: row.mediaType,
      digest: row.digest,
      size: row.size,
      ...(row.artifactType === null ? {} : { artifactType: row.artifactType }),
      ...(row.annotations === null ? {} : { annotations: JSON.parse(row.annotations) }),
    })),
  };
  await call.bytes(200, Buffer.from(JSON.stringify(index)), {
    "Content-Type": OCI_INDEX,
    ...(artifactType === undefined ? {} : { "OCI-Filters-Applied": "artifactType" }),
    ...(last === undefined ? {} : { Link: `</v2/${name}/referrers/${subject}?${more}>; rel="next"` }),
  });
}

/** @throws RegistryError with status 413 for one that is too large */
async function readPayload({ exchange }: RegistryCall): Promise<Uint8Array> {
  try {
    return await readWhole(exchange.body, exchange.bodyLength, {
      maxBytes: LARGEST_MANIFEST,
      timeout: BODY_TIME,
    });
  } catch (error) {
    if (!(error instanceof HttpError) || error.status !== 413) throw error;
    throw new RegistryError("SIZE_INVALID", `a manifest has at most ${LARGEST_MANIFEST} bytes`, {
      status: 413,
      cause: error,
    });
  }
}
