/**
 * Sparse files in pax archives, in the three forms that GNU tar writes: what is not data is a hole. A map of what is where
 * is in the header (0.0, 0.1) or in front of the content (1.0). Pure.
 * @see https://www.gnu.org/software/tar/manual/html_node/Sparse-Formats.html; Go archive/tar, whose checks these are
 */
import { TarError } from "./header.ts";

/** Bytes of data at an offset of the file. */
export interface SparsePiece {
  readonly offset: number;
  readonly length: number;
}

export interface SparseFile {
  /** With its holes. */
  readonly size: number;
  readonly pieces: readonly SparsePiece[];
}

/** No sane file has a longer map; it is kept in memory. */
const LARGEST_MAP = 1 << 20;

/** Undefined for a file that is not sparse; without a map it is in front of the content. @throws TarError */
export function sparseForm(
  records: ReadonlyMap<string, string>,
): { readonly size: number; readonly map: readonly number[] | undefined } | undefined {
  const major = records.get("GNU.sparse.major");
  if (major !== undefined) {
    if (major === "1" && records.get("GNU.sparse.minor") === "0") {
      return { size: integer(records.get("GNU.sparse.realsize")), map: undefined };
    }
    if (major !== "0") throw new TarError("invalid sparse file: unknown format");
  }
  const map = records.get("GNU.sparse.map");
  if (map === undefined) return undefined;
  return {
    size: integer(records.get("GNU.sparse.size")),
    map: map === "" ? [] : map.split(",").map(integer),
  };
}

/**
 * The map in front of the content: a count, then offsets and lengths, each on a line, in whole blocks.
 * @param nextBlock a byte string of one block @throws TarError
 */
export function readMap(nextBlock: () => string): number[] {
  let text = nextBlock();
  let position = 0;
  let length = text.length;
  const number = (): number => {
    for (;;) {
      const end = text.indexOf("\n", position);
      if (end >= 0) {
        const value = integer(text.slice(position, end));
        position = end + 1;
        return value;
      }
      // No number is as long as a block.
      if (text.length - position > 512 || length > LARGEST_MAP) throw new TarError("invalid sparse file");
      const more = nextBlock();
      length += more.length;
      text = text.slice(position) + more;
      position = 0;
    }
  };
  const count = number();
  if (count > LARGEST_MAP) throw new TarError("invalid sparse file");
  return Array.from({ length: 2 * count }, number);
}

/** @param content bytes of data that the archive has for the file @throws TarError */
export function checkedSparseFile(map: readonly number[], size: number, content: number): SparseFile {
  if (map.length % 2 !== 0) throw new TarError("invalid sparse file");
  const pieces: SparsePiece[] = [];
  let end = 0;
  let total = 0;
  for (let index = 0; index < map.length; index += 2) {
    const [offset = 0, length = 0] = map.slice(index, index + 2);
    if (offset < end || offset + length > size) throw new TarError("invalid sparse file: its pieces overlap");
    end = offset + length;
    total += length;
    pieces.push({ offset, length });
  }
  if (total !== content) throw new TarError("invalid sparse file: its map and its content differ");
  return { size, pieces };
}

function integer(text: string | undefined): number {
  const value = Number(text);
  if (text === undefined || !/^\d+$/.test(text) || !Number.isSafeInteger(value)) {
    throw new TarError("invalid sparse file: not a number");
  }
  return value;
}
