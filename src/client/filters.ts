/** Filters of lists and prunes, in the form that engines of all versions read. */

/** Values by key: `{ status: ["running", "paused"] }`. */
export type Filters = Readonly<Record<string, readonly string[]>>;

export function encodeFilters(filters: Filters | undefined): { filters?: string } {
  if (!filters || Object.keys(filters).length === 0) return {};
  const sets = Object.entries(filters).map(([key, values]) => [
    key,
    Object.fromEntries(values.map((value) => [value, true])),
  ]);
  return { filters: JSON.stringify(Object.fromEntries(sets)) };
}
