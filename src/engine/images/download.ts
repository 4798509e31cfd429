/** Content of an image into the content store: what is there is not fetched again, and a document has a limit. */
import type { BlobInfo, ContentStore, Descriptor } from "../../core/content.ts";
import { InvalidParameterError } from "../../core/errors.ts";
import type { ImageConfig } from "../../core/image.ts";
import { parseImageConfig } from "../../core/manifests.ts";
import type { Reference } from "../../core/references.ts";
import { MANIFEST_LIMIT, type Registry, type RegistryOptions } from "../../core/registry.ts";

export interface DownloadParts {
  readonly content: ContentStore;
  readonly registry: Registry;
}

export interface DownloadOptions extends RegistryOptions {
  /** Bytes that are there so far. */
  readonly onProgress?: (current: number) => void;
  readonly onVerify?: () => void;
}

/** @throws as `Registry.fetchBlob` and `Ingest.commit` */
export async function download(
  { content, registry }: DownloadParts,
  repository: Reference,
  blob: Descriptor,
  { credentials, signal, onProgress, onVerify }: DownloadOptions,
): Promise<BlobInfo> {
  const found = await content.stat(blob.digest);
  if (found?.size === blob.size) return found;
  await using ingest = await content.ingest({ digest: blob.digest, size: blob.size }, { signal });
  await registry.fetchBlob(repository, blob, ingest, { credentials, signal, onProgress });
  onVerify?.();
  return await ingest.commit();
}

/** An image's configuration; one that was damaged on disk is fetched again. @throws InvalidParameterError if it is too large */
export async function fetchConfig(
  parts: DownloadParts,
  repository: Reference,
  descriptor: Descriptor,
  options: RegistryOptions,
): Promise<ImageConfig> {
  const { content } = parts;
  if (descriptor.size > MANIFEST_LIMIT) throw new InvalidParameterError("image configuration is too large");
  await download(parts, repository, descriptor, options);
  const bytes = await content.read(descriptor.digest, MANIFEST_LIMIT).catch(async (error: unknown) => {
    if (!(error instanceof InvalidParameterError)) throw error;
    await content.delete(descriptor.digest);
    await download(parts, repository, descriptor, options);
    return await content.read(descriptor.digest, MANIFEST_LIMIT);
  });
  return parseImageConfig(bytes);
}
