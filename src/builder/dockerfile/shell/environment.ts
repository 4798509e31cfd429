/** Variables by name, in the order in which they were first set: what expansion looks names up in. */
export interface Environment {
  get(name: string): string | undefined;
  keys(): string[];
}

export const noEnvironment: Environment = { get: () => undefined, keys: () => [] };

/** Variables from `NAME=value` lines; the last of a name wins. */
export function environmentOf(lines: Iterable<string>): Environment {
  const map = new Map<string, string>();
  for (const line of lines) map.set(...splitVariable(line));
  return environmentFrom(map);
}

export function environmentFrom(map: ReadonlyMap<string, string>): Environment {
  return { get: (name) => map.get(name), keys: () => [...map.keys()] };
}

/** `NAME=value` in two; without an equals sign the value is empty. */
export function splitVariable(line: string): [name: string, value: string] {
  const at = line.indexOf("=");
  return at < 0 ? [line, ""] : [line.slice(0, at), line.slice(at + 1)];
}
