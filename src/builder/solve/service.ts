/** Builds, from what a client asks for to what it gets: frontend or definition → graph → solve → export. */
import type { Platform } from "../../core/content.ts";
import { NotImplementedError } from "../../core/errors.ts";
import type { EventSink } from "../../core/events.ts";
import type { Digest } from "../../core/ids.ts";
import type {
  BuildRequest,
  BuildResponse,
  BuildService,
  CacheRecord,
  ExportRequest,
  PruneCacheRequest,
} from "../build.ts";
import { CacheUpkeep } from "../cache/upkeep.ts";
import { type Exportable, toExportable } from "../export/exportable.ts";
import { exportFiles } from "../export/files.ts";
import { exportImage } from "../export/image.ts";
import { checkExporters } from "../export/options.ts";
import type { Frontend, FrontendResult } from "../frontend.ts";
import type { Op } from "../graph/ops.ts";
import { CacheMounts } from "../ops/cache-mounts.ts";
import { Downloads } from "../ops/downloads.ts";
import { execOperation } from "../ops/exec.ts";
import { fileOperation } from "../ops/file.ts";
import { ImageSources } from "../ops/image-sources.ts";
import { LocalSources } from "../ops/local-sources.ts";
import { diffOperation, mergeOperation } from "../ops/merge.ts";
import { sourceOperation } from "../ops/source.ts";
import { checkCacheExports, warnOfCacheImports } from "./caches.ts";
import type { SolverDeps } from "./deps.ts";
import { BuildGateway } from "./gateway.ts";
import type { Operation } from "./operation.ts";
import { BuildProgress } from "./progress-log.ts";
import { BuildRun } from "./run.ts";
import { SharedRuns } from "./shared-runs.ts";

export interface BuildServiceOptions {
  readonly deps: SolverDeps;
  readonly events: EventSink;
  readonly frontends: readonly Frontend[];
  readonly platforms: readonly Platform[];
}

export class Builds implements BuildService {
  readonly platforms: readonly Platform[];
  readonly #deps: SolverDeps;
  readonly #frontends: ReadonlyMap<string, Frontend>;
  readonly #shared = new SharedRuns();
  readonly #cacheMounts: CacheMounts;
  readonly #locals: LocalSources;
  readonly #upkeep: CacheUpkeep;

  constructor({ deps, events, frontends, platforms }: BuildServiceOptions) {
    this.platforms = platforms;
    this.#deps = deps;
    this.#frontends = new Map(frontends.map((frontend) => [frontend.name, frontend]));
    this.#cacheMounts = new CacheMounts(deps);
    this.#locals = new LocalSources(deps);
    this.#upkeep = new CacheUpkeep({ ...deps, events, kept: [this.#cacheMounts.kept, this.#locals.kept] });
  }

  async build(request: BuildRequest): Promise<BuildResponse> {
    await using cleanup = new AsyncDisposableStack();
    const deps = this.#deps;
    const { sessionId, entitlements, signal } = request;
    const progress = new BuildProgress(request.progress);
    const images = cleanup.use(new ImageSources(deps.images, deps.sessions));
    const downloads = new Downloads({ ...deps, cleanup });
    const run = new BuildRun({
      ...{ deps, shared: this.#shared, progress, sessionId, entitlements, signal, cleanup },
      toOperation: (op, digest) => this.#toOperation(op, digest, { images, downloads }),
    });
    const gateway = new BuildGateway({
      ...{ deps, run, progress, images, sessionId, entitlements, signal, cleanup },
      frontends: this.#frontends,
      platforms: this.platforms,
    });
    deps.tasks.expectStart();
    let success = false;
    try {
      checkExporters(request.exporters);
      checkCacheExports(request.cacheExports, progress);
      warnOfCacheImports(request.cacheImports, progress);
      const result = await this.#solve(request, gateway);
      const exportable = await toExportable(result);
      const exporterResponse = await this.#export(request, exportable, progress);
      success = true;
      return { exporterResponse };
    } finally {
      progress.finish({ success });
      deps.cache.flush();
    }
  }

  async #solve({ work, signal }: BuildRequest, gateway: BuildGateway): Promise<FrontendResult> {
    switch (work.by) {
      case "frontend":
        return await gateway.solveWithFrontend(work.frontend, {
          options: work.options,
          inputs: work.inputs,
          signal,
        });
      case "client":
        return await work.solve(gateway);
      case "definition": {
        const reference = await gateway.solve({ definition: work.definition, signal });
        return { refs: new Map([["", reference]]), metadata: new Map(), attestations: new Map() };
      }
    }
  }

  async #export(
    { exporters, sessionId, signal }: BuildRequest,
    result: Exportable,
    progress: BuildProgress,
  ): Promise<Map<string, string>> {
    const response = new Map<string, string>();
    for (const [index, exporter] of exporters.entries()) {
      const given = await this.#exportOne(exporter, { index, result, sessionId, signal, progress });
      for (const [name, value] of given) response.set(name, value);
    }
    return response;
  }

  async #exportOne(
    { type, attrs }: ExportRequest,
    call: {
      index: number;
      result: Exportable;
      sessionId: string;
      signal: AbortSignal;
      progress: BuildProgress;
    },
  ): Promise<ReadonlyMap<string, string>> {
    const { index, result, sessionId, signal, progress } = call;
    switch (type) {
      case "moby":
      case "image":
        return await exportImage(this.#deps.images, attrs, result, progress);
      case "local":
      case "tar":
        return await exportFiles(
          this.#deps,
          { type, attrs, exporterId: String(index), sessionId, signal },
          result,
          progress,
        );
      case "cacheonly":
        return new Map();
      default:
        throw new NotImplementedError(`the exporter ${type} is not implemented`);
    }
  }

  /** @throws InvalidParameterError for an op that makes no sense */
  #toOperation(
    { op, platform, inputs }: Op,
    digest: Digest,
    sources: { readonly images: ImageSources; readonly downloads: Downloads },
  ): Operation {
    const deps = this.#deps;
    switch (op.type) {
      case "source":
        return sourceOperation({ solver: deps, locals: this.#locals, ...sources }, op, platform);
      case "exec":
        return execOperation({ solver: deps, cacheMounts: this.#cacheMounts }, op, { platform, inputs });
      case "file":
        return fileOperation(deps, op, inputs.length);
      case "merge":
        return mergeOperation(deps, op, inputs.length);
      case "diff":
        return diffOperation(deps, op, inputs.length);
      default:
        throw new NotImplementedError(`ops of the kind ${op.type} are not implemented`, { subject: digest });
    }
  }

  cacheRecords(signal: AbortSignal): Promise<readonly CacheRecord[]> {
    return this.#upkeep.records(signal);
  }

  pruneCache(request: PruneCacheRequest, removed: (record: CacheRecord) => Promise<void>): Promise<void> {
    return this.#upkeep.prune(request, removed);
  }
}
