/** What vertices give: file systems. */
import type { BuiltLayer } from "../../core/build-images.ts";

/** Layers are kept over builds; a directory is one build's own, and goes with it. */
export type Output =
  | { readonly kind: "layers"; readonly layers: readonly BuiltLayer[] }
  | { readonly kind: "directory"; readonly root: string };

export const EMPTY: Output = { kind: "layers", layers: [] };

/** Names a file system for ever: what its content digests are remembered by. Undefined for what may change. */
export function identityOf(output: Output): string | undefined {
  return output.kind === "layers" ? (output.layers.at(-1)?.chainId ?? "scratch") : undefined;
}
