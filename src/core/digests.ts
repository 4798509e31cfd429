/** Digests: the names of content. Only sha256 is accepted; a weaker or unknown algorithm is refused, not skipped. */
import { createHash } from "node:crypto";
import { InvalidParameterError } from "./errors.ts";
import type { Digest } from "./ids.ts";

const SHA256 = /^sha256:[a-f0-9]{64}$/;

/** Whether it is `sha256:` and 64 lower-case hexadecimal digits. */
export function isDigest(text: string): text is Digest {
  return SHA256.test(text);
}

/** @throws InvalidParameterError with the wording of the distribution reference library */
export function parseDigest(text: string): Digest {
  if (!isDigest(text)) throw new InvalidParameterError("invalid checksum digest format", { subject: text });
  return text;
}

/** The digest of bytes that are in memory already. */
export function digestOf(bytes: Uint8Array | string): Digest {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}` as Digest;
}

/** The 64 hex digits without the algorithm: file names, ids. */
export function hexOf(digest: Digest): string {
  return digest.slice("sha256:".length);
}

/**
 * The chain id of a stack of layers, lowest first: what a snapshot is named by.
 * @see https://github.com/opencontainers/image-spec/blob/main/config.md#layer-chainid
 */
export function chainIdOf(diffIds: readonly Digest[]): Digest {
  const [first, ...rest] = diffIds;
  if (first === undefined) return digestOf("");
  return rest.reduce((parent, diffId) => digestOf(`${parent} ${diffId}`), first);
}
