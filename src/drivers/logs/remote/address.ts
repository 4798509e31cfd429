/** `scheme://host:port` and `unix:///path` in the options of drivers. */
import { InvalidParameterError } from "../../../core/errors.ts";

export type ServerAddress =
  | { readonly scheme: string; readonly path: string }
  | { readonly scheme: string; readonly host: string; readonly port: number };

export interface AddressRules {
  /** Of the option, for errors. */
  readonly option: string;
  readonly schemes: readonly string[];
  readonly localSchemes?: readonly string[];
  readonly port?: number;
}

/** @throws InvalidParameterError naming option and value */
export function parseAddress(
  text: string,
  { option, schemes, localSchemes = [], port }: AddressRules,
): ServerAddress {
  const [, scheme = "", rest = ""] = /^([a-z+]+):\/\/(.*)$/.exec(text) ?? [];
  if (localSchemes.includes(scheme) && rest.startsWith("/")) return { scheme, path: rest };
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:/]+))(?::(\d{1,5}))?\/?$/.exec(rest) ?? [];
  const host = bracketed ?? plain;
  const number = digits === undefined ? port : Number(digits);
  if (
    schemes.includes(scheme) &&
    host !== undefined &&
    number !== undefined &&
    number > 0 &&
    number < 65536
  ) {
    return { scheme, host, port: number };
  }
  const wanted = [
    ...schemes.map((name) => `${name}://host:port`),
    ...localSchemes.map((name) => `${name}:///path`),
  ];
  throw new InvalidParameterError(`invalid ${option}: ${text}: want ${wanted.join(" or ")}`);
}
