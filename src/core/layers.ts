/** Ports: turning a layer's bytes, as they came from a registry, into the tree that a snapshot is made of. */
import type { BlobInfo } from "./content.ts";
import type { Digest } from "./ids.ts";

export interface UnpackRequest {
  /** The blob's file: a tar archive, plain or compressed with gzip, zstd, xz or bzip2 (its first bytes tell). */
  readonly blob: string;
  /** What the image's configuration says the uncompressed archive is; undefined if nothing says anything. */
  readonly diffId: Digest | undefined;
  /** An empty directory. */
  readonly into: string;
  readonly signal: AbortSignal;
  /** Bytes of the blob that were read so far. */
  readonly onProgress?: (current: number) => void;
}

export interface UnpackedLayer {
  /** Bytes of all files: what image sizes are made of. */
  readonly size: number;
  readonly entries: number;
}

export interface LayerUnpacker {
  /**
   * Nothing outside of `into` is touched, whatever the archive says. On error `into` is in any state.
   * @throws InvalidParameterError if the archive is malformed, hostile, or not the one that `diffId` names
   * @throws NoSpaceError, SystemError
   */
  unpack(request: UnpackRequest): Promise<UnpackedLayer>;
}

export interface LayerCompressor {
  /** Compresses a layer's archive with gzip into another file: the same bytes for the same archive. @throws NoSpaceError, SystemError */
  compress(options: {
    readonly file: string;
    readonly into: string;
    readonly signal: AbortSignal;
  }): Promise<BlobInfo>;
}
