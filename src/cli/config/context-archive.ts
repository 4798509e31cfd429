/** A context in one file, as `context export` makes it: `meta.json` and `tls/docker/*.pem` in a tar archive. */
import { encodeHeader, paddingAfter, TAR_END, TarReader } from "../../base/tar/index.ts";
import type { ContextMetadata, ContextTls } from "./context-store.ts";

/** Of one file, and of all together: more than a context can have. */
const LARGEST_FILE = 10 << 20;

export function packContext(context: ContextMetadata, tls: ContextTls): Buffer {
  const files = [
    ["meta.json", JSON.stringify(context), 0o644] as const,
    ...Object.entries(tls).map(([file, text]) => [`tls/docker/${file}`, text, 0o600] as const),
  ];
  const parts = files.flatMap(([name, text, mode]) => {
    const bytes = Buffer.from(text);
    const header = encodeHeader({
      name,
      type: "file",
      mode,
      size: bytes.byteLength,
      uid: 0,
      gid: 0,
      mtime: 0n,
    });
    return [header, bytes, paddingAfter(bytes.byteLength)];
  });
  return Buffer.concat([...parts, TAR_END]);
}

/** @throws Error in Docker's words */
export function unpackContext(archive: Buffer): { context: ContextMetadata; tls: ContextTls } {
  if (archive.subarray(0, 4).toString("latin1") === "PK\u0003\u0004") {
    throw new Error("zip files are not read here: make a tar archive of it");
  }
  if (archive.byteLength > LARGEST_FILE) throw new Error("exceeded max size");
  let context: ContextMetadata | undefined;
  const tls: Record<string, string> = {};
  for (const [name, bytes] of entriesOf(archive)) {
    const file = /^tls\/docker\/((?:ca|cert|key)\.pem)$/.exec(name)?.[1];
    if (name === "meta.json") context = toContext(bytes);
    else if (file !== undefined) tls[file] = bytes.toString("utf8");
    else if (name.startsWith("tls/")) throw new Error(`unexpected context file: ${name}`);
  }
  if (!context) throw new Error("invalid context: no metadata found");
  return { context, tls };
}

function toContext(bytes: Buffer): ContextMetadata {
  const {
    Name = "",
    Metadata = {},
    Endpoints,
  } = JSON.parse(bytes.toString("utf8")) as Partial<ContextMetadata>;
  if (typeof Endpoints !== "object" || Endpoints === null) throw new Error("invalid context: no endpoints");
  return { Name, Metadata, Endpoints };
}

function* entriesOf(archive: Buffer): Iterable<[name: string, bytes: Buffer]> {
  let offset = 0;
  const reader = new TarReader((into) => {
    const count = archive.copy(into, 0, offset);
    offset += count;
    return count;
  });
  for (let entry = reader.next(); entry; entry = reader.next()) {
    if (entry.type !== "file") continue;
    const pieces: Buffer[] = [];
    for (let piece = reader.content(); piece; piece = reader.content()) pieces.push(Buffer.from(piece));
    yield [entry.name.replace(/^\.\//, ""), Buffer.concat(pieces)];
  }
}
