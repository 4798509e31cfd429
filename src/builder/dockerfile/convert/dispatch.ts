/** One instruction at a time: what it does to its stage. */
import type {
  ArgInstruction,
  CmdInstruction,
  EntrypointInstruction,
  EnvInstruction,
  ExposeInstruction,
  HealthcheckInstruction,
  Instruction,
  LabelInstruction,
  VolumeInstruction,
} from "../instructions/types.ts";
import type { Linter } from "../lint/linter.ts";
import * as rules from "../lint/rules.ts";
import { joinPath } from "../paths.ts";
import { expand } from "../shell/expand.ts";
import { DockerfileError } from "../source/errors.ts";
import { checkOnce, checkSecretName, checkUndefined, SCAN_ARGS } from "./checks.ts";
import type { Conversion } from "./conversion.ts";
import { convertCopy } from "./copy.ts";
import { expandInstruction } from "./expand-instruction.ts";
import { exposedPorts } from "./expose.ts";
import * as go from "./go-format.ts";
import { record } from "./history.ts";
import { setVariable } from "./image.ts";
import { convertRun, withShell } from "./run.ts";
import { checkSignal } from "./signals.ts";
import type { PlannedInstruction, StageBuild } from "./stage.ts";
import { makeWorkdir } from "./workdir.ts";

/** @throws DockerfileError */
export function dispatch(build: StageBuild, planned: PlannedInstruction, conversion: Conversion): void {
  const step = new Step(build, conversion, planned.instruction);
  build.currentIsOnBuild = planned.onBuild;
  const expanders = {
    word: (word: string) => step.expand(word),
    text: (text: string) => step.expandText(text),
  };
  const instruction = expandInstruction(planned.instruction, expanders);
  if (instruction.kind === "run") convertRun(build, { ...planned, instruction }, conversion, expanders.word);
  else if (instruction.kind === "copy" || instruction.kind === "add") copy(step, planned, instruction);
  else settings(step, instruction);
}

/** What an instruction works on, and how its variables are expanded. */
class Step {
  readonly build: StageBuild;
  readonly conversion: Conversion;
  readonly linter: Linter;
  readonly location: Instruction["location"];

  constructor(build: StageBuild, conversion: Conversion, instruction: Instruction) {
    this.build = build;
    this.conversion = conversion;
    this.linter = conversion.linter.withComments(instruction.comments);
    this.location = instruction.location;
  }

  /** Unknown variables are told at the instruction. */
  expand(word: string): string {
    return this.#expand(word, { escape: this.conversion.escape });
  }

  /** A here-document: quotes are its own, and a backslash always escapes. */
  expandText(text: string): string {
    return this.#expand(text, { escape: "\\", ignoreQuotes: true });
  }

  #expand(text: string, syntax: Parameters<typeof expand>[2]): string {
    const { build, linter } = this;
    const { environment } = build;
    const expansion = expand(text, environment, syntax);
    checkUndefined(this.location, build.buildArgs, environment, expansion.unmatched, linter);
    return expansion.text;
  }

  record(text: string): void {
    record(this.build.image, text, false, this.conversion.epoch);
  }
}

