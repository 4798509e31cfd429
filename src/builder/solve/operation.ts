/** What a kind of op must tell and do to be solved. One implementation per kind, in `ops/`. */
import type { ContentSelector } from "../../core/build-files.ts";
import type { OpMetadata } from "../graph/ops.ts";
import type { Output } from "./output.ts";
import type { VertexReport } from "./progress-log.ts";

export interface Operation {
  /** What it does, apart from its inputs: part of its results' keys. Undefined: never the same twice. */
  cacheKey(context: OperationContext): Promise<string | undefined>;
  /** By input: the part of its content that counts; undefined: all that its key says. */
  readonly selectors: readonly (readonly ContentSelector[] | undefined)[];
  /** How many outputs it has at least. */
  readonly outputs: number;
  /** What `buildx du` shows. */
  readonly description: string;
  run(context: OperationContext, inputs: readonly Output[], report: VertexReport): Promise<readonly Output[]>;
}

export interface OperationContext {
  /** Of the build that asks; several builds may wait for a result. */
  readonly sessionId: string;
  readonly entitlements: ReadonlySet<string>;
  readonly metadata: OpMetadata | undefined;
  readonly ignoreCache: boolean;
  readonly signal: AbortSignal;
  /** Released when the build is over. */
  readonly cleanup: AsyncDisposableStack;
}
