/**
 * A Dockerfile as a graph, for one target platform.
 *
 * In order: read the file; plan its stages; resolve the images that they start from, and again while their triggers bring
 * new ones in; run through the instructions of those that the target needs; and finish the target's image.
 */
import type { Platform } from "../../../core/content.ts";
import type { FrontendRequest, Gateway } from "../../frontend.ts";
import type { ProxyEnv } from "../../graph/ops.ts";
import { normalizePlatform } from "../../platforms.ts";
import { PatternMatcher } from "../ignore/patterns.ts";
import { parseStages } from "../instructions/parse.ts";
import { parseBool } from "../instructions/values.ts";
import { Linter, parseLintChoice, type WarningSink } from "../lint/linter.ts";
import * as rules from "../lint/rules.ts";
import { directiveValue } from "../parser/directives.ts";
import { parseDockerfile } from "../parser/parse.ts";
import { splitVariable } from "../shell/environment.ts";
import { DockerfileError, during } from "../source/errors.ts";
import { withLocation } from "../source/ranges.ts";
import type { BuildContexts, Entrypoint } from "../ui/context.ts";
import { NamedContexts } from "../ui/named-context.ts";
import type { BuildOptions } from "../ui/options.ts";
import { pathsToAskFor, resolveBases } from "./bases.ts";
import { checkCasing, checkDefaultBases, checkStageNames } from "./checks.ts";
import type { Conversion } from "./conversion.ts";
import { dispatch } from "./dispatch.ts";
import { resolveEpoch } from "./epoch.ts";
import { globalArgsWith, predefinedArgs } from "./global-args.ts";
import { DEFAULT_PATH, type ImageDocument, platformOfImage } from "./image.ts";
import { late, type Output } from "./output.ts";
import { connectStages, planStages, takeTriggers, targetOf } from "./plan.ts";
import { reachableFrom, type StageBuild, StageList } from "./stage.ts";
import { enterDirectory } from "./workdir.ts";

export interface ConvertOptions {
  readonly options: BuildOptions;
  readonly gateway: Gateway;
  readonly request: FrontendRequest;
  readonly contexts: BuildContexts;
  readonly entrypoint: Entrypoint;
  /** Undefined: the default, which may follow the base image. */
  readonly targetPlatform: Platform | undefined;
  readonly buildPlatforms: readonly Platform[];
  /** Undefined: nobody listens. */
  readonly warn: WarningSink | undefined;
  /** Also stages that nothing needs: for lint. */
  readonly allStages?: boolean;
}

export interface Converted {
  readonly target: StageBuild;
  readonly output: Output;
  readonly image: ImageDocument;
  readonly baseImage: ImageDocument | undefined;
  /** Seconds since 1970. */
  readonly epoch: number | undefined;
  /** Other file systems that a scan is to see, by name. */
  readonly scanned: ReadonlyMap<string, Output>;
  readonly ignoreCache: boolean;
}

