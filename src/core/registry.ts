/** Port: what the engine needs from registries. Everything that comes back was verified against its digest and size. */
import type { Descriptor, Ingest } from "./content.ts";
import type { Reference } from "./references.ts";

/** Documents larger than this are refused, by registries too. @see distribution `handlers/manifests.go` */
export const MANIFEST_LIMIT = 4 << 20;

/** What a client sent in `X-Registry-Auth`. Never logged, never stored. */
export interface Credentials {
  readonly username: string;
  readonly password: string;
  /** An OAuth2 refresh token, in place of a password. */
  readonly identityToken?: string;
  /** A bearer token for the registry itself. */
  readonly registryToken?: string;
}

export interface RegistryOptions {
  readonly credentials?: Credentials | undefined;
  readonly signal: AbortSignal;
}

export interface FetchedManifest {
  /** Media type as the registry sent it, digest and size of the bytes. */
  readonly descriptor: Descriptor;
  readonly bytes: Uint8Array;
}

export interface SearchOptions extends RegistryOptions {
  /** 1 to 100; 0: the registry's own. */
  readonly limit: number;
}

export interface FoundRepository {
  /** As it is pulled: with its registry, unless that is Docker Hub. */
  readonly name: string;
  readonly description: string;
  readonly stars: number;
  readonly official: boolean;
  readonly automated: boolean;
}

/** The bytes of a blob that is pushed: a file, read from any offset, as often as it takes. */
export interface BlobSource {
  readonly path: string;
}

export interface PushBlobOptions extends RegistryOptions {
  /** Other repositories of the same registry that may have the blob: it is mounted from the first that gives it. */
  readonly mountFrom?: readonly Reference[];
  /** Bytes that were sent so far; it goes back when a part has to be sent again. */
  readonly onProgress?: ((current: number) => void) | undefined;
}

export interface PushedBlob {
  /** `exists`: the repository had it. */
  readonly outcome: "exists" | "mounted" | "uploaded";
  readonly from?: Reference;
}

export interface Registry {
  /**
   * The manifest or index that a tag or digest names.
   * @throws NotFoundError "manifest for <reference> not found: …", "pull access denied for <name>, …"
   * @throws UnauthorizedError, UnavailableError; InvalidParameterError if the bytes are not what the digest says
   */
  fetchManifest(reference: Reference, options: RegistryOptions): Promise<FetchedManifest>;
  /** Like `fetchManifest`, without the body: for `docker manifest` and pinning. */
  describeManifest(reference: Reference, options: RegistryOptions): Promise<Descriptor>;
  /** All tags of a repository. @throws as `fetchManifest` */
  listTags(repository: Reference, options: RegistryOptions): Promise<string[]>;
  /**
   * Downloads a blob of the repository into an upload, from where that stands, resuming by range when the connection
   * breaks. The caller commits.
   * @param onProgress bytes that are there so far
   */
  fetchBlob(
    repository: Reference,
    blob: Descriptor,
    into: Ingest,
    options: RegistryOptions & { onProgress?: ((current: number) => void) | undefined },
  ): Promise<void>;
  /**
   * Puts a blob into a repository, in as few bytes as it takes: none if it is there, none if it can be mounted, and after a
   * break only what the registry does not have. Blobs may be pushed in parallel.
   * @throws UnauthorizedError; ForbiddenError "denied: …"; UnavailableError after several tries
   */
  pushBlob(
    repository: Reference,
    blob: Descriptor,
    source: BlobSource,
    options: PushBlobOptions,
  ): Promise<PushedBlob>;
  /** Puts a manifest under the reference's tag or digest; all that it refers to must be there. @throws as `pushBlob` */
  pushManifest(
    reference: Reference,
    manifest: { readonly mediaType: string; readonly bytes: Uint8Array },
    options: RegistryOptions,
  ): Promise<Descriptor>;
  /**
   * Repositories by a part of their names. @throws InvalidParameterError; NotFoundError if the registry cannot search
   * @param term `nginx` for Docker Hub, `localhost:5000/nginx` for another registry
   */
  search(term: string, options: SearchOptions): Promise<FoundRepository[]>;
  /**
   * `docker login`: asks the registry whether the credentials are good.
   * @param address as the client sent it: `https://index.docker.io/v1/`, `localhost:5000`
   * @throws UnauthorizedError if they are not
   */
  checkCredentials(
    address: string,
    credentials: Credentials,
    options: { signal: AbortSignal },
  ): Promise<{ identityToken: string }>;
}
