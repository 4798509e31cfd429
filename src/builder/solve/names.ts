/** What clients show of a vertex that its maker gave no name. @see BuildKit solver/llbsolver/vertex.go (llbOpName) */
import type { Op, OpMetadata } from "../graph/ops.ts";

export function nameOf({ op }: Op, metadata: OpMetadata | undefined): string {
  const custom = metadata?.description["llb.customname"];
  if (custom) return custom;
  switch (op.type) {
    case "source":
      return op.identifier.replace(/^local:\/\//, "local://");
    case "exec":
      return op.meta.args.join(" ");
    case "file":
      return op.actions.map(({ action }) => describeAction(action)).join(", ");
    case "merge":
      return "merge";
    case "diff":
      return "diff";
    case "build":
      return "build";
    case "passthrough":
      return op.id;
  }
}

type Action = Extract<Op["op"], { type: "file" }>["actions"][number]["action"];

function describeAction(action: Action): string {
  switch (action.type) {
    case "copy":
      return `copy ${action.src} ${action.dest}`;
    case "mkfile":
    case "mkdir":
      return `${action.type} ${action.path}`;
    case "rm":
      return `rm ${action.path}`;
    case "symlink":
      return `symlink ${action.oldpath} ${action.newpath}`;
  }
}
