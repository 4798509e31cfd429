/** Manifests, indexes and tags of a repository: out of a registry, verified, and into one. */
import type { Descriptor } from "../../core/content.ts";
import { digestOf, isDigest } from "../../core/digests.ts";
import { InvalidParameterError } from "../../core/errors.ts";
import { MANIFEST_TYPES } from "../../core/manifests.ts";
import { familiarString, type Reference } from "../../core/references.ts";
import { type FetchedManifest, MANIFEST_LIMIT, type RegistryOptions } from "../../core/registry.ts";
import { toEngineError, toPushError } from "./errors.ts";
import type { HostCapability } from "./host-files.ts";
import type { RegistryHost } from "./hosts.ts";
import { readBody } from "./http.ts";
import { pullScope, pushScope, type RegistrySession } from "./session.ts";

const MOST_TAG_PAGES = 1000;
/** A registry may look at all blobs before it answers. */
const PUT_TIMEOUT_MS = 300_000;

export async function fetchManifest(
  session: RegistrySession,
  reference: Reference,
  options: RegistryOptions,
): Promise<FetchedManifest> {
  return await session.onAnyHost(
    reference,
    options,
    async (host) => {
      const response = await requestManifest(session, "GET", host, reference, options);
      const bytes = await readBody(response, MANIFEST_LIMIT);
      if (response.status !== 200) throw toEngineError(reference, response.status, bytes);
      const digest = digestOf(bytes);
      checkManifestDigest(reference, response, digest);
      return { descriptor: { mediaType: mediaTypeOf(response), digest, size: bytes.byteLength }, bytes };
    },
    needOf(reference),
  );
}

export async function describeManifest(
  session: RegistrySession,
  reference: Reference,
  options: RegistryOptions,
): Promise<Descriptor> {
  const described = await session.onAnyHost(
    reference,
    options,
    async (host) => {
      const response = await requestManifest(session, "HEAD", host, reference, options);
      await response.body?.cancel();
      // The answer to HEAD has no error document: GET tells more.
      if (response.status !== 200) return undefined;
      const digest = response.headers.get("docker-content-digest") ?? "";
      const size = Number(response.headers.get("content-length") ?? "-1");
      if (!isDigest(digest) || !Number.isInteger(size) || size < 0) return undefined;
      checkManifestDigest(reference, response, reference.digest ?? digest);
      return { mediaType: mediaTypeOf(response), digest, size };
    },
    needOf(reference),
  );
  return described ?? (await fetchManifest(session, reference, options)).descriptor;
}

function requestManifest(
  session: RegistrySession,
  method: "GET" | "HEAD",
  host: RegistryHost,
  reference: Reference,
  options: RegistryOptions,
): Promise<Response> {
  const headers = { accept: MANIFEST_TYPES.join(", ") };
  const request = { method, path: pathOf(reference), headers, signal: options.signal };
  return session.patient(host, [pullScope(reference)], request, options);
}

/** Gives it the reference's tag, or none if that has a digest. @returns digest and size as they are now in the registry */
export async function pushManifest(
  session: RegistrySession,
  reference: Reference,
  manifest: { readonly mediaType: string; readonly bytes: Uint8Array },
  options: RegistryOptions,
): Promise<Descriptor> {
  const { mediaType, bytes } = manifest;
  const host = session.ownHost(reference.domain);
  const digest = digestOf(bytes);
  const response = await session.patient(
    host,
    [pushScope(reference)],
    {
      method: "PUT",
      path: pathOf(reference),
      headers: { "content-type": mediaType },
      body: { length: bytes.byteLength, open: () => bytes },
      timeout: PUT_TIMEOUT_MS,
      signal: options.signal,
    },
    options,
  );
  const answer = await readBody(response, MANIFEST_LIMIT);
  if (response.status !== 201 && response.status !== 200 && response.status !== 202) {
    throw toPushError(reference, response.status, answer);
  }
  checkManifestDigest(reference, response, digest);
  return { mediaType, digest, size: bytes.byteLength };
}

export async function listTags(
  session: RegistrySession,
  repository: Reference,
  options: RegistryOptions,
): Promise<string[]> {
  return await session.onAnyHost(
    repository,
    options,
    async (host) => {
      const tags: string[] = [];
      const seen = new Set<string>();
      let path: string | undefined = `/v2/${repository.path}/tags/list`;
      // A page that leads to one that was there has nothing more to tell.
      while (path !== undefined && !seen.has(path)) {
        if (seen.size === MOST_TAG_PAGES) {
          throw new InvalidParameterError(`the registry's list of tags of ${repository.path} has no end`, {
            subject: repository.path,
          });
        }
        seen.add(path);
        const request = { path, signal: options.signal };
        const response = await session.patient(host, [pullScope(repository)], request, options);
        const bytes = await readBody(response, MANIFEST_LIMIT);
        if (response.status !== 200) throw toEngineError(repository, response.status, bytes);
        tags.push(...parseTags(bytes));
        path = nextPage(response, path);
      }
      return tags;
    },
    "resolve",
  );
}

/** Who is asked what a tag means decides what is run. */
function needOf({ digest }: Reference): HostCapability {
  return digest === undefined ? "resolve" : "pull";
}

function pathOf(reference: Reference): string {
  return `/v2/${reference.path}/manifests/${reference.digest ?? reference.tag ?? "latest"}`;
}

function parseTags(bytes: Uint8Array): string[] {
  let document: { tags?: unknown } | null;
  try {
    document = JSON.parse(new TextDecoder().decode(bytes)) as typeof document;
  } catch (error) {
    throw new InvalidParameterError("the registry's list of tags is not JSON", { cause: error });
  }
  const tags = document?.tags ?? [];
  if (!Array.isArray(tags)) throw new InvalidParameterError("the registry's list of tags is none");
  return tags.filter((tag): tag is string => typeof tag === "string");
}

/** `Link: </v2/name/tags/list?last=x&n=100>; rel="next"`. Only its path counts: a page is on the same host. */
function nextPage(response: Response, path: string): string | undefined {
  const [, target] = /^<([^>]+)>;\s*rel="?next"?/.exec(response.headers.get("link") ?? "") ?? [];
  const url = target === undefined ? null : URL.parse(target, `http://registry${path}`);
  return url ? `${url.pathname}${url.search}` : undefined;
}

function mediaTypeOf(response: Response): string {
  return (response.headers.get("content-type") ?? "").split(";", 1)[0]?.trim() ?? "";
}

/** What was asked for, and what the registry says that it has, must both be what came or went. */
function checkManifestDigest(reference: Reference, response: Response, digest: string): void {
  const claimed = response.headers.get("docker-content-digest");
  const expected = [reference.digest, claimed?.startsWith("sha256:") ? claimed : undefined];
  for (const of of expected) {
    if (of !== undefined && of !== digest) {
      throw new InvalidParameterError(
        `manifest verification failed for digest ${of}: ${familiarString(reference)} has ${digest}`,
      );
    }
  }
}
