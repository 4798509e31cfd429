/**
 * The seam between frontends and the solver. A frontend turns options and inputs into definitions, asks the gateway
 * whatever it must know of the world (files of a context, configurations of images), and returns references: one, or
 * one for each platform. Our Dockerfile frontend, frontends that run in containers and clients that solve by themselves
 * (LLBBridge) all stand on the same gateway.
 */
import type { Descriptor, Platform } from "../core/content.ts";
import type { Digest } from "../core/ids.ts";
import type { Definition, SourceInfo, SourceRange } from "./graph/definition.ts";

export interface Frontend {
  /** As clients name it: `dockerfile.v0`, `gateway.v0`. */
  readonly name: string;
  solve(request: FrontendRequest, gateway: Gateway): Promise<FrontendResult>;
}

export interface FrontendRequest {
  /** `filename`, `target`, `build-arg:NAME`, `context:NAME`, `platform`, … */
  readonly options: ReadonlyMap<string, string>;
  /** Definitions that stand for contexts: `context`, `dockerfile`, and those that `input:NAME` names. */
  readonly inputs: ReadonlyMap<string, Definition>;
  readonly signal: AbortSignal;
}

/** A result that was solved or will be when somebody needs it. Undefined where there is none: an empty file system. */
export type MaybeReference = Reference | undefined;

export interface FrontendResult {
  /** With more than one platform the keys are platform ids (`linux/amd64`); otherwise one, under `""`. */
  readonly refs: ReadonlyMap<string, MaybeReference>;
  /** `containerimage.config`, `containerimage.config/linux/amd64`, `refs.platforms`, `result.json`, … */
  readonly metadata: ReadonlyMap<string, Uint8Array>;
  /** By the key of `refs`. */
  readonly attestations: ReadonlyMap<string, readonly Attestation[]>;
}

export interface Attestation {
  readonly kind: "in-toto" | "bundle";
  readonly metadata: ReadonlyMap<string, Uint8Array>;
  readonly ref: MaybeReference;
  readonly path: string;
  readonly predicateType: string;
  readonly subjects: readonly {
    readonly kind: "self" | "raw";
    readonly digests: readonly string[];
    readonly name: string;
  }[];
}

/** The file system at one edge of a graph. Solved on the first read, `evaluate` or export; failures come out there. */
export interface Reference {
  readonly id: string;
  readonly definition: Definition;
  evaluate(signal: AbortSignal): Promise<void>;
  /** @throws NotFoundError; InvalidParameterError if it is no regular file or too large (16 MiB, unless a range is read) */
  readFile(
    path: string,
    options: { range?: { offset: number; length: number }; signal: AbortSignal },
  ): Promise<Uint8Array>;
  /** Entries of a directory, by name; `includePattern` is a pattern of `path.Match`. */
  readDir(
    path: string,
    options: { includePattern?: string; signal: AbortSignal },
  ): Promise<readonly FileStat[]>;
  /** Links are not followed at the last component. */
  stat(path: string, options: { signal: AbortSignal }): Promise<FileStat>;
}

/** fsutil's `Stat`. */
export interface FileStat {
  /** Relative to where it was asked for: the name, in a directory's entries. */
  readonly path: string;
  /** As Linux has it: type and permission bits (`st_mode`). */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes. */
  readonly size: number;
  /** Nanoseconds since the epoch. */
  readonly modTime: bigint;
  readonly linkname: string;
  readonly devmajor: number;
  readonly devminor: number;
  readonly xattrs: ReadonlyMap<string, Uint8Array>;
}

export type ResolveMode = "default" | "pull" | "local";

export interface Gateway {
  /** The client's session, where `local://` sources, secrets and credentials come from by default. */
  readonly sessionId: string;
  /** What the host can run, the native platform first. */
  readonly platforms: readonly Platform[];
  /** Entitlements that the client granted: `network.host`, `security.insecure`, `device`. */
  readonly entitlements: ReadonlySet<string>;

  /** @throws NotFoundError "REF: not found" */
  resolveImageConfig(reference: string, options: ResolveImageOptions): Promise<ResolvedImageConfig>;
  /** Facts of a source without its content. `identifier` as in SourceOp. */
  resolveSourceMeta(
    source: { readonly identifier: string; readonly attrs: Readonly<Record<string, string>> },
    options: ResolveSourceOptions,
  ): Promise<SourceMeta>;

  /** Lazy: nothing runs before the reference is used, unless `evaluate`. @throws InvalidParameterError for a malformed graph */
  solve(request: SolveRequest): Promise<MaybeReference>;
  /** Lets another frontend do it (`# syntax=`). */
  solveWithFrontend(
    name: string,
    request: FrontendRequest & { readonly cacheImports?: readonly CacheImport[] },
  ): Promise<FrontendResult>;

  /** Shown by clients beside the vertex's progress. */
  warn(warning: BuildWarning): void;
  /** A step of the frontend itself, shown as a vertex: `[internal] load build definition from Dockerfile`. */
  step<T>(name: string, work: (log: (text: string) => void) => Promise<T>): Promise<T>;
}

export interface ResolveImageOptions {
  readonly platform: Platform | undefined;
  readonly resolveMode: ResolveMode;
  /** `[internal] load metadata for docker.io/library/busybox:latest` */
  readonly logName: string;
  /** Of an OCI layout, in place of a registry's image. */
  readonly ociLayout?: { readonly sessionId: string; readonly storeId: string };
  readonly signal: AbortSignal;
}

export interface ResolvedImageConfig {
  /** The reference that was found, with a tag or a digest. */
  readonly reference: string;
  /** Of what the reference names: an index or a manifest; of the configuration, if the image is local only. */
  readonly digest: Digest;
  /** The configuration's bytes. */
  readonly config: Uint8Array;
}

export interface ResolveSourceOptions {
  readonly platform: Platform | undefined;
  readonly resolveMode: ResolveMode;
  readonly logName: string;
  readonly git?: { readonly returnObject: boolean };
  readonly signal: AbortSignal;
}

export interface SourceMeta {
  readonly identifier: string;
  readonly attrs: Readonly<Record<string, string>>;
  readonly image?: { readonly digest: Digest; readonly config: Uint8Array; readonly descriptor?: Descriptor };
  readonly git?: {
    readonly checksum: string;
    readonly ref: string;
    readonly commitChecksum: string;
    readonly commitObject?: Uint8Array;
    readonly tagObject?: Uint8Array;
  };
  readonly http?: {
    readonly checksum: string;
    readonly filename: string;
    /** ms since the epoch */
    readonly lastModified: number | undefined;
  };
}

export interface SolveRequest {
  readonly definition: Definition;
  readonly evaluate?: boolean;
  readonly cacheImports?: readonly CacheImport[];
  readonly signal: AbortSignal;
}

/** `type=registry,ref=…` as its parts. */
export interface CacheImport {
  readonly type: string;
  readonly attrs: Readonly<Record<string, string>>;
}

export interface BuildWarning {
  /** Of the vertex that it belongs to; undefined: the step that loads the definition. */
  readonly vertex: Digest | undefined;
  readonly level: number;
  readonly short: string;
  readonly detail: readonly string[];
  readonly url: string;
  readonly source: SourceInfo | undefined;
  readonly ranges: readonly SourceRange[];
}
