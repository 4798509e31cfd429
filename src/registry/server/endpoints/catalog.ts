/** What there is: `/v2/`, `/v2/_catalog`, and the search of old that clients still use. */

import { RegistryError } from "../errors.ts";
import { nextPage, pageOf } from "../pages.ts";
import { listRepositories, type RepositoryRow } from "../store/repositories.ts";
import type { RegistryCall } from "./call.ts";

const CATALOG_PAGE = 100;
const MOST_HITS = 100;
/** Of names that one look at the table reads. */
const BATCH = 1_000;

/** Whoever may have to log in learns it here, since many a client asks nowhere else. */
export async function readBase(call: RegistryCall): Promise<void> {
  if (call.caller.account === undefined && !(await call.parts.authority.isOpen())) throw call.denial([]);
  await call.json({});
}

export async function readCatalog(call: RegistryCall): Promise<void> {
  if (call.caller.account === undefined && !(await call.parts.authority.isOpen())) {
    throw call.denial(["registry:catalog:*"]);
  }
  const page = pageOf(call.query, CATALOG_PAGE);
  const names: string[] = [];
  for await (const { name } of visibleRepositories(call, page.after)) {
    if (names.length > page.limit) break;
    names.push(name);
  }
  const repositories = names.slice(0, page.limit);
  const more = page.limit > 0 && names.length > repositories.length ? repositories.at(-1) : undefined;
  await call.json({ repositories }, { headers: nextPage("/v2/_catalog", page.limit, more) });
}

/** @see https://github.com/containers/podman: asked without credentials, and only this answer tells that there is a search */
export async function search(call: RegistryCall): Promise<void> {
  const query = (call.query.get("q") ?? "").trim().toLowerCase();
  const asked = Number(call.query.get("n") ?? 25);
  if (!Number.isInteger(asked) || asked < 1 || asked > MOST_HITS) {
    throw new RegistryError("PAGINATION_NUMBER_INVALID", `n is not between 1 and ${MOST_HITS}`);
  }
  const results: unknown[] = [];
  for await (const { name, description } of visibleRepositories(call, "")) {
    if (results.length >= asked) break;
    if (!name.includes(query) && !description.toLowerCase().includes(query)) continue;
    results.push({ name, description, star_count: 0, is_official: false, is_automated: false });
  }
  const anonymous = call.caller.account === undefined && !(await call.parts.authority.isOpen());
  if (anonymous && results.length === 0) throw call.denial(["registry:catalog:search"]);
  await call.json({ query, num_results: results.length, num_pages: 1, page: 1, page_size: asked, results });
}

async function* visibleRepositories(call: RegistryCall, after: string): AsyncIterable<RepositoryRow> {
  for (let last = after; ; ) {
    const rows = await listRepositories(call.deps.database.reader, last, BATCH);
    for (const row of rows) if (await call.may("pull", row)) yield row;
    const final = rows.at(-1);
    if (!final || rows.length < BATCH) return;
    last = final.name;
  }
}
