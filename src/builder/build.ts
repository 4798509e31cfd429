/** What a client asks of the builder, whichever way it came in, and what it gets back. */
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
