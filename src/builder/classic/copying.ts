/** COPY and ADD of a classic build. @see moby builder/dockerfile/copy.go */
import { createHash } from "node:crypto";
import { posix } from "node:path";
import { cleanPath } from "../../base/patterns.ts";
import type { FileAction, FileOwner } from "../../core/build-files.ts";
import { InvalidParameterError, NotFoundError } from "../../core/errors.ts";
import type { ClassicDeps } from "./deps.ts";

export interface CopyRequest {
  readonly instruction: "COPY" | "ADD";
  readonly sources: readonly string[];
  readonly destination: string;
  readonly workingDirectory: string;
  readonly chown: string;
  /** The tree to copy from. */
  readonly from: string;
  /** A stage or an image, not the context: owners are kept. */
  readonly keepOwners: boolean;
  readonly signal: AbortSignal;
}

/** A digest of each source, as the history shows them: `file:…`, `dir:…`, `multi:…`. @throws InvalidParameterError */
export async function hashSources(deps: ClassicDeps, request: CopyRequest): Promise<string> {
  const { sources, destination, instruction, from, signal } = request;
  if (sources.length > 1 && !destination.endsWith("/")) {
    throw new InvalidParameterError(
      `When using ${instruction} with more than one source file, the destination must be a directory and end with a /`,
    );
  }
  const hashes: string[] = [];
  for (const source of sources) {
    if (isRemote(source)) throw new InvalidParameterError(`source can't be a URL for ${instruction}`);
    const path = `/${cleanPath(source).replace(/^(\.\.\/)+|^\.\.$|^\/+/g, "")}`;
    const entry = await deps.roots.stat(from, path);
    const selector = { path, followLinks: true, wildcards: true, include: [], exclude: [], required: [] };
    const wild = entry === undefined && /[*?[]/.test(path);
    if (entry === undefined && !wild) throw missing(instruction, source);
    const digest = await deps.files
      .digest({ root: from, selectors: [{ ...selector, wildcards: wild }], signal })
      .catch((error) => {
        throw error instanceof NotFoundError ? missing(instruction, source) : error;
      });
    hashes.push(`${entry?.kind === "directory" ? "dir" : "file"}:${digest}`);
  }
  if (hashes.length === 1) return hashes[0] ?? "";
  return `multi:${createHash("sha256").update(hashes.join(",")).digest("hex")}`;
}

function missing(instruction: string, source: string): InvalidParameterError {
  return new InvalidParameterError(
    `${instruction} failed: file not found in build context or excluded by .dockerignore: stat ${cleanPath(source).replace(/^\/+/, "")}: file does not exist`,
  );
}

export function isRemote(source: string): boolean {
  return /^https?:\/\//i.test(source);
}

/** What the file system is changed by. */
export function toActions(request: CopyRequest, target: string): FileAction[] {
  const { sources, instruction, destination, workingDirectory } = request;
  const directory =
    destination.endsWith("/") || destination === "." || destination === "" || destination.endsWith("/.");
  const dest = posix.join("/", destination.startsWith("/") ? "" : workingDirectory, destination);
  const owner = ownerOf(request, target);
  return sources.map((src) => ({
    kind: "copy",
    source: request.from,
    src: `/${src.replace(/^\/+/, "")}`,
    dest: directory && !dest.endsWith("/") ? `${dest}/` : dest,
    ...(owner ? { owner } : {}),
    followLinks: true,
    directoryContents: true,
    unpackArchives: instruction === "ADD",
    createDestination: true,
    wildcards: true,
    allowNoMatch: false,
    include: [],
    exclude: [],
    replaceExisting: false,
    required: [],
  }));
}

function ownerOf({ chown, keepOwners }: CopyRequest, target: string): FileOwner | undefined {
  if (chown === "") return keepOwners ? undefined : { user: { id: 0 }, group: { id: 0 } };
  const [user = "", group] = chown.split(":");
  const identify = (text: string) =>
    /^\d+$/.test(text) ? { id: Number(text) } : { name: text, root: target };
  return { user: identify(user), ...(group ? { group: identify(group) } : {}) };
}
