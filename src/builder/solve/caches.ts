/**
 * Caches outside of the engine, which are neither written nor read yet. One that is an output of its own is refused. One
 * that only makes builds faster is told of, and the build goes on: clients ask for those as a matter of course, and the
 * image is the same without.
 */
import { NotImplementedError } from "../../core/errors.ts";
import type { CacheImport } from "../frontend.ts";
import type { BuildProgress } from "./progress-log.ts";

/** @throws NotImplementedError */
export function checkCacheExports(exports: readonly CacheImport[], progress: BuildProgress): void {
  const refused = exports.find(({ type }) => type !== "inline");
  if (refused) {
    throw new NotImplementedError(
      `exporting the build cache with --cache-to type=${refused.type} is not implemented; leave it out: results of builds are kept in the engine`,
    );
  }
  if (exports.length === 0) return;
  progress.warn("The inline build cache was not written into the image: it is not implemented", [
    "The image is complete, but builds elsewhere cannot use it as their cache (--cache-from).",
    "Leave out BUILDKIT_INLINE_CACHE=1 and --cache-to type=inline to be rid of this warning.",
  ]);
}

export function warnOfCacheImports(imports: readonly CacheImport[], progress: BuildProgress): void {
  for (const { type, attrs } of imports) {
    const source = attrs.ref ?? attrs.src ?? attrs.url ?? "";
    const shown = source === "" ? `type=${type}` : `type=${type} ${source}`;
    progress.warn(`The build cache ${shown} was not read: importing caches is not implemented`, [
      "The build goes on with the results that are kept in the engine.",
      "Leave out --cache-from to be rid of this warning.",
    ]);
  }
}