function copy(
  step: Step,
  planned: PlannedInstruction,
  instruction: Extract<Instruction, { kind: "copy" | "add" }>,
): void {
  const { build, conversion, linter } = step;
  const [source] = planned.sources;
  if (source && !source.dispatched) {
    const from = JSON.stringify(instruction.kind === "copy" ? instruction.from : "");
    throw new DockerfileError(
      `cannot copy from stage ${from}, it needs to be defined before current stage ${JSON.stringify(build.shownName)}`,
    );
  }
  const from = source ? source.output : conversion.buildContext;
  const ignored = source ? undefined : conversion.ignored;
  convertCopy({ build, conversion, linter, instruction, from, ignored });
  const needed = source ? source.neededPaths : build.contextPaths;
  for (const path of instruction.sources) {
    if (instruction.kind === "copy" || !/^https?:\/\//.test(path)) needed.add(joinPath("/", path));
  }
}

function settings(step: Step, instruction: Instruction): void {
  const { build, conversion, linter } = step;
  const { image } = build;
  switch (instruction.kind) {
    case "env":
      env(step, instruction);
      break;
    case "arg":
      arg(step, instruction);
      break;
    case "label":
      label(step, instruction);
      break;
    case "cmd":
      cmd(step, instruction);
      break;
    case "entrypoint":
      entrypoint(step, instruction);
      break;
    case "healthcheck":
      healthcheck(step, instruction);
      break;
    case "expose":
      expose(step, instruction);
      break;
    case "volume":
      volume(step, instruction);
      break;
    case "workdir":
      makeWorkdir(build, instruction, conversion, linter);
      break;
    case "user":
      build.runtime = { ...build.runtime, user: instruction.user };
      image.config.User = instruction.user;
      step.record(`USER ${instruction.user}`);
      break;
    case "maintainer":
      image.author = instruction.maintainer;
      step.record(`MAINTAINER ${instruction.maintainer}`);
      break;
    case "onbuild":
      // Triggers are kept, and are in no history.
      image.config.OnBuild = [...(image.config.OnBuild ?? []), instruction.expression];
      break;
    case "stopsignal":
      checkSignal(instruction.signal);
      image.config.StopSignal = instruction.signal;
      step.record(`STOPSIGNAL ${instruction.signal}`);
      break;
    case "shell":
      image.config.Shell = [...instruction.shell];
      step.record(`SHELL ${go.list(instruction.shell)}`);
      break;
  }
}

function env(step: Step, { pairs, name, location }: EnvInstruction): void {
  const { build, linter } = step;
  for (const { key, value, legacy } of pairs) {
    if (legacy) linter.report(rules.legacyKeyValueFormat, location, name);
    checkSecretName("ENV", key, location, linter);
    build.setVariable(key, value);
    build.image.config.Env = setVariable(build.image.config.Env ?? [], key, value);
  }
  step.record(["ENV", ...pairs.map(({ key, value }) => `${key}=${value}`)].join(" "));
}

function label(step: Step, { pairs, name, location }: LabelInstruction): void {
  const { image } = step.build;
  const labels = { ...image.config.Labels };
  for (const { key, value, legacy } of pairs) {
    if (legacy) step.linter.report(rules.legacyKeyValueFormat, location, name);
    labels[key] = value;
  }
  image.config.Labels = labels;
  step.record(["LABEL", ...pairs.map(({ key, value }) => `${key}=${value}`)].join(" "));
}

/**
 * A build argument goes before a default, a default before the global argument of that name. What comes out is a variable
 * of the stage from here on, and no part of the image.
 */
function arg(step: Step, { args, location }: ArgInstruction): void {
  const { build, conversion, linter } = step;
  const shown: string[] = [];
  for (const argument of args) {
    const { key } = argument;
    checkSecretName("ARG", key, location, linter);
    const given = conversion.buildArgs.get(key);
    const inherited =
      given === undefined && argument.value === undefined ? conversion.globalArgs.get(key) : undefined;
    let value = given ?? inherited;
    if (value === undefined && argument.value !== undefined) value = step.expand(argument.value);
    if (value !== undefined && !SCAN_ARGS.has(key)) build.setVariable(key, value);
    if (inherited === undefined) {
      const info = { definition: argument, value: value ?? "", uses: new Set<string>(), location };
      build.outline.allArgs.set(key, info);
    }
    build.outline.usedArgs.add(key);
    build.buildArgs = [...build.buildArgs, { ...argument, ...(value === undefined ? {} : { value }) }];
    shown.push(value === undefined ? key : `${key}=${value}`);
  }
  step.record(`ARG ${shown.join(" ")}`);
}

function cmd(step: Step, instruction: CmdInstruction): void {
  const { image } = step.build;
  checkOnce(step.build, instruction, step.linter);
  const args = imageCommand(step, instruction);
  image.config.Cmd = [...args];
  image.config.ArgsEscaped = true;
  step.record(`CMD ${go.quoteList(args)}`);
}

/** A CMD of the base's was meant for the base's entrypoint. */
function entrypoint(step: Step, instruction: EntrypointInstruction): void {
  const { build } = step;
  checkOnce(build, instruction, step.linter);
  const args = imageCommand(step, instruction);
  build.image.config.Entrypoint = [...args];
  if (!build.seen.cmd) delete build.image.config.Cmd;
  step.record(`ENTRYPOINT ${go.quoteList(args)}`);
}

function imageCommand(step: Step, instruction: CmdInstruction | EntrypointInstruction): readonly string[] {
  const { image } = step.build;
  const { command, location, name } = instruction;
  if (!command.shell) return command.words;
  if (!image.config.Shell?.length) step.linter.report(rules.jsonArgsRecommended, location, name);
  return withShell(image, command.words);
}

function healthcheck(step: Step, instruction: HealthcheckInstruction): void {
  const { health } = instruction;
  checkOnce(step.build, instruction, step.linter);
  step.build.image.config.Healthcheck = {
    Test: [...health.test],
    ...(health.interval === 0 ? {} : { Interval: health.interval }),
    ...(health.timeout === 0 ? {} : { Timeout: health.timeout }),
    ...(health.startPeriod === 0 ? {} : { StartPeriod: health.startPeriod }),
    ...(health.startInterval === 0 ? {} : { StartInterval: health.startInterval }),
    ...(health.retries === 0 ? {} : { Retries: health.retries }),
  };
  const shown = [
    `Test:${go.list(health.test)}`,
    `Interval:${go.duration(health.interval)}`,
    `Timeout:${go.duration(health.timeout)}`,
    `StartPeriod:${go.duration(health.startPeriod)}`,
    `StartInterval:${go.duration(health.startInterval)}`,
    `Retries:${health.retries}`,
  ];
  step.record(`HEALTHCHECK {${shown.join(" ")}}`);
}

/** Ports are split into words after expanding: one variable may hold several. */
function expose(step: Step, { ports, location }: ExposeInstruction): void {
  const { build, conversion, linter } = step;
  const { environment } = build;
  const specs = ports.flatMap((port) => expand(port, environment, { escape: conversion.escape }).words);
  const exposed = exposedPorts(specs, location, linter);
  const added = Object.fromEntries(exposed.map((port) => [port, {}]));
  build.image.config.ExposedPorts = { ...build.image.config.ExposedPorts, ...added };
  step.record(`EXPOSE ${go.list(exposed)}`);
}

function volume(step: Step, { volumes }: VolumeInstruction): void {
  const { config } = step.build.image;
  if (volumes.includes("")) throw new DockerfileError("VOLUME specified can not be an empty string");
  config.Volumes = { ...config.Volumes, ...Object.fromEntries(volumes.map((path) => [path, {}])) };
  step.record(`VOLUME ${go.list(volumes)}`);
}
