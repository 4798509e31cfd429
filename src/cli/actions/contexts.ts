/** What the commands of `context` share: the default one that nobody stored, and endpoints from `--docker`. */
import { readFileSync } from "node:fs";
import { parseAddress } from "../../client/address.ts";
import type { Cli } from "../command.ts";
import {
  type ContextMetadata,
  ContextStore,
  type ContextTls,
  validateContextName,
} from "../config/context-store.ts";
import { DEFAULT_CONTEXT } from "../config/contexts.ts";
import { goQuote } from "../values/go-text.ts";

const KEYS = {
  from: "Copy named context's Docker endpoint configuration",
  host: "Docker endpoint on which to connect",
  ca: "Trust certs signed only by this CA",
  cert: "Path to TLS certificate file",
  key: "Path to TLS key file",
  "skip-tls-verify": "Skip TLS certificate validation",
} as const;

/** For the help of commands that take `--docker`. */
export function endpointHelp(what: string, verb: string, program: string): string {
  const rows = [["NAME", "DESCRIPTION"], ...Object.entries(KEYS)].map(
    ([name = "", text = ""]) => `${name.padEnd(20)}${text}`,
  );
  const example = `${program} context ${verb} my-context --description "some description" --docker "host=tcp://myserver:2376,ca=~/ca-file,cert=~/cert-file,key=~/key-file"`;
  return `${what}\n\nDocker endpoint config:\n\n${rows.join("\n")}\n\nExample:\n\n$ ${example}`;
}

export function storeOf(cli: Cli): ContextStore {
  return new ContextStore(cli.config.directory);
}

/** Also the default one, which is what flags and environment say. @throws Error in Docker's words */
export function getContext(cli: Cli, name: string): ContextMetadata {
  if (name !== DEFAULT_CONTEXT) return storeOf(cli).get(name);
  return {
    Name: DEFAULT_CONTEXT,
    Metadata: {},
    Endpoints: { docker: { Host: cli.defaultHost, SkipTLSVerify: false } },
  };
}

/** @throws Error for a name that cannot be, or is there */
export function checkNewName(cli: Cli, name: string): void {
  validateContextName(name);
  if (storeOf(cli).has(name)) throw new Error(`context ${goQuote(name)} already exists`);
}

/** @param options of `--docker`. @throws Error in Docker's words */
export function endpointOf(
  cli: Cli,
  options: Readonly<Record<string, string>>,
): { endpoint: NonNullable<ContextMetadata["Endpoints"]["docker"]>; tls: ContextTls } {
  const unknown = Object.keys(options).filter((key) => !Object.hasOwn(KEYS, key));
  if (unknown.length > 0) throw unusable(unknown.map((key) => `unrecognized config key: ${key}`).join("\n"));
  const { from, host = "", ca, cert, key, "skip-tls-verify": skip } = options;
  if (from !== undefined) {
    const endpoint = getContext(cli, from).Endpoints.docker;
    if (!endpoint) throw unusable(`unable to get endpoint from context ${goQuote(from)}`);
    return { endpoint, tls: {} };
  }
  if (skip !== undefined && !/^(1|t|true|0|f|false)$/i.test(skip)) {
    throw unusable(`skip-tls-verify: parsing ${goQuote(skip)}: invalid syntax`);
  }
  try {
    if (host !== "") parseAddress(host);
  } catch (cause) {
    throw unusable(
      `unable to apply docker endpoint options: ${cause instanceof Error ? cause.message : cause}`,
    );
  }
  return {
    endpoint: { Host: host, SkipTLSVerify: skip !== undefined && /^(1|t|true)$/i.test(skip) },
    tls: {
      ...(ca !== undefined && { "ca.pem": readFileSync(ca, "utf8") }),
      ...(cert !== undefined && { "cert.pem": readFileSync(cert, "utf8") }),
      ...(key !== undefined && { "key.pem": readFileSync(key, "utf8") }),
    },
  };
}

function unusable(reason: string): Error {
  return new Error(`unable to create docker endpoint config: ${reason}`);
}
