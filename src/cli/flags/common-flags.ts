/** Flags that several commands share. */
import type { Filters } from "../../client/filters.ts";
import { inspectFormatHelp, listFormatHelp } from "../formats/formatter.ts";
import { bool, cut, type Flag, string } from "./flags.ts";

/** `--filter key=value`, repeatable. */
export function filterFlag(usage: string, short?: string): Flag<Filters> {
  return {
    usage,
    type: "filter",
    ...(short !== undefined && { short }),
    initial: () => ({}),
    take: (filters, text) => {
      if (text === "") return filters;
      const [key, value] = cut(text, "=");
      if (value === undefined) throw new Error("bad format of filter (expected name=value)");
      const name = key.trim().toLowerCase();
      const values = filters[name] ?? [];
      const added = value.trim();
      return { ...filters, [name]: values.includes(added) ? values : [...values, added] };
    },
  };
}

export const listFormatFlag = string({ usage: listFormatHelp });
export const inspectFormatFlag = string({ usage: inspectFormatHelp, short: "f" });
const platform = (initial: string): Flag<string> =>
  string({ usage: "Set platform if server is multi-platform capable", initial });
export const platformFlag: Flag<string> = {
  ...platform(""),
  variable: "DOCKER_DEFAULT_PLATFORM",
  withVariable: platform,
};

const untrusted = (initial: boolean): Flag<boolean> => bool({ usage: "Skip image verification", initial });
/** Anything but a plain "no" in the variable asks for verification. */
export const disableContentTrustFlag: Flag<boolean> = {
  ...untrusted(true),
  variable: "DOCKER_CONTENT_TRUST",
  withVariable: (text) => untrusted(/^(?:0|f|F|FALSE|false|False)$/.test(text)),
};
export const detachKeysFlag = string({ usage: "Override the key sequence for detaching a container" });

/** pflag's StringSlice: repeatable, and each occurrence a CSV line. */
export function strings(base: { readonly usage: string; readonly short?: string }): Flag<readonly string[]> {
  return {
    ...base,
    type: "strings",
    initial: () => [],
    take: (value, text) => [...value, ...parseCsvLine(text)],
  };
}

/** pflag's StringToString: repeatable, each occurrence a CSV line of `key=value`. */
export function stringToString(base: { readonly usage: string }): Flag<Readonly<Record<string, string>>> {
  return {
    ...base,
    type: "stringToString",
    defaultText: "[]",
    initial: () => ({}),
    take: (value, text) => {
      const pairs = parseCsvLine(text).map((pair) => {
        const [key, rest] = cut(pair, "=");
        if (rest === undefined) throw new Error(`${pair} must be formatted as key=value`);
        return [key, rest] as const;
      });
      return { ...value, ...Object.fromEntries(pairs) };
    },
  };
}

/** One line of CSV (RFC 4180): commas separate, double quotes protect. */
export function parseCsvLine(text: string): string[] {
  if (text === "") return [];
  const fields: string[] = [];
  let at = 0;
  for (;;) {
    if (text[at] === '"') {
      let field = "";
      for (at++; ; at++) {
        if (at >= text.length)
          throw new Error(
            `parse error on line 1, column ${text.length + 1}: extraneous or missing " in quoted-field`,
          );
        if (text[at] !== '"') field += text[at];
        else if (text[at + 1] === '"') field += text[++at];
        else break;
      }
      at++;
      if (at < text.length && text[at] !== ",") {
        throw new Error(`parse error on line 1, column ${at + 1}: extraneous or missing " in quoted-field`);
      }
      fields.push(field);
    } else {
      const comma = text.indexOf(",", at);
      const end = comma < 0 ? text.length : comma;
      const field = text.slice(at, end);
      if (field.includes('"'))
        throw new Error(
          `parse error on line 1, column ${at + field.indexOf('"') + 1}: bare " in non-quoted-field`,
        );
      fields.push(field);
      at = end;
    }
    if (at >= text.length) return fields;
    at++;
    if (at === text.length) return [...fields, ""];
  }
}
