/**
 * Paths of the distribution API. They are read from the right: `a/blobs/b` is a legal repository name, so the last word
 * that can be a keyword is the one. Pure.
 */
import { RegistryError } from "./errors.ts";
import { isRepositoryName } from "./names.ts";

export type RegistryPath =
  | { readonly kind: "base" }
  | { readonly kind: "catalog" }
  | { readonly kind: "manifest"; readonly name: string; readonly reference: string }
  | { readonly kind: "blob"; readonly name: string; readonly digest: string }
  | { readonly kind: "uploads"; readonly name: string }
  | { readonly kind: "upload"; readonly name: string; readonly id: string }
  | { readonly kind: "tags"; readonly name: string }
  | { readonly kind: "referrers"; readonly name: string; readonly digest: string };

const FORMS: readonly [RegExp, (name: string, last: string) => RegistryPath][] = [
  [/^(.+)\/manifests\/([^/]+)$/, (name, reference) => ({ kind: "manifest", name, reference })],
  [/^(.+)\/tags\/list$/, (name) => ({ kind: "tags", name })],
  [/^(.+)\/blobs\/uploads\/?$/, (name) => ({ kind: "uploads", name })],
  [/^(.+)\/blobs\/uploads\/([^/]+)$/, (name, id) => ({ kind: "upload", name, id })],
  [/^(.+)\/blobs\/([^/]+)$/, (name, digest) => ({ kind: "blob", name, digest })],
  [/^(.+)\/referrers\/([^/]+)$/, (name, digest) => ({ kind: "referrers", name, digest })],
];

/**
 * @param path without the query, percent-encoding undone nowhere: no legal name needs it
 * @returns undefined if it is no path of this API
 * @throws RegistryError NAME_INVALID
 */
export function parseRegistryPath(path: string): RegistryPath | undefined {
  if (path === "/v2" || path === "/v2/") return { kind: "base" };
  if (!path.startsWith("/v2/")) return undefined;
  const rest = path.slice("/v2/".length);
  if (rest === "_catalog") return { kind: "catalog" };
  for (const [form, make] of FORMS) {
    const [whole, name = "", last = ""] = form.exec(rest) ?? [];
    if (whole === undefined) continue;
    if (!isRepositoryName(name)) {
      throw new RegistryError("NAME_INVALID", "invalid repository name", {
        detail: { name: name.slice(0, 300) },
      });
    }
    return make(name, last);
  }
  return undefined;
}
