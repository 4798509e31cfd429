/**
 * `.dockerignore` as a list of patterns.
 *
 * @see https://docs.docker.com/build/concepts/context/#dockerignore-files
 */
import { cleanPath } from "../paths.ts";

/** Comments, spaces and leading slashes go; `!` stays in front. */
export function parseIgnoreFile(text: string): string[] {
  const lines = text.replace(/^\ufeff/, "").split("\n");
  return lines
    .filter((line) => !line.startsWith("#"))
    .map((line) => line.trim())
    .filter((line) => line !== "")
    .map((line) => {
      const negates = line.startsWith("!");
      const pattern = withoutSlash(negates ? line.slice(1).trim() : line);
      return negates ? `!${pattern}` : pattern;
    });
}

function withoutSlash(pattern: string): string {
  if (pattern === "") return "";
  const clean = cleanPath(pattern);
  return clean.length > 1 && clean.startsWith("/") ? clean.slice(1) : clean;
}
