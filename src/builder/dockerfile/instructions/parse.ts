/** Instructions understood one by one, and gathered into stages. */
import type { Linter } from "../lint/linter.ts";
import * as rules from "../lint/rules.ts";
import { type InstructionNode, locationOf } from "../parser/node.ts";
import { DockerfileError, wrapped } from "../source/errors.ts";
import { type SourceRange, withLocation } from "../source/ranges.ts";
import { withSuggestion } from "../source/suggest.ts";
import { parseAdd, parseCopy } from "./copying.ts";
import { parseFlags } from "./flags.ts";
import { parseHealthcheck } from "./health.ts";
import { parseArg, parseEnv, parseLabel } from "./pairs.ts";
import { commonOf, describedBy, exactlyOne, requireSome } from "./request.ts";
import { commandLineOf, parseRun } from "./run.ts";
import type { ArgInstruction, Instruction, OnbuildInstruction, Stage } from "./types.ts";

export interface ParsedStages {
  readonly stages: Stage[];
  /** ARG before the first FROM: what FROM lines may use. */
  readonly globalArgs: ArgInstruction[];
}

const PARSERS: Readonly<Record<string, (node: InstructionNode) => Instruction>> = {
  add: parseAdd,
  arg: parseArg,
  cmd: (node) => ({ ...withoutFlags(node), kind: "cmd", command: commandLineOf(node) }),
  copy: parseCopy,
  entrypoint: (node) => ({ ...withoutFlags(node), kind: "entrypoint", command: commandLineOf(node) }),
  env: parseEnv,
  expose: (node) => ({ ...withoutFlags(node), kind: "expose", ports: sorted(requireSome(node, "EXPOSE")) }),
  healthcheck: parseHealthcheck,
  label: parseLabel,
  maintainer: (node) => ({
    ...withoutFlags(node),
    kind: "maintainer",
    maintainer: exactlyOne(node, "MAINTAINER"),
  }),
  onbuild: parseOnbuild,
  run: parseRun,
  shell: parseShell,
  stopsignal: (node) => ({ ...commonOf(node), kind: "stopsignal", signal: exactlyOne(node, "STOPSIGNAL") }),
  user: (node) => ({ ...withoutFlags(node), kind: "user", user: exactlyOne(node, "USER") }),
  volume: parseVolume,
  workdir: (node) => ({ ...withoutFlags(node), kind: "workdir", path: exactlyOne(node, "WORKDIR") }),
};

/** Gathers a file's instructions into stages. @throws DockerfileError that names the line */
export function parseStages(nodes: readonly InstructionNode[], linter: Linter): ParsedStages {
  const stages: (Omit<Stage, "instructions"> & { readonly instructions: Instruction[] })[] = [];
  const globalArgs: ArgInstruction[] = [];
  for (const node of nodes) {
    const parsed = parseLine(node, linter);
    const stage = stages.at(-1);
    if (parsed.kind === "stage") stages.push({ ...parsed.stage, instructions: [] });
    else if (stage) stage.instructions.push(parsed);
    else if (parsed.kind === "arg") globalArgs.push(parsed);
    else {
      throw withLocation(new DockerfileError("no build stage in current context"), locationOf(node));
    }
  }
  return { stages, globalArgs };
}

/** One instruction that stands alone, as a trigger of ONBUILD does. @throws DockerfileError */
export function parseInstruction(node: InstructionNode): Instruction {
  return located(node, () => {
    const parse = PARSERS[node.command.toLowerCase()];
    if (parse) return parse(node);
    if (node.command.toLowerCase() === "from") {
      throw new DockerfileError("*instructions.Stage is not a command type");
    }
    throw unknownInstruction(node);
  });
}

function parseLine(
  node: InstructionNode,
  linter: Linter,
): Instruction | { kind: "stage"; stage: Omit<Stage, "instructions"> } {
  const own = linter.withComments(node.comments);
  try {
    return located(node, () => {
      if (node.command.toLowerCase() === "from") return { kind: "stage", stage: parseFrom(node, own) };
      if (node.command.toLowerCase() === "maintainer") {
        own.report(rules.maintainerDeprecated, locationOf(node));
      }
      const parse = PARSERS[node.command.toLowerCase()];
      if (!parse) throw unknownInstruction(node);
      const instruction = parse(node);
      if (instruction.kind === "arg") {
        const names = instruction.args.map((arg) => arg.key);
        checkDescription("ARG", names, node.comments, instruction.location, own);
      }
      return instruction;
    });
  } catch (error) {
    throw wrapped(`dockerfile parse error on line ${node.startLine}`, error);
  }
}

