/**
 * The context of a classic build: an archive that is unpacked into a directory of the build's own, and the Dockerfile in it.
 */
import { randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { cleanPath, PatternMatcher } from "../../base/patterns.ts";
import { InvalidParameterError } from "../../core/errors.ts";
import type { ClassicDeps } from "./deps.ts";

const LARGEST_DOCKERFILE = 16 << 20;

export interface BuildContext extends AsyncDisposable {
  /** Empty for a build without a context: a Dockerfile alone. */
  readonly root: string;
  readonly dockerfile: string;
}

/** @throws InvalidParameterError with dockerd's words */
export async function openContext(
  deps: ClassicDeps,
  source: { readonly archive: AsyncIterable<Uint8Array> } | { readonly dockerfile: string },
  { dockerfile, signal }: { dockerfile: string; signal: AbortSignal },
): Promise<BuildContext> {
  const directory = join(deps.workDirectory, `classic-${randomBytes(8).toString("hex")}`);
  const root = join(directory, "context");
  mkdirSync(root, { recursive: true, mode: 0o700 });
  const remove = () => rm(directory, { recursive: true, force: true });
  try {
    if ("dockerfile" in source) return { root, dockerfile: source.dockerfile, [Symbol.asyncDispose]: remove };
    await deps.files.unpack({ root, archive: source.archive, signal });
    const text = await readDockerfile(deps, root, dockerfile);
    await applyIgnore(deps, root, text.path, signal);
    return { root, dockerfile: text.content, [Symbol.asyncDispose]: remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

async function readDockerfile(
  deps: ClassicDeps,
  root: string,
  asked: string,
): Promise<{ path: string; content: string }> {
  const path = cleanPath(asked || "Dockerfile").replace(/^\/+/, "");
  if (path.startsWith("..")) {
    throw new InvalidParameterError(`the Dockerfile (${asked}) must be within the build context`);
  }
  const names = asked === "" ? [path, path.toLowerCase()] : [path];
  for (const name of names) {
    const bytes = await deps.roots.readFile(root, name, LARGEST_DOCKERFILE);
    if (bytes === undefined) continue;
    if (bytes.length === 0) throw new InvalidParameterError(`the Dockerfile (${name}) cannot be empty`);
    return { path: name, content: new TextDecoder().decode(bytes) };
  }
  throw new InvalidParameterError(`Cannot locate specified Dockerfile: ${path}`);
}

/** The client sends these two files always: if they are ignored they are no part of the context. */
async function applyIgnore(
  deps: ClassicDeps,
  root: string,
  dockerfile: string,
  signal: AbortSignal,
): Promise<void> {
  const bytes = await deps.roots.readFile(root, ".dockerignore", LARGEST_DOCKERFILE);
  if (bytes === undefined) return;
  const lines = new TextDecoder().decode(bytes).split("\n");
  const patterns = lines.filter((line) => line.trim() !== "" && !line.startsWith("#"));
  const matcher = new PatternMatcher(patterns.map((line) => line.trim().replace(/^(!?)\/+/, "$1")));
  const ignored = [".dockerignore", dockerfile].filter((name) => matcher.match(name).matched);
  if (ignored.length === 0) return;
  await deps.files.apply({
    root,
    signal,
    actions: ignored.map((path) => ({ kind: "rm", path, allowNotFound: true, wildcards: false })),
  });
}
