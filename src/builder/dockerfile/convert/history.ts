/** The history of an image: one entry for each instruction, in the words that BuildKit uses. */
import { msToRfc3339 } from "../../../base/times.ts";
import type { ImageDocument } from "./image.ts";

const COMMENT = "buildkit.dockerfile.v0";

/**
 * @param layer whether the instruction makes a layer, even an empty one
 * @param epoch seconds since 1970 that all entries are dated with, if any
 */
export function record(image: ImageDocument, text: string, layer: boolean, epoch: number | undefined): void {
  image.history = [
    ...(image.history ?? []),
    {
      ...(epoch === undefined ? {} : { created: msToRfc3339(epoch * 1000) }),
      created_by: text,
      comment: COMMENT,
      ...(layer ? {} : { empty_layer: true }),
    },
  ];
}
