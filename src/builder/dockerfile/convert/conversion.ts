/** What all stages of one conversion share. One conversion is for one target platform. */
import type { Platform } from "../../../core/content.ts";
import type { FrontendRequest, Gateway } from "../../frontend.ts";
import type { SourceInfo } from "../../graph/definition.ts";
import type { ProxyEnv } from "../../graph/ops.ts";
import type { PatternMatcher } from "../ignore/patterns.ts";
import type { Linter } from "../lint/linter.ts";
import type { Environment } from "../shell/environment.ts";
import type { BuildContexts } from "../ui/context.ts";
import type { NamedContexts } from "../ui/named-context.ts";
import type { BuildOptions } from "../ui/options.ts";
import type { Output } from "./output.ts";
import type { StageList } from "./stage.ts";

export interface Conversion {
  readonly options: BuildOptions;
  /** `--build-arg`, with SOURCE_DATE_EPOCH resolved. */
  readonly buildArgs: ReadonlyMap<string, string>;
  /** What FROM lines see: the predefined arguments and those above the first FROM. */
  readonly globalArgs: Environment;
  /** A backslash, or a backtick. */
  readonly escape: string;
  readonly linter: Linter;
  readonly stages: StageList;
  readonly gateway: Gateway;
  readonly request: FrontendRequest;
  readonly contexts: BuildContexts;
  readonly namedContexts: NamedContexts;
  readonly targetPlatform: Platform;
  /** No platform was asked for: the base image's may be taken. */
  readonly implicitTarget: boolean;
  readonly buildPlatforms: readonly Platform[];
  /** Seconds since 1970: SOURCE_DATE_EPOCH. */
  readonly epoch: number | undefined;
  readonly proxy: ProxyEnv | undefined;
  /** Of the main context; undefined if nothing is ignored. */
  readonly ignored: PatternMatcher | undefined;
  /** Known in full when all stages have been read. */
  readonly buildContext: Output;
  readonly source: SourceInfo;
  /** Stages that nothing needs are looked at as well: for lint. */
  readonly allStages: boolean;
}
