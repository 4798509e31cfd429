/**
 * Docker's contexts: engines that the user has named, in `contexts/` of the configuration directory
 * (docker/cli, cli/context/store). Only read here.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { hasCode } from "../../base/error-codes.ts";
import type { TlsOptions } from "../../client/socket.ts";
import { goQuote } from "../values/go-text.ts";

/** The context that flags and environment describe. */
export const DEFAULT_CONTEXT = "default";

export interface ContextChoice {
  /** `--context`; "" if it was not given. */
  readonly flag: string;
  /** Whether `--host` or an environment variable names the engine's address. */
  readonly hasAddress: { readonly flag: boolean; readonly environment: boolean };
  /** DOCKER_CONTEXT. */
  readonly variable: string | undefined;
  /** `currentContext` of the settings, asked last. */
  current(): string | undefined;
}

/** Which context is in use (cli/command/cli.go, resolveContextName). */
export function chooseContext({ flag, hasAddress, variable, current }: ContextChoice): string {
  if (flag !== "") return flag;
  if (hasAddress.flag || hasAddress.environment) return DEFAULT_CONTEXT;
  return variable || current() || DEFAULT_CONTEXT;
}

export interface ContextEndpoint {
  /** "" where the context leaves it to the default. */
  readonly address: string;
  readonly tls: TlsOptions | undefined;
}

interface Metadata {
  readonly Endpoints?: {
    readonly docker?: { readonly Host?: string; readonly SkipTLSVerify?: boolean };
  };
}

/** @throws Error in Docker's words for a context that is not there or says nothing of an engine */
export function readContext(directory: string, name: string): ContextEndpoint {
  const id = new Bun.CryptoHasher("sha256").update(name).digest("hex");
  const endpoint = readMetadata(join(directory, "contexts", "meta", id, "meta.json"), name).Endpoints?.docker;
  if (!endpoint) throw new Error("cannot find docker endpoint in context");
  const address = endpoint.Host ?? "";
  const isSocket = /^(?:unix|npipe|fd|ssh):\/\//.test(address);
  const skipVerify = endpoint.SkipTLSVerify ?? false;
  const tls = isSocket ? undefined : readTls(join(directory, "contexts", "tls", id, "docker"), skipVerify);
  return { address, tls };
}

function readMetadata(path: string, name: string): Metadata {
  const text = readIfThere(path);
  if (text === undefined) {
    const reason = `context not found: open ${path}: no such file or directory`;
    throw new Error(`context ${goQuote(name)}: ${reason}`);
  }
  try {
    return JSON.parse(text) as Metadata;
  } catch (cause) {
    throw new Error(`context ${goQuote(name)}: parsing ${path}: ${(cause as Error).message}`, { cause });
  }
}

/** Undefined where the context has neither certificates nor leave to do without. */
function readTls(directory: string, skipVerify: boolean): TlsOptions | undefined {
  const [ca, cert, key] = ["ca.pem", "cert.pem", "key.pem"].map((file) => readIfThere(join(directory, file)));
  if (ca === undefined && cert === undefined && key === undefined && !skipVerify) return undefined;
  return {
    verify: !skipVerify,
    ...(ca !== undefined && { ca }),
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key }),
  };
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (hasCode(error, "ENOENT")) return undefined;
    throw error;
  }
}
