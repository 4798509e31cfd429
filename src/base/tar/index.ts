export { TarError } from "./header.ts";
export { type ReadBytes, readable, type TarEntry, type TarEntryType, TarReader } from "./reader.ts";
export type { SparsePiece } from "./sparse.ts";
export { encodeHeader, paddingAfter, TAR_END, type TarHeader, TarWriter } from "./writer.ts";
