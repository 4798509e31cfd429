/**
 * What a client may say that its directory holds (S08): paths beneath it, parents before children, each once. Anything
 * else is refused before a name of it reaches a file system.
 */
import { InvalidParameterError } from "../../../core/errors.ts";
import type { FileStat } from "../../frontend.ts";

export interface EntryOrder {
  /** Directories so far. */
  readonly seen: Set<string>;
  last: string;
}

const DIRECTORY = 0o040000;
const TYPE = 0o170000;
const LONGEST = 4096;

/** @throws InvalidParameterError */
export function checkEntry(stat: FileStat, order: EntryOrder): void {
  const { path } = stat;
  if (path === "" || path.length > LONGEST || path.startsWith("/") || path.includes("\0")) throw bad(path);
  const parts = path.split("/");
  if (parts.some((part) => part === "" || part === "." || part === "..")) throw bad(path);
  const parent = parts.slice(0, -1).join("/");
  if (parent !== "" && !order.seen.has(parent)) {
    throw new InvalidParameterError(
      `filesync: changes out of order: ${JSON.stringify(path)} comes before its directory`,
    );
  }
  if (order.last !== "" && comparePaths(order.last, path) >= 0) {
    throw new InvalidParameterError(
      `filesync: changes out of order: ${JSON.stringify(path)} ${JSON.stringify(order.last)}`,
    );
  }
  order.last = path;
  if ((stat.mode & TYPE) === DIRECTORY) order.seen.add(path);
}

/** As a walk visits them: a slash sorts before every other letter. */
export function comparePaths(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a.replaceAll("/", "\0")), Buffer.from(b.replaceAll("/", "\0")));
}

function bad(path: string): InvalidParameterError {
  return new InvalidParameterError(`filesync: invalid path ${JSON.stringify(path.slice(0, 100))}`);
}
