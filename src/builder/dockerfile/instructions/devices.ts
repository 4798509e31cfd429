/** `RUN --device=name[,required]`. */
import { DockerfileError, wrapped } from "../source/errors.ts";
import { withSuggestion } from "../source/suggest.ts";
import type { Device } from "./types.ts";
import { parseBool, parseCsv } from "./values.ts";

/** @throws DockerfileError */
export function parseDevice(text: string): Device {
  let fields: string[];
  try {
    fields = parseCsv(text);
  } catch (error) {
    throw wrapped("failed to parse csv devices", error);
  }
  let name = "";
  let required = false;
  for (const field of fields) {
    const at = field.indexOf("=");
    const key = (at < 0 ? field : field.slice(0, at)).toLowerCase();
    const value = at < 0 ? undefined : field.slice(at + 1);
    if (key === "required") required = value === undefined || requiredOf(key, value);
    else if (key === "name" && value !== undefined) {
      if (name !== "") throw new DockerfileError(`device name already set to ${name}`);
      name = value;
    } else if (name === "")
      name = field; // `vendor.com/device=gpu` is a name, equals sign and all.
    else if (value === undefined) {
      throw new DockerfileError(`invalid field '${field}' must be a key=value pair`);
    } else {
      const error = new DockerfileError(`unexpected key '${key}' in '${field}'`);
      throw withSuggestion(error, key, ["name", "required"], true);
    }
  }
  return { name, required };
}

function requiredOf(key: string, value: string): boolean {
  const parsed = parseBool(value);
  if (parsed === undefined) throw new DockerfileError(`invalid value for ${key}: ${value}`);
  return parsed;
}
