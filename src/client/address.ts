/** Engine addresses as `-H` takes them: `unix://`, `tcp://`, `http://`, `https://`. Pure. */
import { EngineError } from "./errors.ts";
import { parseSshAddress, type SshAddress } from "./ssh.ts";

export type EngineAddress =
  | SshAddress
  | { readonly kind: "unix"; readonly path: string; readonly text: string }
  | {
      readonly kind: "tcp";
      readonly hostname: string;
      readonly port: number;
      /** Prefix of every request path; "" mostly. */
      readonly basePath: string;
      readonly text: string;
    };

const DEFAULT_PORT = 2375;
const DEFAULT_TLS_PORT = 2376;

/**
 * @param tls whether the connection will be encrypted; decides the port where none is given
 * @throws EngineError in Docker's wording
 */
export function parseAddress(input: string, tls = false): EngineAddress {
  const text = input.trim();
  const separator = text.indexOf("://");
  if (separator < 0) return parseTcp(text, `tcp://${text}`, tls);
  const scheme = text.slice(0, separator);
  const rest = text.slice(separator + 3);
  switch (scheme) {
    case "unix":
      if (rest === "") throw invalidFormat(input);
      return { kind: "unix", path: rest, text };
    case "tcp":
    case "http":
    case "https":
      return parseTcp(rest, text, tls);
    case "ssh":
      return parseSshAddress(text);
    case "npipe":
    case "fd":
      throw new EngineError(
        `unable to parse docker host ${goQuote(input)}: ${scheme}:// addresses are not supported by this client`,
      );
    default:
      throw new EngineError(`invalid bind address format: ${input}`);
  }
}

function parseTcp(rest: string, text: string, tls: boolean): EngineAddress {
  const slash = rest.indexOf("/");
  const authority = slash < 0 ? rest : rest.slice(0, slash);
  const basePath = slash < 0 ? "" : rest.slice(slash).replace(/\/+$/, "");
  const match = /^(?:\[([0-9a-fA-F:.%]+)\]|([^:[\]]*))(?::(\d{1,5})?)?$/.exec(authority);
  const port = match?.[3] === undefined ? (tls ? DEFAULT_TLS_PORT : DEFAULT_PORT) : Number(match[3]);
  if (!match || port < 1 || port > 65535) throw invalidFormat(text);
  const hostname = match[1] ?? (match[2] || "127.0.0.1");
  return { kind: "tcp", hostname, port, basePath, text };
}

function invalidFormat(text: string): EngineError {
  return new EngineError(`invalid bind address format: ${text}`);
}

function goQuote(text: string): string {
  return JSON.stringify(text);
}
