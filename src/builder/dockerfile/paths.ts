/** Slash-separated paths, as Go's `path` cleans and joins them. */
import { posix } from "node:path";

/** Without dots, doubled slashes and a slash at the end; an empty path is `.`. */
export function cleanPath(path: string): string {
  const clean = posix.normalize(path);
  return clean.length > 1 && clean.endsWith("/") ? clean.slice(0, -1) : clean;
}

/** Cleaned; empty parts are left out, and nothing joined is empty. */
export function joinPath(...parts: readonly string[]): string {
  const given = parts.filter((part) => part !== "");
  return given.length === 0 ? "" : cleanPath(given.join("/"));
}

export function isAbsolute(path: string): boolean {
  return path.startsWith("/");
}

/**
 * A path beneath a directory that is the root of the world if it is relative itself. `keepSlash` keeps what says
 * "inside of it": a slash or `/.` at the end.
 */
export function resolvePath(parent: string, path: string, keepSlash: boolean): string {
  const base = isAbsolute(parent) ? parent : joinPath("/", parent);
  let resolved = path === "" ? base : path;
  if (!isAbsolute(resolved)) resolved = joinPath(base, resolved);
  if (!keepSlash) return resolved;
  if (path.endsWith("/") && !resolved.endsWith("/")) return `${resolved}/`;
  if (path.endsWith("/.") && !resolved.endsWith("/.")) return resolved === "/" ? "/." : `${resolved}/.`;
  return resolved;
}
