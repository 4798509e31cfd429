/** What a client asks of the builder, whichever way it came in, and what it gets back. */
import type { Platform } from "../core/content.ts";
import type { CacheImport, FrontendResult, Gateway } from "./frontend.ts";
import type { Definition } from "./graph/definition.ts";
import type { ProgressSink } from "./progress.ts";

export interface BuildRequest {
  /** The client's name for the build; history and Status are found by it. */
  readonly ref: string;
  readonly sessionId: string;
  readonly work: BuildWork;
  readonly exporters: readonly ExportRequest[];
  readonly cacheExports: readonly CacheImport[];
  readonly cacheImports: readonly CacheImport[];
  readonly entitlements: ReadonlySet<string>;
  readonly progress: ProgressSink;
  /** Aborted when the client went away or cancelled. */
  readonly signal: AbortSignal;
}

/** Who makes the graph. */
export type BuildWork =
  | { readonly by: "definition"; readonly definition: Definition }
  | {
      readonly by: "frontend";
      readonly frontend: string;
      readonly options: ReadonlyMap<string, string>;
      readonly inputs: ReadonlyMap<string, Definition>;
    }
  /** The client itself, through the gateway, until it returns a result (LLBBridge). */
  | { readonly by: "client"; readonly solve: (gateway: Gateway) => Promise<FrontendResult> };

export interface ExportRequest {
  /** `moby`, `image`, `oci`, `docker`, `local`, `tar`, `cacheonly` */
  readonly type: string;
  readonly attrs: Readonly<Record<string, string>>;
}

export interface BuildResponse {
  /** `containerimage.digest`, `containerimage.config.digest`, `containerimage.descriptor`, `image.name`, `cache.manifest`, … */
  readonly exporterResponse: ReadonlyMap<string, string>;
}

/** The builder as ways in see it: solves, exports, and keeps what may be used again. */
export interface BuildService {
  /** What the host can run, the native platform first. */
  readonly platforms: readonly Platform[];
  /** @throws whatever stopped the build, with `SourceError`, `VertexError` and `ExitError` among its causes */
  build(request: BuildRequest): Promise<BuildResponse>;
  /** What is kept now, measured anew. */
  cacheRecords(signal: AbortSignal): Promise<readonly CacheRecord[]>;
  /** Removes what fits and nobody uses; tells each as it goes, with the bytes that were won. */
  pruneCache(request: PruneCacheRequest, removed: (record: CacheRecord) => Promise<void>): Promise<void>;
}

export interface CacheRecord {
  readonly id: string;
  readonly parents: readonly string[];
  readonly mutable: boolean;
  readonly inUse: boolean;
  /** Held by an image as well: removing it frees nothing. */
  readonly shared: boolean;
  /** Bytes. */
  readonly size: number;
  /** Nanoseconds since the epoch. */
  readonly createdAt: bigint;
  readonly lastUsedAt: bigint | undefined;
  readonly usageCount: number;
  readonly description: string;
  readonly type:
    | "regular"
    | "internal"
    | "frontend"
    | "source.local"
    | "source.git.checkout"
    | "exec.cachemount";
}

export interface PruneCacheRequest {
  /** `id~=…`, `type==…`, `shared`: any of them; each with commas for "and". */
  readonly filters: readonly string[];
  /** Also what is internal and what images share. */
  readonly all: boolean;
  /** Nanoseconds without use before something goes; 0: none. */
  readonly keepDuration: number;
  /** Bytes that are always kept, that may be kept at most, that must be free on the disk; 0: no such limit. */
  readonly reservedSpace: number;
  readonly maxUsedSpace: number;
  readonly minFreeSpace: number;
  readonly signal: AbortSignal;
}
