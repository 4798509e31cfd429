/**
 * Searching a registry: the index's old `/v1/search`, which Docker Hub and registries with accounts have, or else the
 * catalog's names. @see docker `registry/search.go`
 */
import { InvalidParameterError, NotFoundError } from "../../core/errors.ts";
import { DEFAULT_DOMAIN, parseReference } from "../../core/references.ts";
import { type FoundRepository, MANIFEST_LIMIT, type SearchOptions } from "../../core/registry.ts";
import { toEngineError } from "./errors.ts";
import type { RegistryHost } from "./hosts.ts";
import { readBody } from "./http.ts";
import type { RegistrySession } from "./session.ts";

/** Docker Hub searches on another host than it serves images from. */
const HUB_INDEX = "index.docker.io";
const DEFAULT_LIMIT = 25;
const MOST_PAGES = 100;

export async function search(
  session: RegistrySession,
  term: string,
  options: SearchOptions,
): Promise<FoundRepository[]> {
  const { domain, query } = splitTerm(term);
  const own = session.ownHost(domain);
  const host = domain === DEFAULT_DOMAIN ? { ...own, address: HUB_INDEX } : own;
  const limit = options.limit || DEFAULT_LIMIT;
  const found = await searchIndex(session, host, { query, limit }, options);
  const results = found ?? (await searchCatalog(session, own, { query, limit }, options));
  const prefix = domain === DEFAULT_DOMAIN ? "" : `${domain}/`;
  return results.map((result) => ({ ...result, name: prefix + result.name }));
}

function splitTerm(term: string): { domain: string; query: string } {
  if (term === "") throw new InvalidParameterError("search term must not be empty");
  if (/^https?:\/\//.test(term))
    throw new InvalidParameterError("invalid repository name: search term must not have a scheme");
  const [first = "", ...rest] = term.split("/");
  if (rest.length === 0 || !/[.:]|^localhost$/.test(first)) return { domain: DEFAULT_DOMAIN, query: term };
  // The domain alone is checked: what is searched for need not be a name.
  return { domain: parseReference(`${first}/x`).domain, query: rest.join("/") };
}

interface Wanted {
  readonly query: string;
  readonly limit: number;
}

/** Undefined if the registry has no index. */
async function searchIndex(
  session: RegistrySession,
  host: RegistryHost,
  { query, limit }: Wanted,
  options: SearchOptions,
): Promise<FoundRepository[] | undefined> {
  const path = `/v1/search?${new URLSearchParams({ q: query, n: String(limit) })}`;
  const response = await session.patient(host, [], { path, signal: options.signal }, options);
  const bytes = await readBody(response, MANIFEST_LIMIT);
  if (response.status === 404) return undefined;
  if (response.status !== 200) {
    throw toEngineError({ domain: host.address, path: query }, response.status, bytes);
  }
  const { results } = parse<{ results?: unknown }>(bytes);
  if (!Array.isArray(results)) throw new InvalidParameterError("the registry's search result is none");
  return results.flatMap((result: Record<string, unknown> | null) =>
    typeof result?.name === "string"
      ? [
          {
            name: result.name,
            description: typeof result.description === "string" ? result.description : "",
            stars: typeof result.star_count === "number" ? result.star_count : 0,
            official: result.is_official === true,
            automated: result.is_automated === true,
          },
        ]
      : [],
  );
}

async function searchCatalog(
  session: RegistrySession,
  host: RegistryHost,
  { query, limit }: Wanted,
  options: SearchOptions,
): Promise<FoundRepository[]> {
  const found: FoundRepository[] = [];
  let last = "";
  for (let page = 0; page < MOST_PAGES && found.length < limit; page++) {
    const path = `/v2/_catalog?${new URLSearchParams({ n: "1000", ...(last ? { last } : {}) })}`;
    const response = await session.patient(
      host,
      ["registry:catalog:*"],
      { path, signal: options.signal },
      options,
    );
    const bytes = await readBody(response, MANIFEST_LIMIT);
    if (response.status !== 200) {
      throw new NotFoundError(`registry ${host.address} cannot be searched`, { subject: host.address });
    }
    const { repositories } = parse<{ repositories?: unknown }>(bytes);
    const names = Array.isArray(repositories) ? repositories.filter((name) => typeof name === "string") : [];
    for (const name of names) {
      if (name.includes(query))
        found.push({ name, description: "", stars: 0, official: false, automated: false });
    }
    const next = names.at(-1);
    if (!response.headers.has("link") || next === undefined || next === last) break;
    last = next;
  }
  return found.slice(0, limit);
}

function parse<T extends object>(bytes: Uint8Array): T {
  try {
    return Object(JSON.parse(new TextDecoder().decode(bytes))) as T;
  } catch (error) {
    throw new InvalidParameterError("the registry's search result is not JSON", { cause: error });
  }
}