const STAGE_NAME = /^[a-z][a-z0-9-_.]*$/;

function parseFrom(node: InstructionNode, linter: Linter): Omit<Stage, "instructions"> {
  const location = locationOf(node);
  const [base = "", as = "", named = ""] = node.args;
  if (node.args.length === 3 && named !== named.toLowerCase()) {
    linter.report(rules.stageNameCasing, location, named);
  }
  if (node.args.length >= 3 && !sameCasing(node.command, as)) {
    linter.report(rules.fromAsCasing, location, node.command, as);
  }
  const name = stageName(node.args);
  const { platform } = parseFlags(node.flags, { platform: "string" });
  if (name !== "") checkDescription("FROM", [name], node.comments, location, linter);
  return {
    name,
    base,
    platform: platform ?? "",
    command: node.command,
    code: node.original.trim(),
    description: describedBy(node.comments, name),
    location,
    comments: node.comments,
  };
}

function stageName(args: readonly string[]): string {
  if (args.length === 3 && args[1]?.toLowerCase() === "as") {
    const name = (args[2] ?? "").toLowerCase();
    if (STAGE_NAME.test(name)) return name;
    throw new DockerfileError(
      `invalid name for build stage: ${JSON.stringify(args[2])}, name can't start with a number or contain symbols`,
    );
  }
  if (args.length !== 1) throw new DockerfileError("FROM requires either one or three arguments");
  return "";
}

/** Whether `as` is written in the case of `from`; a `From` in mixed case is another rule's business. */
function sameCasing(from: string, as: string): boolean {
  if (from === from.toLowerCase()) return as === as.toLowerCase();
  return from !== from.toUpperCase() || as === as.toUpperCase();
}

function parseOnbuild(node: InstructionNode): OnbuildInstruction {
  const [trigger = ""] = requireSome(node, "ONBUILD");
  parseFlags(node.flags, {});
  const word = trigger.trim().toUpperCase();
  if (word === "ONBUILD") throw new DockerfileError("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
  if (word === "MAINTAINER" || word === "FROM") {
    throw new DockerfileError(`${word} isn't allowed as an ONBUILD trigger`);
  }
  const line = node.original.replace(/^\s*ONBUILD\s*/i, "");
  const bodies = node.heredocs.map((heredoc) => `\n${heredoc.content}${heredoc.name}`);
  return { ...commonOf(node), kind: "onbuild", expression: line + bodies.join("") };
}

function parseShell(node: InstructionNode): Instruction {
  parseFlags(node.flags, {});
  const shell = requireSome(node, "SHELL");
  if (!node.json) throw new DockerfileError("SHELL requires the arguments to be in JSON form");
  return { ...commonOf(node), kind: "shell", shell };
}

function parseVolume(node: InstructionNode): Instruction {
  const volumes = requireSome(node, "VOLUME").map((volume) => volume.trim());
  parseFlags(node.flags, {});
  if (volumes.includes("")) throw new DockerfileError("VOLUME specified can not be an empty string");
  return { ...commonOf(node), kind: "volume", volumes };
}

function withoutFlags(node: InstructionNode): ReturnType<typeof commonOf> {
  parseFlags(node.flags, {});
  return commonOf(node);
}

function sorted(values: readonly string[]): string[] {
  return [...values].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

function checkDescription(
  instruction: string,
  names: readonly string[],
  comments: readonly string[],
  location: readonly SourceRange[],
  linter: Linter,
): void {
  const first = comments.at(-1)?.split(" ", 1)[0];
  const [name] = names;
  if (first === undefined || name === undefined || names.includes(first)) return;
  const example = names.length > 1 ? "<arg_key>" : name;
  linter.report(rules.invalidDefinitionDescription, location, instruction, example);
}

function unknownInstruction(node: InstructionNode): unknown {
  const known = [...Object.keys(PARSERS), "from"].map((name) => name.toUpperCase());
  const error = new DockerfileError(`unknown instruction: ${node.command}`);
  return withSuggestion(error, node.command, known, false);
}

function located<T>(node: InstructionNode, step: () => T): T {
  try {
    return step();
  } catch (error) {
    throw withLocation(error, locationOf(node));
  }
}
