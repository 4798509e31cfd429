/** From parsed stages to stages that know what they start from and what they take from each other. */
import type { Platform } from "../../../core/content.ts";
import { parsePlatform } from "../../platforms.ts";
import { mountSource } from "../instructions/mounts.ts";
import { parseInstruction } from "../instructions/parse.ts";
import type { Instruction, Stage } from "../instructions/types.ts";
import type { Linter } from "../lint/linter.ts";
import { parseDockerfile } from "../parser/parse.ts";
import { noEnvironment } from "../shell/environment.ts";
import { type Expansion, expand } from "../shell/expand.ts";
import { DockerfileError, wrapped } from "../source/errors.ts";
import { atLocation, lineSpan, withLocation } from "../source/ranges.ts";
import { withSuggestion } from "../source/suggest.ts";
import { ignoresCache } from "../ui/options.ts";
import { findNamedContext, SCRATCH } from "./bases.ts";
import { checkPlatformFlag, checkUndeclaredInFrom, refuseCircles } from "./checks.ts";
import type { Conversion } from "./conversion.ts";
import type { ArgumentInfo } from "./outline-record.ts";
import { type PlannedInstruction, StageBuild } from "./stage.ts";

/** Adds the file's stages, in order. @throws DockerfileError located at FROM */
export function planStages(
  stages: readonly Stage[],
  conversion: Conversion,
  globalInfo: ReadonlyMap<string, ArgumentInfo>,
): void {
  for (const [index, stage] of stages.entries()) {
    try {
      planStage(stage, index, conversion, globalInfo);
    } catch (error) {
      throw withLocation(error, stage.location);
    }
  }
}

function planStage(
  stage: Stage,
  index: number,
  conversion: Conversion,
  globalInfo: ReadonlyMap<string, ArgumentInfo>,
): void {
  const { globalArgs, stages, options } = conversion;
  const syntax = { escape: conversion.escape };
  const linter = conversion.linter.withComments(stage.comments);
  const known = new Set([...globalInfo.keys(), ...globalArgs.keys()]);
  const base = expand(stage.base, globalArgs, syntax);
  checkUndeclaredInFrom(base, known, stage.location, linter);
  if (base.text === "") throw new DockerfileError(`base name (${stage.base}) should not be blank`);
  const build = new StageBuild(stage);
  build.baseName = base.text;
  build.outline = { ...build.outline, allArgs: new Map(globalInfo) };
  const used = new Set(base.matched);
  if (stage.platform !== "") {
    const { platform, names } = platformOf(stage, conversion, known, linter);
    build.platform = platform;
    for (const name of names) used.add(name);
  }
  if (stage.name !== "") {
    const context = findNamedContext(build, stage.name, build.platform, conversion);
    if (context) {
      build.namedContext = context;
      stages.add(build);
      build.base = undefined;
      return;
    }
  } else {
    build.shownName = `stage-${index}`;
  }
  stages.add(build);
  for (const name of used) build.outline.usedArgs.add(name);
  build.stepTotal =
    (build.baseName !== SCRATCH && !build.base ? 1 : 0) + stage.instructions.filter(isStep).length;
  build.ignoreCache = ignoresCache(options, stage.name);
}

function isStep({ kind }: Instruction): boolean {
  return kind === "add" || kind === "copy" || kind === "run" || kind === "workdir";
}

function platformOf(
  stage: Stage,
  conversion: Conversion,
  known: ReadonlySet<string>,
  linter: Linter,
): { platform: Platform; names: ReadonlySet<string> } {
  const { globalArgs } = conversion;
  let value: Expansion;
  try {
    value = expand(stage.platform, globalArgs, { escape: conversion.escape });
  } catch (error) {
    throw wrapped(`failed to process arguments for platform ${stage.platform}`, error);
  }
  checkUndeclaredInFrom(value, known, stage.location, linter);
  checkPlatformFlag(stage, value, globalArgs, linter);
  const suggested = (error: unknown) => {
    for (const name of value.unmatched) {
      const better = withSuggestion(error, name, globalArgs.keys(), true);
      if (better !== error) return better;
    }
    return error;
  };
  if (value.text === "") {
    throw suggested(new DockerfileError(`empty platform value from expression ${stage.platform}`));
  }
  try {
    return { platform: parsePlatform(value.text), names: value.matched };
  } catch (error) {
    throw wrapped(`failed to parse platform ${stage.platform}`, suggested(error));
  }
}

