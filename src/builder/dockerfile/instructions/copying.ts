/** COPY and ADD. */
import { chomped, findHeredoc } from "../parser/heredocs.ts";
import type { InstructionNode } from "../parser/node.ts";
import { DockerfileError } from "../source/errors.ts";
import { parseFlags } from "./flags.ts";
import { commonOf } from "./request.ts";
import type { AddInstruction, CopyInstruction, InlineSource } from "./types.ts";

export function parseAdd(node: InstructionNode): AddInstruction {
  requireDestination(node, "ADD");
  const flags = parseFlags(node.flags, {
    chown: "string",
    chmod: "string",
    link: "bool",
    "keep-git-dir": "bool",
    checksum: "string",
    unpack: "bool",
    exclude: "list",
  });
  const keepGitDir = flags["keep-git-dir"];
  return {
    ...commonOf(node),
    kind: "add",
    ...sourcesOf(node, "ADD"),
    chown: flags.chown ?? "",
    chmod: flags.chmod ?? "",
    link: flags.link ?? false,
    exclude: flags.exclude,
    checksum: flags.checksum ?? "",
    ...(keepGitDir === undefined ? {} : { keepGitDir }),
    ...(flags.unpack === undefined ? {} : { unpack: flags.unpack }),
  };
}

export function parseCopy(node: InstructionNode): CopyInstruction {
  requireDestination(node, "COPY");
  const flags = parseFlags(node.flags, {
    chown: "string",
    from: "string",
    chmod: "string",
    link: "bool",
    exclude: "list",
    parents: "bool",
  });
  return {
    ...commonOf(node),
    kind: "copy",
    ...sourcesOf(node, "COPY"),
    from: flags.from ?? "",
    chown: flags.chown ?? "",
    chmod: flags.chmod ?? "",
    link: flags.link ?? false,
    parents: flags.parents ?? false,
    exclude: flags.exclude,
  };
}

function requireDestination(node: InstructionNode, instruction: string): void {
  if (node.args.length >= 2) return;
  throw new DockerfileError(
    `${instruction} requires at least two arguments, but only one was provided. Destination could not be determined`,
  );
}

interface Sources {
  readonly sources: string[];
  readonly inline: InlineSource[];
  readonly destination: string;
}

/** All words but the last are sources; those that announce a here-document stand for its text. */
function sourcesOf(node: InstructionNode, instruction: string): Sources {
  const destination = node.args.at(-1) ?? "";
  if (findHeredoc(destination)) {
    throw new DockerfileError(`${instruction} cannot accept a heredoc as a destination`);
  }
  const contents = new Map(node.heredocs.map((heredoc) => [heredoc.name, heredoc.content]));
  const sources: string[] = [];
  const inline: InlineSource[] = [];
  for (const word of node.args.slice(0, -1)) {
    const heredoc = findHeredoc(word);
    if (!heredoc) {
      sources.push(word);
      continue;
    }
    const content = contents.get(heredoc.name) ?? "";
    inline.push({
      name: heredoc.name,
      data: heredoc.chomp ? chomped(content) : content,
      expand: heredoc.expand,
    });
  }
  return { sources, inline, destination };
}