/** @throws DockerfileError located in the file; whatever the gateway throws */
export async function convert(given: ConvertOptions): Promise<Converted> {
  const { options, entrypoint } = given;
  if (entrypoint.text === "") throw new DockerfileError("the Dockerfile cannot be empty");
  const linter = linterFor(given);
  const parsed = parseDockerfile(entrypoint.text);
  for (const range of parsed.emptyContinuations) linter.report(rules.noEmptyContinuation, [range]);
  const { stages, globalArgs } = parseStages(parsed.nodes, linter);
  const lastStage = stages.at(-1);
  if (!lastStage) throw new DockerfileError("dockerfile contains no stages to build");
  checkStageNames(stages, linter);
  checkCasing(stages, linter);

  const { targetPlatform, buildPlatforms, implicitTarget } = platformsOf(given);
  const targetName = options.target || lastStage.name;
  const [buildPlatform = targetPlatform] = buildPlatforms;
  const predefined = predefinedArgs(buildPlatform, targetPlatform, targetName, options.buildArgs);
  const escapeLetter = parsed.escape;
  checkDefaultBases(stages, predefined, globalArgs, escapeLetter, linter);
  const global = globalArgsWith(predefined, globalArgs, options.buildArgs, escapeLetter);
  const namedContexts = new NamedContexts(given.gateway, given.request, options, given.contexts);
  const epoch = await resolveEpoch({
    stages,
    options,
    escape: escapeLetter,
    globalValues: global.values,
    namedContexts,
    targetPlatform,
    contexts: given.contexts,
    gateway: given.gateway,
    request: given.request,
  });

  let buildContext: Output;
  const conversion: Conversion = {
    options,
    buildArgs: epoch.buildArgs,
    globalArgs: epoch.globalArgs,
    escape: escapeLetter,
    linter,
    stages: new StageList(),
    gateway: given.gateway,
    request: given.request,
    contexts: given.contexts,
    namedContexts,
    targetPlatform,
    implicitTarget,
    buildPlatforms,
    epoch: epoch.seconds,
    proxy: proxyOf(options.buildArgs),
    ignored: ignoredBy(await given.contexts.ignorePatterns()),
    buildContext: late(() => buildContext),
    source: entrypoint.info,
    allStages: given.allStages ?? false,
  };
  planStages(stages, conversion, global.info);
  const target = targetOf(conversion);
  connectStages(conversion);
  const reachable = await resolveStages(target, conversion);
  const contextPaths = runStages(reachable, conversion);
  // Whoever takes the target takes all of it.
  target.neededPaths.add("/");
  const failure = linter.failure();
  if (failure) throw failure;
  buildContext = await given.contexts.mainContext(pathsToAskFor(contextPaths));
  finishImage(target, conversion);
  return {
    target,
    output: target.output,
    image: target.image,
    baseImage: target.baseImage,
    epoch: epoch.seconds,
    ...scannedBy(target, conversion),
  };
}

function linterFor({ options, entrypoint, warn }: ConvertOptions): Linter {
  if (options.lint) return new Linter(options.lint, warn);
  const text = directiveValue("check", entrypoint.text) ?? "";
  return new Linter(
    during("failed to parse check options", () => parseLintChoice(text)),
    warn,
  );
}

function platformsOf(given: ConvertOptions): {
  targetPlatform: Platform;
  buildPlatforms: readonly Platform[];
  implicitTarget: boolean;
} {
  const { targetPlatform, buildPlatforms } = given;
  const [first] = buildPlatforms;
  const target = targetPlatform ?? first;
  if (!target) throw new DockerfileError("no platform to build for");
  return { targetPlatform: target, buildPlatforms, implicitTarget: targetPlatform === undefined };
}

function ignoredBy(patterns: readonly string[]): PatternMatcher | undefined {
  return patterns.length === 0 ? undefined : new PatternMatcher(patterns);
}

/** Resolves bases until triggers bring in no more of them. */
async function resolveStages(target: StageBuild, conversion: Conversion): Promise<ReadonlySet<StageBuild>> {
  for (;;) {
    const reachable = reachableFrom(target);
    await resolveBases(conversion, reachable);
    let grew = false;
    for (const build of inOrder(reachable, conversion)) {
      build.inherit();
      if (takeTriggers(build, conversion)) grew = true;
    }
    if (!grew) return reachable;
  }
}

/** Bases before what starts from them. */
function inOrder(builds: ReadonlySet<StageBuild>, { stages }: Conversion): StageBuild[] {
  return stages.all.filter((build) => builds.has(build));
}

/** Runs through all instructions. Returns what they need of the build context. */
function runStages(reachable: ReadonlySet<StageBuild>, conversion: Conversion): Set<string> {
  const contextPaths = new Set<string>();
  for (const build of [...conversion.stages.all]) {
    if (!conversion.allStages && (!reachable.has(build) || build.dispatched)) continue;
    startStage(build, conversion);
    for (const planned of build.instructions) {
      try {
        dispatch(build, planned, conversion);
      } catch (error) {
        throw withLocation(error, planned.instruction.location);
      }
    }
    for (const path of build.contextPaths) contextPaths.add(path);
    build.scanContext = isScanned(build, "BUILDKIT_SBOM_SCAN_CONTEXT", conversion);
    build.scanStage = isScanned(build, "BUILDKIT_SBOM_SCAN_STAGE", conversion);
  }
  return contextPaths;
}

