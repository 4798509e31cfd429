/**
 * The distribution API's client side: manifests and blobs out of a registry and into one, verified.
 * @see https://github.com/opencontainers/distribution-spec/blob/main/spec.md
 */
import type { RegistryConfig } from "../../core/config.ts";
import type { Descriptor, Ingest } from "../../core/content.ts";
import type { Reference } from "../../core/references.ts";
import type {
  BlobSource,
  Credentials,
  FetchedManifest,
  FoundRepository,
  PushBlobOptions,
  PushedBlob,
  Registry,
  RegistryOptions,
  SearchOptions,
} from "../../core/registry.ts";
import { type DownloadOptions, fetchBlob } from "./download.ts";
import { checkCredentials } from "./login.ts";
import { describeManifest, fetchManifest, listTags, pushManifest } from "./manifests.ts";
import { search } from "./search.ts";
import { RegistrySession } from "./session.ts";
import { pushBlob } from "./upload.ts";

export class RegistryClient implements Registry {
  readonly #session: RegistrySession;

  constructor(config: RegistryConfig) {
    this.#session = new RegistrySession(config);
  }

  async fetchManifest(reference: Reference, options: RegistryOptions): Promise<FetchedManifest> {
    return await fetchManifest(this.#session, reference, options);
  }

  async describeManifest(reference: Reference, options: RegistryOptions): Promise<Descriptor> {
    return await describeManifest(this.#session, reference, options);
  }

  async listTags(repository: Reference, options: RegistryOptions): Promise<string[]> {
    return await listTags(this.#session, repository, options);
  }

  async fetchBlob(
    repository: Reference,
    blob: Descriptor,
    into: Ingest,
    options: DownloadOptions,
  ): Promise<void> {
    await fetchBlob(this.#session, repository, blob, into, options);
  }

  async pushBlob(
    repository: Reference,
    blob: Descriptor,
    source: BlobSource,
    options: PushBlobOptions,
  ): Promise<PushedBlob> {
    return await pushBlob(this.#session, repository, blob, source, options);
  }

  async pushManifest(
    reference: Reference,
    manifest: { readonly mediaType: string; readonly bytes: Uint8Array },
    options: RegistryOptions,
  ): Promise<Descriptor> {
    return await pushManifest(this.#session, reference, manifest, options);
  }

  async search(term: string, options: SearchOptions): Promise<FoundRepository[]> {
    return await search(this.#session, term, options);
  }

  async checkCredentials(
    address: string,
    credentials: Credentials,
    { signal }: { signal: AbortSignal },
  ): Promise<{ identityToken: string }> {
    return await checkCredentials(this.#session, address, credentials, signal);
  }
}
