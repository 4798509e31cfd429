/** The checks that look at stages and variables. What each one is about stands in `lint/rules.ts`. */
import type { Platform } from "../../../core/content.ts";
import { parseReference } from "../../../core/references.ts";
import { formatWholePlatform, normalizePlatform, parsePlatform } from "../../platforms.ts";
import type { PatternMatcher } from "../ignore/patterns.ts";
import type { ArgInstruction, Argument, Instruction, Stage } from "../instructions/types.ts";
import type { Linter } from "../lint/linter.ts";
import * as rules from "../lint/rules.ts";
import { cleanPath } from "../paths.ts";
import type { Environment } from "../shell/environment.ts";
import { type Expansion, expand } from "../shell/expand.ts";
import { DockerfileError } from "../source/errors.ts";
import { type SourceRange, withLocation } from "../source/ranges.ts";
import { suggestion } from "../source/suggest.ts";
import { globalArgsWith } from "./global-args.ts";
import type { StageBuild } from "./stage.ts";

const RESERVED = new Set(["context", "scratch"]);
/** Arguments for scanners: they are no variables of RUN, and are not declared. */
export const SCAN_ARGS: ReadonlySet<string> = new Set([
  "BUILDKIT_SBOM_SCAN_CONTEXT",
  "BUILDKIT_SBOM_SCAN_STAGE",
]);

export function checkStageNames(stages: readonly Stage[], linter: Linter): void {
  const seen = new Set<string>();
  for (const { name, location } of stages) {
    if (name === "") continue;
    if (RESERVED.has(name)) linter.report(rules.reservedStageName, location, name);
    if (seen.has(name)) linter.report(rules.duplicateStageName, location, name);
    seen.add(name);
  }
}

/** All words in the case that most of them have. */
export function checkCasing(stages: readonly Stage[], linter: Linter): void {
  const words = stages.flatMap((stage) => [
    { word: stage.command, location: stage.location },
    ...stage.instructions.map(({ name, location }) => ({ word: name, location })),
  ]);
  const lower = words.filter(({ word }) => word === word.toLowerCase()).length;
  const upper = words.filter(({ word }) => word === word.toUpperCase()).length;
  const casing = lower > upper ? "lowercase" : "uppercase";
  for (const { word, location } of words) {
    const right = casing === "lowercase" ? word.toLowerCase() : word.toUpperCase();
    if (word !== right) linter.report(rules.consistentInstructionCasing, location, word, casing);
  }
}

/** Base names must make sense also when no build argument is given. */
export function checkDefaultBases(
  stages: readonly Stage[],
  predefined: ReadonlyMap<string, string>,
  globalArgs: readonly ArgInstruction[],
  escapeLetter: string,
  linter: Linter,
): void {
  let defaults: Environment;
  try {
    defaults = globalArgsWith(predefined, globalArgs, new Map(), escapeLetter).environment;
  } catch {
    return; // The same error comes again, where it is told.
  }
  for (const stage of stages) {
    let name: string;
    try {
      name = expand(stage.base, defaults, { escape: escapeLetter }).text;
    } catch {
      return;
    }
    if (!isReference(name)) linter.report(rules.invalidDefaultArgInFrom, stage.location, stage.base);
  }
}

function isReference(name: string): boolean {
  try {
    parseReference(name);
    return true;
  } catch {
    return false;
  }
}

export function checkUndeclaredInFrom(
  { unmatched }: Expansion,
  known: ReadonlySet<string>,
  location: readonly SourceRange[],
  linter: Linter,
): void {
  for (const name of unmatched) {
    if (!known.has(name)) {
      linter.report(rules.undefinedArgInFrom, location, name, suggestion(name, known, true) ?? "");
    }
  }
}

