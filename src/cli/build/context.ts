/**
 * A directory as the context of a build: a tar archive of what `.dockerignore` leaves, owners 0:0, in the order of names.
 * Packed as it is sent; no file is held in memory.
 */
import { createReadStream, existsSync, lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { basename, join, relative, resolve, sep } from "node:path";
import { type MatchResults, PatternMatcher } from "../../base/patterns.ts";
import { encodeHeader, paddingAfter, TAR_END, type TarHeader } from "../../base/tar/index.ts";

const CHUNK = 1 << 20;

export interface BuildContext {
  /** The Dockerfile's name within the archive. */
  readonly dockerfile: string;
  readonly content: AsyncIterable<Uint8Array>;
}

/**
 * @param dockerfile as given; empty for `Dockerfile` in the directory. One from elsewhere is added to the archive
 * @param source of the Dockerfile, where it comes from standard input
 * @throws Error in the words of Docker's client
 */
export function openContext(directory: string, dockerfile: string, source?: Uint8Array): BuildContext {
  const root = resolve(directory);
  if (!existsSync(root))
    throw new Error(`unable to prepare context: path ${JSON.stringify(directory)} not found`);
  if (!lstatSync(root, { throwIfNoEntry: false })?.isDirectory() && !isDirectoryLink(root)) {
    throw new Error(`unable to prepare context: context must be a directory: ${root}`);
  }
  const path = source === undefined ? dockerfilePath(root, dockerfile) : "-";
  const inside = source === undefined ? relative(root, path) : "..";
  const isOutside = inside === ".." || inside.startsWith(`..${sep}`);
  const name = isOutside ? `.dockerfile.${crypto.randomUUID().slice(0, 8)}` : inside;
  const added = isOutside ? { name, bytes: source ?? readFileSync(path) } : undefined;
  const patterns = ignorePatterns(root, isOutside ? path : join(root, inside));
  // The engine needs these two, whatever the patterns say.
  const matcher = new PatternMatcher([...patterns, "!.dockerignore", `!${name}`]);
  return { dockerfile: name, content: pack(root, matcher, added) };
}

function dockerfilePath(root: string, given: string): string {
  const path =
    given === "" ? join(root, "Dockerfile") : existsSync(resolve(given)) ? resolve(given) : join(root, given);
  if (existsSync(path)) return path;
  // Written in lower case by many.
  const lower = join(root, "dockerfile");
  if (given === "" && existsSync(lower)) return lower;
  throw new Error(
    `unable to prepare context: unable to evaluate symlinks in Dockerfile path: lstat ${path}: no such file or directory`,
  );
}

/** Of `<Dockerfile>.dockerignore` beside it, else of the context's own. */
function ignorePatterns(root: string, dockerfile: string): string[] {
  const file = [`${dockerfile}.dockerignore`, join(root, ".dockerignore")].find((path) => existsSync(path));
  if (file === undefined) return [];
  const lines = readFileSync(file, "utf8")
    .replace(/^\uFEFF/, "")
    .split(/\r?\n/);
  return lines.filter((line) => !line.startsWith("#") && line.trim() !== "").map((line) => line.trim());
}

async function* pack(
  root: string,
  matcher: PatternMatcher,
  added: { name: string; bytes: Uint8Array } | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  const gathered = new Gathered();
  for (const { path, name } of entries(root, "", matcher, [])) {
    const header = headerOf(path, name);
    if (!header) continue;
    yield* gathered.add(encodeHeader(header));
    if (header.type !== "file" || !header.size) continue;
    yield* content(path, header.size, gathered);
    yield* gathered.add(paddingAfter(header.size));
  }
  if (added) {
    const { name, bytes } = added;
    yield* gathered.add(
      encodeHeader({ name: asBytes(name), type: "file", mode: 0o600, size: bytes.byteLength }),
    );
    yield* gathered.add(bytes);
    yield* gathered.add(paddingAfter(bytes.byteLength));
  }
  yield* gathered.add(TAR_END);
  yield* gathered.flush();
}

/** Parents before what is in them. A directory that is left out is entered only if a pattern may bring something back. */
function* entries(
  directory: string,
  prefix: string,
  matcher: PatternMatcher,
  above: MatchResults,
): Generator<{ path: string; name: string }, void, undefined> {
  for (const entry of readdirSync(directory, { withFileTypes: true }).sort((a, b) =>
    a.name < b.name ? -1 : 1,
  )) {
    const name = prefix === "" ? entry.name : `${prefix}/${entry.name}`;
    const path = join(directory, entry.name);
    const { matched, results } = matcher.match(name, above);
    if (!matched) yield { path, name };
    if (entry.isDirectory() && (!matched || matcher.hasExceptions))
      yield* entries(path, name, matcher, results);
  }
}

/** Undefined for what has no place in an archive: sockets. */
function headerOf(path: string, name: string): TarHeader | undefined {
  const stats = lstatSync(path, { bigint: true });
  const common = { name: asBytes(name), mode: Number(stats.mode & 0o7777n), mtime: stats.mtimeNs };
  if (stats.isDirectory()) return { ...common, type: "directory" };
  if (stats.isFile()) return { ...common, type: "file", size: Number(stats.size) };
  if (stats.isSymbolicLink())
    return { ...common, type: "symbolic-link", linkName: asBytes(readlinkSync(path)) };
  if (stats.isFIFO()) return { ...common, type: "fifo" };
  return undefined;
}

async function* content(
  path: string,
  size: number,
  gathered: Gathered,
): AsyncGenerator<Uint8Array, void, undefined> {
  let left = size;
  for await (const chunk of createReadStream(path, { highWaterMark: CHUNK, end: size - 1 })) {
    left -= (chunk as Buffer).byteLength;
    yield* gathered.add(chunk as Buffer);
  }
  if (left !== 0) throw new Error(`the file ${basename(path)} became shorter while it was sent`);
}

/** Small pieces are sent together: a context has thousands of small files. */
class Gathered {
  #pieces: Uint8Array[] = [];
  #length = 0;

  *add(piece: Uint8Array): Generator<Uint8Array, void, undefined> {
    if (piece.byteLength === 0) return;
    this.#pieces.push(piece);
    this.#length += piece.byteLength;
    if (this.#length >= CHUNK) yield* this.flush();
  }

  *flush(): Generator<Uint8Array, void, undefined> {
    if (this.#length > 0) yield Buffer.concat(this.#pieces, this.#length);
    this.#pieces = [];
    this.#length = 0;
  }
}

function isDirectoryLink(path: string): boolean {
  return existsSync(join(path, "."));
}

/** Archives have names as byte strings. */
function asBytes(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}
