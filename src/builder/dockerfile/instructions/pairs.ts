/** ENV, LABEL and ARG: names and values. */
import type { InstructionNode } from "../parser/node.ts";
import { DockerfileError } from "../source/errors.ts";
import { parseFlags } from "./flags.ts";
import { commonOf, describedBy, requireSome } from "./request.ts";
import type { ArgInstruction, EnvInstruction, LabelInstruction, Pair } from "./types.ts";

export function parseEnv(node: InstructionNode): EnvInstruction {
  parseFlags(node.flags, {});
  return { ...commonOf(node), kind: "env", pairs: pairsOf(node, "ENV") };
}

export function parseLabel(node: InstructionNode): LabelInstruction {
  parseFlags(node.flags, {});
  return { ...commonOf(node), kind: "label", pairs: pairsOf(node, "LABEL") };
}

export function parseArg(node: InstructionNode): ArgInstruction {
  const args = requireSome(node, "ARG").map((word) => {
    const at = word.indexOf("=");
    if (at === 0) throw blankName("ARG");
    const key = at < 0 ? word : word.slice(0, at);
    const description = describedBy(node.comments, key);
    return at < 0 ? { key, description } : { key, value: word.slice(at + 1), description };
  });
  return { ...commonOf(node), kind: "arg", args };
}

/** The parser gives three words for each pair. */
function pairsOf(node: InstructionNode, instruction: string): Pair[] {
  const words = requireSome(node, instruction);
  const pairs: Pair[] = [];
  for (let index = 0; index < words.length; index += 3) {
    const [key = "", value = "", delimiter] = words.slice(index, index + 3);
    if (key === "") throw blankName(instruction);
    pairs.push({ key, value, legacy: delimiter === "" });
  }
  return pairs;
}

function blankName(instruction: string): DockerfileError {
  return new DockerfileError(`${instruction} names can not be blank`);
}
