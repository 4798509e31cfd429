/** What a prune spares or takes, by its flags and by the user's settings together. */
import type { Filters } from "../../client/filters.ts";
import type { ConfigFile } from "../config/config-file.ts";
import { cut } from "../flags/flags.ts";

const opposites: Readonly<Record<string, string>> = { label: "label!", "label!": "label" };

/**
 * Adds `pruneFilters` of the settings to those of the flags. A label that a flag names the other way round is the
 * flag's. (Docker's own client drops labels of the settings unless a flag names another label the other way round:
 * it would delete what the user wants to keep.)
 */
export function withPruneFilters({ settings }: Pick<ConfigFile, "settings">, given: Filters): Filters {
  const filters: Record<string, readonly string[]> = { ...given };
  for (const filter of settings.pruneFilters ?? []) {
    const [key, value] = cut(filter, "=");
    if (value === undefined) continue;
    const opposite = opposites[key];
    if (opposite !== undefined && given[opposite]?.includes(value)) continue;
    const values = filters[key] ?? [];
    if (!values.includes(value)) filters[key] = [...values, value];
  }
  return filters;
}
