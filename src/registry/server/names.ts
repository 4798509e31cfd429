/** The grammar of names, tags and digests. @see https://github.com/opencontainers/distribution-spec/blob/main/spec.md */
import type { BlobDigest } from "../../core/registry-bytes.ts";
import { RegistryError } from "./errors.ts";

const COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;
const LENGTHS: Readonly<Record<string, number>> = { sha256: 64, sha512: 128 };
/** Of `host/name` together; the host's part is left to the client. */
const LONGEST_NAME = 255;

export function isRepositoryName(text: string): boolean {
  return text.length <= LONGEST_NAME && text.split("/").every((component) => COMPONENT.test(component));
}

export function isTag(text: string): boolean {
  return TAG.test(text);
}

export function isBlobDigest(text: string): text is BlobDigest {
  const [algorithm = "", hex = "", ...rest] = text.split(":");
  return rest.length === 0 && LENGTHS[algorithm] === hex.length && /^[a-f0-9]+$/.test(hex);
}

/** @throws RegistryError DIGEST_INVALID */
export function parseBlobDigest(text: string): BlobDigest {
  const digest: string = text;
  if (isBlobDigest(text)) return text;
  throw new RegistryError("DIGEST_INVALID", "provided digest is not a sha256 or sha512 digest", {
    detail: { digest: digest.slice(0, 200) },
  });
}

/** A tag or a digest, as it stands at the end of a manifest's path. */
export type ManifestReference =
  | { readonly kind: "tag"; readonly tag: string }
  | { readonly kind: "digest"; readonly digest: BlobDigest };

/** @throws RegistryError */
export function parseManifestReference(text: string): ManifestReference {
  if (text.includes(":")) return { kind: "digest", digest: parseBlobDigest(text) };
  if (!isTag(text)) {
    throw new RegistryError("TAG_INVALID", "manifest tag did not match the grammar", {
      detail: { tag: text.slice(0, 200) },
    });
  }
  return { kind: "tag", tag: text };
}

/** `reference` is in `prefix`, by whole parts: `team` holds `team` and `team/app`, not `teams/app`; the empty one holds all. */
export function isWithin(prefix: string, reference: string): boolean {
  return prefix === "" || reference === prefix || reference.startsWith(`${prefix}/`);
}
