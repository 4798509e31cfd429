/** Port: taking the files of an archive that a client sends apart. */
import type { BlobInfo } from "./content.ts";

export interface ArchivedFile {
  /** As in the archive, without a leading `./` or `/`. */
  readonly name: string;
  /** Absolute path of its bytes, and what they are; absent for a link. */
  readonly content?: { readonly path: string; readonly blob: BlobInfo };
  /** A link, hard or symbolic: the name that it leads to, within the archive. */
  readonly target?: string;
}

export interface ArchiveReader {
  /**
   * Takes a tar archive, plain or compressed (gzip, zstd, xz, bzip2), apart: its files go into the directory under names
   * of ours, hashed in passing. Nothing else is written, whatever the archive says.
   * @throws InvalidParameterError if it is no archive, or a bomb; NoSpaceError, SystemError; the signal's reason
   */
  read(
    input: AsyncIterable<Uint8Array>,
    options: { readonly into: string; readonly signal: AbortSignal },
  ): Promise<ArchivedFile[]>;
}