/** What the image that it starts from sets: variables, directory, user. */
function startStage(build: StageBuild, conversion: Conversion): void {
  build.inherit();
  build.dispatched = true;
  build.platform ??= conversion.targetPlatform;
  const { config } = build.image;
  const env = config.Env ?? [];
  if (!env.some((line) => splitVariable(line)[0] === "PATH") && build.platform.os !== "windows") {
    config.Env = [...env, `PATH=${DEFAULT_PATH}`];
  }
  for (const line of config.Env ?? []) build.setVariable(...splitVariable(line));
  if (config.WorkingDir) enterDirectory(build, config.WorkingDir);
  if (config.User) build.runtime = { ...build.runtime, user: config.User };
}

/** `true`, or the names of stages. */
function isScanned(build: StageBuild, name: string, { globalArgs }: Conversion): boolean {
  const own = build.buildArgs.findLast((arg) => arg.key === name && arg.value !== undefined)?.value;
  const value = own ?? globalArgs.get(name);
  if (value === undefined) return false;
  return parseBool(value) ?? value.split(",").includes(build.shownName);
}

function scannedBy(
  target: StageBuild,
  { buildContext }: Conversion,
): Pick<Converted, "scanned" | "ignoreCache"> {
  const scanned = new Map<string, Output>();
  if (target.scanContext) scanned.set("context", buildContext);
  let { ignoreCache } = target;
  for (const build of reachableFrom(target)) {
    if (build === target || !build.scanStage) continue;
    scanned.set(build.shownName, build.output);
    ignoreCache ||= build.ignoreCache;
  }
  return { scanned, ignoreCache };
}

/** Labels of the build, and the platform that was asked for. */
function finishImage(target: StageBuild, { options, targetPlatform, implicitTarget }: Conversion): void {
  const { image } = target;
  if (options.labels.size > 0) {
    image.config.Labels = { ...image.config.Labels, ...Object.fromEntries(options.labels) };
  }
  const own = platformOfImage(image);
  const same = own.os === targetPlatform.os && own.architecture === targetPlatform.architecture;
  const wanted = implicitTarget ? own : { ...(same ? own : {}), ...targetPlatform };
  const { os, architecture, variant, ...rest } = normalizePlatform(wanted);
  target.image = {
    ...withoutPlatform(image),
    os,
    architecture,
    ...(variant === undefined ? {} : { variant }),
    ...(rest["os.version"] === undefined ? {} : { "os.version": rest["os.version"] }),
    ...(rest["os.features"] === undefined ? {} : { "os.features": [...rest["os.features"]] }),
  };
}

function withoutPlatform(image: ImageDocument): ImageDocument {
  const { variant: _, "os.version": _version, "os.features": _features, ...rest } = image;
  return rest;
}

function proxyOf(buildArgs: ReadonlyMap<string, string>): ProxyEnv | undefined {
  const proxy = { httpProxy: "", httpsProxy: "", ftpProxy: "", noProxy: "", allProxy: "" };
  let given = false;
  for (const name of [...buildArgs.keys()].sort()) {
    const field = PROXIES[name.toLowerCase()];
    if (field === undefined) continue;
    proxy[field] = buildArgs.get(name) ?? "";
    given = true;
  }
  return given ? proxy : undefined;
}

const PROXIES: Readonly<Record<string, keyof ProxyEnv>> = {
  http_proxy: "httpProxy",
  https_proxy: "httpsProxy",
  ftp_proxy: "ftpProxy",
  no_proxy: "noProxy",
  all_proxy: "allProxy",
};
