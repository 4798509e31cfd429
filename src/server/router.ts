/** Finds the row of the route table for a method and a path. Pure. */
import { type ApiVersion, compareVersions, type HttpMethod, type Route } from "../api/route.ts";

export interface Match {
  readonly route: Route;
  /** Percent-decoded. */
  readonly params: Readonly<Record<string, string>>;
}

interface CompiledRoute {
  readonly route: Route;
  readonly pattern: RegExp;
}

/** Finds the row of a method and path; rows without parameters go before those with. */
export class Router {
  /** Keyed by method and first segment of the path. Rows without parameters come first. */
  readonly #rows = new Map<string, CompiledRoute[]>();

  constructor(routes: readonly Route[]) {
    for (const route of [...routes].sort((a, b) => parameters(a) - parameters(b))) {
      const key = keyOf(route.method, route.path);
      const rows = this.#rows.get(key) ?? [];
      rows.push({ route, pattern: compile(route.path) });
      this.#rows.set(key, rows);
    }
  }

  /** @param path decoded, without version prefix. Rows that are newer than the version do not exist for it. */
  find(method: string, path: string, version: ApiVersion): Match | undefined {
    for (const { route, pattern } of this.#rows.get(keyOf(method, path)) ?? []) {
      if (route.since && compareVersions(version, route.since) < 0) continue;
      const match = pattern.exec(path);
      if (match) return { route, params: match.groups ?? {} };
    }
    return undefined;
  }
}

function keyOf(method: HttpMethod | string, path: string): string {
  const end = path.indexOf("/", 1);
  return `${method} ${end < 0 ? path : path.slice(0, end)}`;
}

function parameters(route: Route): number {
  return route.path.includes("{") ? 1 : 0;
}

/** `/images/{name:.*}/json` → `^/images/(?<name>.+)/json$`. */
function compile(path: string): RegExp {
  const source = path
    .replace(/[.+*?^$()[\]|\\]/g, (character) => `\\${character}`)
    .replace(/\{(\w+)(:\\\.\\\*)?\}/g, (_, name: string, greedy) => `(?<${name}>${greedy ? ".+" : "[^/]+"})`);
  return new RegExp(`^${source}$`, "s");
}
