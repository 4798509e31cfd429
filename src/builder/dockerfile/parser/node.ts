/** One instruction as it stands in the file: its word, its flags, and its arguments cut but not yet understood. */
import { lineRanges, type SourceRange } from "../source/ranges.ts";
import type { Heredoc } from "./heredocs.ts";

export interface InstructionNode {
  /** The instruction's word, in the case in which it is written. */
  readonly command: string;
  /** `--flag` and `--flag=value`, quotes and escapes resolved. */
  readonly flags: string[];
  /**
   * The arguments. ENV and LABEL give three for each pair: name, value and `=`, or an empty text where a space stood.
   * ONBUILD gives the words of its trigger.
   */
  readonly args: string[];
  /** The arguments were a JSON array. */
  readonly json: boolean;
  /** The trigger of ONBUILD. */
  readonly child?: InstructionNode;
  readonly heredocs: Heredoc[];
  /** The instruction's lines joined, without here-documents. */
  readonly original: string;
  /** Comments directly above, without their mark. */
  readonly comments: string[];
  readonly startLine: number;
  readonly endLine: number;
}

export function locationOf(node: InstructionNode): SourceRange[] {
  return lineRanges(node.startLine, node.endLine);
}
