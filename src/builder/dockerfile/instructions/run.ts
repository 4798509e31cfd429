/** RUN, and the commands of CMD and ENTRYPOINT. */
import type { InstructionNode } from "../parser/node.ts";
import { DockerfileError } from "../source/errors.ts";
import { parseDevice } from "./devices.ts";
import { parseFlags } from "./flags.ts";
import { cutMount } from "./mounts.ts";
import { commonOf } from "./request.ts";
import type { CommandLine, RunInstruction } from "./types.ts";

export function parseRun(node: InstructionNode): RunInstruction {
  const flags = parseFlags(node.flags, {
    mount: "list",
    network: "string",
    security: "string",
    device: "list",
  });
  return {
    ...commonOf(node),
    kind: "run",
    command: commandLineOf(node),
    mounts: flags.mount.map(cutMount),
    network: networkOf(flags.network ?? "default"),
    security: securityOf(flags.security ?? "sandbox"),
    devices: flags.device.map(parseDevice),
  };
}

/** The exec form's words, or the shell form's text as one word. */
export function commandLineOf(node: InstructionNode): CommandLine {
  const files = node.heredocs.map(({ name, content, chomp }) => ({ name, data: content, chomp }));
  const words = node.json || node.args.length === 0 ? node.args : [node.args.join(" ")];
  return { words, files, shell: !node.json };
}

function networkOf(value: string): RunInstruction["network"] {
  if (value === "default" || value === "none" || value === "host") return value;
  throw new DockerfileError(`invalid network mode ${JSON.stringify(value)}`);
}

function securityOf(value: string): RunInstruction["security"] {
  if (value === "sandbox" || value === "insecure") return value;
  throw new DockerfileError(`security ${JSON.stringify(value)} is not valid`);
}
