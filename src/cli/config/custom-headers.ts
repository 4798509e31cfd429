/** DOCKER_CUSTOM_HEADERS: one line of CSV, `name=value` each, instead of the settings' HttpHeaders. Pure. */
import { messageOf } from "../command.ts";
import { parseCsvLine } from "../flags/common-flags.ts";
import { cut } from "../flags/flags.ts";

const VARIABLE = "DOCKER_CUSTOM_HEADERS environment variable";

/** A header without a value is left out. @throws Error in Docker's words */
export function parseCustomHeaders(line: string): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const field of parseFields(line)) {
    const [name, value] = cut(field, "=");
    const key = name.trim().toLowerCase();
    if (key === "") {
      throw new Error(
        `failed to set custom headers from ${VARIABLE}: value contains a key=value pair with an empty key: '${field}'`,
      );
    }
    if (value === undefined) {
      throw new Error(
        `failed to set custom headers from ${VARIABLE}: missing "=" in key=value pair: '${field}'`,
      );
    }
    if (value !== "") headers[key.replace(/(^|-)[a-z]/g, (letter) => letter.toUpperCase())] = value;
  }
  return headers;
}

function parseFields(line: string): string[] {
  try {
    return parseCsvLine(line);
  } catch (cause) {
    throw new Error(
      `failed to parse custom headers from ${VARIABLE}: value must be formatted as comma-separated key=value pairs: ${messageOf(cause)}`,
      { cause },
    );
  }
}
