/** What the parsers of single instructions share. */
import { type InstructionNode, locationOf } from "../parser/node.ts";
import { DockerfileError } from "../source/errors.ts";
import type { SourceRange } from "../source/ranges.ts";

export function commonOf(node: InstructionNode): {
  name: string;
  code: string;
  location: SourceRange[];
  comments: string[];
} {
  return {
    name: node.command,
    code: node.original.trim(),
    location: locationOf(node),
    comments: node.comments,
  };
}

/** @throws DockerfileError if there are none */
export function requireSome(node: InstructionNode, instruction: string): string[] {
  if (node.args.length > 0) return node.args;
  throw new DockerfileError(`${instruction} requires at least one argument`);
}

/** @throws DockerfileError unless there is exactly one */
export function exactlyOne(node: InstructionNode, instruction: string): string {
  const [argument] = node.args;
  if (node.args.length === 1 && argument !== undefined) return argument;
  throw new DockerfileError(`${instruction} requires exactly one argument`);
}

/** What a comment above says about a name: `# name what it is for`. */
export function describedBy(comments: readonly string[], name: string): string {
  if (name === "") return "";
  const line = comments.find((comment) => comment.startsWith(`${name} `));
  return line?.slice(name.length + 1) ?? "";
}
