/**
 * What a manifest is and what it refers to. Bytes are kept as they came; this is read from them once, when they are
 * pushed. Pure.
 */
import type { BlobDigest } from "../../core/registry-bytes.ts";
import { RegistryError } from "./errors.ts";
import { isBlobDigest } from "./names.ts";

export const OCI_INDEX = "application/vnd.oci.image.index.v1+json";
const DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json";
const OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json";
const DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_SCHEMA_1 = /^application\/vnd\.docker\.distribution\.manifest\.v1\+(json|prettyjws)$/;
/** Bytes that are legally kept elsewhere. */
const NONDISTRIBUTABLE = /nondistributable|\.foreign\./;
/** Of references in one document: more is an attack on the one transaction that checks them. */
const MOST_REFERENCES = 20_000;

export interface ManifestChild {
  readonly digest: BlobDigest;
  readonly kind: "config" | "layer" | "manifest";
  readonly size: number;
}

export interface ManifestFacts {
  readonly mediaType: string;
  /** What referrers are filtered by; undefined for an index that does not say. */
  readonly artifactType: string | undefined;
  readonly subject: BlobDigest | undefined;
  readonly annotations: Readonly<Record<string, string>> | undefined;
  /** What must be in the repository. Each digest once. */
  readonly children: readonly ManifestChild[];
}

/**
 * @param contentType of the request, without parameters
 * @throws RegistryError MANIFEST_INVALID: one document is one kind, whoever reads it (CVE-2021-41190)
 */
export function readManifest(bytes: Uint8Array, contentType: string): ManifestFacts {
  const document = parseDocument(bytes);
  const inside = document.mediaType;
  if (inside !== undefined && typeof inside !== "string") throw invalid("mediaType is not a string");
  const mediaType = contentType || inside || "";
  if (inside !== undefined && inside !== mediaType) {
    throw invalid(`the manifest was sent as ${mediaType}, and says that it is ${inside}`);
  }
  if (DOCKER_SCHEMA_1.test(mediaType) || document.schemaVersion === 1) {
    throw invalid("schema 1 manifests are not supported: push the image again with a current client");
  }
  if (!mediaType) throw invalid("the manifest has no media type");
  if ("manifests" in document && ("layers" in document || "config" in document)) {
    throw invalid("the document could be both an index and an image");
  }
  const isIndex = mediaType === OCI_INDEX || mediaType === DOCKER_LIST;
  const isImage = mediaType === OCI_MANIFEST || mediaType === DOCKER_MANIFEST;
  if (!isIndex && !isImage) throw invalid(`media type ${mediaType} is no manifest's`);
  const children = isIndex ? indexChildren(document) : imageChildren(document);
  if (children.length > MOST_REFERENCES) throw invalid(`more than ${MOST_REFERENCES} references`);
  return {
    mediaType,
    artifactType: artifactTypeOf(document, isIndex),
    subject: document.subject === undefined ? undefined : descriptor(document.subject, "subject").digest,
    annotations: stringMap(document.annotations),
    children: unique(children),
  };
}

function indexChildren(document: Record<string, unknown>): ManifestChild[] {
  return list(document.manifests, "manifests").map((entry, index) => ({
    ...descriptor(entry, `manifests[${index}]`),
    kind: "manifest",
  }));
}

function imageChildren(document: Record<string, unknown>): ManifestChild[] {
  const config: ManifestChild = { ...descriptor(document.config, "config"), kind: "config" };
  const layers = document.layers === undefined ? [] : list(document.layers, "layers");
  const kept = layers.flatMap((entry, index): ManifestChild[] => {
    const layer = descriptor(entry, `layers[${index}]`);
    return layer.elsewhere ? [] : [{ digest: layer.digest, size: layer.size, kind: "layer" }];
  });
  return [config, ...kept];
}

/** An artifact's type is its own, or for an image its config's. */
function artifactTypeOf(document: Record<string, unknown>, isIndex: boolean): string | undefined {
  const { artifactType, config } = document;
  if (typeof artifactType === "string" && artifactType !== "") return artifactType;
  if (isIndex || typeof config !== "object" || config === null) return undefined;
  const { mediaType } = config as { mediaType?: unknown };
  return typeof mediaType === "string" ? mediaType : undefined;
}

function descriptor(value: unknown, where: string): { digest: BlobDigest; size: number; elsewhere: boolean } {
  if (typeof value !== "object" || value === null) throw invalid(`${where} is not a descriptor`);
  const { digest, size, mediaType, urls } = value as Record<string, unknown>;
  if (typeof digest !== "string" || !isBlobDigest(digest))
    throw invalid(`${where} has no sha256 or sha512 digest`);
  if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0)
    throw invalid(`${where} has no valid size`);
  if (typeof mediaType !== "string") throw invalid(`${where} has no media type`);
  const elsewhere = NONDISTRIBUTABLE.test(mediaType) || (Array.isArray(urls) && urls.length > 0);
  return { digest, size, elsewhere };
}

function unique(children: readonly ManifestChild[]): ManifestChild[] {
  return [...new Map(children.map((child) => [child.digest, child])).values()];
}

function list(value: unknown, where: string): readonly unknown[] {
  if (!Array.isArray(value)) throw invalid(`${where} is not a list`);
  return value;
}

function stringMap(value: unknown): Readonly<Record<string, string>> | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "object" || Array.isArray(value)) throw invalid("annotations are not a map");
  if (!Object.values(value).every((of) => typeof of === "string"))
    throw invalid("annotations are not strings");
  return value as Record<string, string>;
}

function parseDocument(bytes: Uint8Array): Record<string, unknown> {
  let document: unknown;
  try {
    document = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw invalid(`not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (typeof document !== "object" || document === null || Array.isArray(document))
    throw invalid("not an object");
  return document as Record<string, unknown>;
}

function invalid(message: string): RegistryError {
  return new RegistryError("MANIFEST_INVALID", `manifest invalid: ${message}`);
}