/** `--platform` of FROM: the default spelled out, or a constant that ties the file to one platform. */
export function checkPlatformFlag(
  stage: Stage,
  { text, matched, unmatched }: Expansion,
  globalArgs: Environment,
  linter: Linter,
): void {
  const { platform, name, location } = stage;
  if (matched.size === 1 && unmatched.size === 0 && matched.has("TARGETPLATFORM")) {
    if (text === globalArgs.get("TARGETPLATFORM")) {
      linter.report(rules.redundantTargetPlatform, location, platform);
    }
  }
  if (matched.size > 0 || unmatched.size > 0) return;
  let parsed: Platform;
  try {
    parsed = parsePlatform(text);
  } catch {
    return; // Refused where it is used.
  }
  if (name.includes(parsed.os) || name.includes(parsed.architecture)) return;
  linter.report(rules.fromPlatformFlagConstDisallowed, location, text);
}

export function checkBasePlatform(
  name: string,
  expected: Platform,
  actual: Platform,
  location: readonly SourceRange[],
  linter: Linter,
): void {
  if (expected.os === actual.os && expected.architecture === actual.architecture) return;
  const shown = (platform: Platform) => formatWholePlatform(normalizePlatform(platform));
  linter.report(rules.invalidBaseImagePlatform, location, name, shown(expected), shown(actual));
}

/** Variables that are neither set nor declared. */
export function checkUndefined(
  location: readonly SourceRange[],
  buildArgs: readonly Argument[],
  environment: Environment,
  unmatched: ReadonlySet<string>,
  linter: Linter,
): void {
  for (const name of unmatched) {
    if (SCAN_ARGS.has(name) || buildArgs.some((arg) => arg.key === name)) continue;
    const nearest = suggestion(name, environment.keys(), true) ?? "";
    linter.report(rules.undefinedVar, location, name, nearest);
  }
}

/** CMD, ENTRYPOINT and HEALTHCHECK count once: the one before is told, since it is what does not count. */
export function checkOnce(
  build: StageBuild,
  instruction: Instruction & { kind: "cmd" | "entrypoint" | "healthcheck" },
  linter: Linter,
): void {
  const before = build.seen[instruction.kind];
  if (before) linter.report(rules.multipleInstructionsDisallowed, before, instruction.name);
  build.seen[instruction.kind] = instruction.location;
}

const SECRET = /(?:_|^)(?:apikey|auth|credential|credentials|key|password|pword|passwd|secret|token)(?:_|$)/i;
const NO_SECRET = /(?:_|^)(?:public|file|version)(?:_|$)/i;

export function checkSecretName(
  instruction: "ARG" | "ENV",
  name: string,
  location: readonly SourceRange[],
  linter: Linter,
): void {
  if (SECRET.test(name) && !NO_SECRET.test(name)) {
    linter.report(rules.secretsUsedInArgOrEnv, location, instruction, name);
  }
}

/** A source that the ignore file keeps out of the context. With `!` patterns that cannot be told beforehand. */
export function checkIgnoredSource(
  source: string,
  command: "Copy" | "Add",
  ignored: PatternMatcher | undefined,
  location: readonly SourceRange[],
  linter: Linter,
): void {
  if (!ignored || ignored.hasNegations) return;
  const path = cleanPath(source);
  const everything = ignored.patterns.some(({ text }) => ["*", "**", "**/*"].includes(text));
  if ((path === "." || path === "/") && !everything) return;
  if (ignored.matches(path)) linter.report(rules.copyIgnoredFile, location, command, path);
}

/** @throws DockerfileError located at each instruction on the circle */
export function refuseCircles(stages: readonly StageBuild[]): void {
  const done = new Set<StageBuild>();
  const path = new Set<StageBuild>();
  const visit = (build: StageBuild, through: readonly Instruction[]): readonly Instruction[] | undefined => {
    if (done.has(build)) return undefined;
    done.add(build);
    path.add(build);
    for (const [needed, instruction] of build.needs) {
      const next = [...through, instruction];
      if (path.has(needed)) return next;
      const circle = visit(needed, next);
      if (circle) return circle;
    }
    path.delete(build);
    return undefined;
  };
  for (const build of stages) {
    const circle = visit(build, []);
    if (!circle) continue;
    let error: unknown = new DockerfileError(`circular dependency detected on stage: ${build.shownName}`);
    for (const instruction of circle) error = withLocation(error, instruction.location);
    throw error;
  }
}
