export { TarError } from "./header.ts";
export { type ReadBytes, readable, type TarEntry, type TarEntryType, TarReader } from "./reader.ts";