/** @throws DockerfileError with the nearest name */
export function targetOf(conversion: Conversion): StageBuild {
  const { stages, options } = conversion;
  const name = options.target;
  if (name === "") {
    const { last } = stages;
    if (!last) throw new DockerfileError("dockerfile contains no stages to build");
    return last;
  }
  const target = stages.named(name);
  if (target) return target;
  const error = new DockerfileError(`target stage ${JSON.stringify(name)} could not be found`);
  throw withSuggestion(error, name, stages.names(), true);
}

/** Finds out which stage takes something from which. @throws DockerfileError if they go in circles */
export function connectStages(conversion: Conversion): void {
  const { stages } = conversion;
  // Stages that are made up on the way come behind, and have no instructions.
  for (const build of [...stages.all]) {
    build.instructions = build.stage.instructions.map((instruction) => {
      const planned = planInstruction(instruction, false, conversion);
      need(build, planned, conversion);
      return planned;
    });
  }
  refuseCircles(stages.all);
  const [only] = stages.all;
  if (only && stages.all.length === 1) only.shownName = "";
}

function need(build: StageBuild, planned: PlannedInstruction, { stages }: Conversion): void {
  for (const source of planned.sources) {
    build.needs.set(source, planned.instruction);
    if (source.unregistered && !stages.all.includes(source)) stages.add(source);
  }
}

function planInstruction(
  instruction: Instruction,
  onBuild: boolean,
  conversion: Conversion,
): PlannedInstruction {
  if (instruction.kind === "copy" && instruction.from !== "") {
    return { instruction, onBuild, sources: [copySource(instruction.from, instruction, conversion)] };
  }
  if (instruction.kind !== "run") return { instruction, onBuild, sources: [] };
  const sources = instruction.mounts.map((mount) => {
    const from = mountSource(mount) || SCRATCH;
    return conversion.stages.named(from) ?? madeUpStage(from, instruction);
  });
  return { instruction, onBuild, sources };
}

function copySource(from: string, instruction: Instruction, conversion: Conversion): StageBuild {
  const { stages } = conversion;
  if (expand(from, noEnvironment, { escape: conversion.escape }).text !== from) {
    throw withLocation(
      new DockerfileError(
        "variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround",
      ),
      instruction.location,
    );
  }
  if (!/^[+-]?\d+$/.test(from)) return stages.named(from) ?? madeUpStage(from, instruction);
  const stage = stages.at(Number(from));
  if (stage) return stage;
  throw withLocation(new DockerfileError(`invalid stage index ${Number(from)}`), instruction.location);
}

/** An image or a named context that is taken from without a FROM. */
function madeUpStage(base: string, { location }: Instruction): StageBuild {
  const stage: Stage = {
    name: "",
    base,
    platform: "",
    command: "FROM",
    code: "",
    description: "",
    location,
    comments: [],
    instructions: [],
  };
  return new StageBuild(stage, { unregistered: true });
}

/**
 * Puts the triggers of a stage's base before its own instructions.
 * @returns whether they need stages that nothing needed before
 */
export function takeTriggers(build: StageBuild, conversion: Conversion): boolean {
  const triggers = [...(build.image.config.OnBuild ?? [])];
  if (build.base && !build.triggersTaken) {
    for (const { instruction } of build.base.instructions) {
      if (instruction.kind === "onbuild") triggers.push(instruction.expression);
    }
    build.triggersTaken = true;
  }
  if (triggers.length === 0) return false;
  delete build.image.config.OnBuild;
  let planned: PlannedInstruction[];
  try {
    planned = triggers.map((trigger) => planTrigger(trigger, build, conversion));
  } catch (error) {
    // The trigger stands in another file: what can be shown is the FROM that brought it in.
    throw atLocation(error, build.stage.location);
  }
  build.instructions = [...planned, ...build.instructions];
  build.stepTotal += planned.length;
  return planned.some(({ sources }) => sources.length > 0);
}

function planTrigger(trigger: string, build: StageBuild, conversion: Conversion): PlannedInstruction {
  const { nodes } = parseDockerfile(trigger);
  const [node] = nodes;
  if (nodes.length !== 1 || !node) throw new DockerfileError("onbuild trigger should be a single expression");
  const { start, end } = lineSpan(build.stage.location);
  const instruction = parseInstruction({ ...node, startLine: start, endLine: end });
  const planned = planInstruction(instruction, true, conversion);
  need(build, planned, conversion);
  return planned;
}
