/** Pages of lists: `n` and `last`, and the link to the next one. Pure. */
import { RegistryError } from "./errors.ts";

/** However many a client asks for: what one answer may cost (CVE-2023-2253). */
const LARGEST_PAGE = 1_000;
/** Where a client did not ask for pages and the specification wants all. */
const ALL = 1_000_000;

export interface Page {
  readonly limit: number;
  /** Empty for the first page; it need not exist any more. */
  readonly after: string;
}

/** @param absent entries where the client does not say; undefined for all. @throws RegistryError PAGINATION_NUMBER_INVALID */
export function pageOf(query: URLSearchParams, absent: number | undefined): Page {
  const text = query.get("n");
  const after = query.get("last") ?? "";
  if (text === null || text === "") return { limit: absent ?? ALL, after };
  if (!/^\d{1,18}$/.test(text)) {
    throw new RegistryError("PAGINATION_NUMBER_INVALID", "invalid number of results requested", {
      detail: { n: text.slice(0, 40) },
    });
  }
  return { limit: Math.min(Number(text), LARGEST_PAGE), after };
}

/** @param last of the page, if there are more after it */
export function nextPage(path: string, limit: number, last: string | undefined): Record<string, string> {
  if (last === undefined) return {};
  return { Link: `<${path}?${new URLSearchParams({ last, n: String(limit) })}>; rel="next"` };
}
