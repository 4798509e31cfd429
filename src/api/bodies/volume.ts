/** Decoders of what clients say about volumes. */
import { anything, type Decoder, map, string, struct } from "../decode.ts";

export interface VolumeCreateBody {
  readonly Name?: string;
  readonly Driver?: string;
  readonly DriverOpts?: Record<string, string>;
  readonly Labels?: Record<string, string>;
  /** Present only for cluster volumes, which are another kind of object. */
  readonly ClusterVolumeSpec?: unknown;
}

export const volumeCreateBody: Decoder<VolumeCreateBody> = struct<VolumeCreateBody>("volume.CreateOptions", {
  Name: string,
  Driver: string,
  DriverOpts: map(string),
  Labels: map(string),
  ClusterVolumeSpec: anything as Decoder<NonNullable<unknown>>,
});
