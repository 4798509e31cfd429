/** What a stage was seen to use: arguments, secrets and agents, for the outline that clients can ask for. */
import type { Argument } from "../instructions/types.ts";
import type { SourceRange } from "../source/ranges.ts";

export interface ArgumentInfo {
  readonly definition: Argument;
  readonly value: string;
  /** Arguments that its default is made of. */
  readonly uses: ReadonlySet<string>;
  readonly location: readonly SourceRange[];
}

export interface HandedInfo {
  readonly required: boolean;
  readonly location: readonly SourceRange[];
}

export interface OutlineRecord {
  readonly allArgs: Map<string, ArgumentInfo>;
  readonly usedArgs: Set<string>;
  readonly secrets: Map<string, HandedInfo>;
  readonly ssh: Map<string, HandedInfo>;
}

export function emptyOutline(): OutlineRecord {
  return { allArgs: new Map(), usedArgs: new Set(), secrets: new Map(), ssh: new Map() };
}
