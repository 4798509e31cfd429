/** A frontend's result as exporters take it: solved, one file system and configuration for each platform. */
import type { BuiltLayer } from "../../core/build-images.ts";
import { NotImplementedError } from "../../core/errors.ts";
import type { FrontendResult } from "../frontend.ts";
import type { ExportableReference } from "../solve/gateway.ts";
import { EMPTY, type Output } from "../solve/output.ts";

export interface ExportablePlatform {
  /** `linux/amd64`; empty if there is one only. */
  readonly id: string;
  readonly output: Output;
  readonly layers: readonly BuiltLayer[];
  /** The image configuration, if the frontend gave one. */
  readonly config: Uint8Array | undefined;
}

export interface Exportable {
  readonly platforms: readonly ExportablePlatform[];
  readonly metadata: FrontendResult["metadata"];
}

/** Runs what has not run yet; platforms side by side. */
export async function toExportable(result: FrontendResult): Promise<Exportable> {
  const platforms = await Promise.all(
    [...result.refs].map(async ([id, reference]) => {
      const output = reference ? await (reference as ExportableReference).output() : EMPTY;
      const config =
        result.metadata.get(`containerimage.config/${id}`) ?? result.metadata.get("containerimage.config");
      return { id, output, config, layers: layersOf(output) };
    }),
  );
  return { platforms, metadata: result.metadata };
}

function layersOf(output: Output): readonly BuiltLayer[] {
  if (output.kind === "layers") return output.layers;
  throw new NotImplementedError("a directory of the client's cannot be exported as it is");
}
