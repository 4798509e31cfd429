/** `--gpus` (docker/cli, opts/gpus.go): `all`, a number, or a line of CSV. Pure. */
import { parseCsvLine } from "../flags/common-flags.ts";
import { cut } from "../flags/flags.ts";
import { toMap } from "./key-values.ts";

export interface DeviceRequest {
  Driver: string;
  /** -1 for all. */
  Count: number;
  DeviceIDs?: string[];
  Capabilities: string[][];
  Options: Record<string, string>;
}

/** One `--gpus`. @throws Error with Docker's words */
export function parseGpus(text: string): DeviceRequest {
  if (text === "") throw new Error("EOF");
  const request: DeviceRequest = {
    Driver: "",
    Count: 0,
    Capabilities: [["gpu"]],
    Options: {},
  };
  const seen = new Set<string>();
  for (const field of parseCsvLine(text)) {
    const [key, value] = cut(field, "=");
    if (seen.has(key)) throw new Error(`gpu request key '${key}' can be specified only once`);
    seen.add(key);
    if (value === undefined) {
      seen.add("count");
      request.Count = parseCount(key);
    } else if (key === "count") request.Count = parseCount(value);
    else if (key === "driver") request.Driver = value;
    else if (key === "device") request.DeviceIDs = value.split(",");
    else if (key === "capabilities") request.Capabilities = [[...value.split(","), "gpu"]];
    else if (key === "options") request.Options = toMap(parseCsvLine(value));
    else throw new Error(`unexpected key '${key}' in '${field}'`);
  }
  if (!seen.has("count") && request.DeviceIDs === undefined) request.Count = 1;
  return request;
}

function parseCount(text: string): number {
  if (text === "all") return -1;
  if (/^[+-]?\d+$/.test(text)) return Number(text);
  throw new Error(`invalid count (${text}): value must be either "all" or an integer: invalid syntax`);
}
