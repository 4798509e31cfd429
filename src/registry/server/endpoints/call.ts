/** One request to the registry: its path and query, who sends it, and the answers that all endpoints share. */
import type { Exchange } from "../../../http/index.ts";
import type { Authority } from "../access/authority.ts";
import type { Caller, Verb } from "../access/rules.ts";
import type { RegistryDeps } from "../deps.ts";
import { RegistryError } from "../errors.ts";
import { findRepository, type RepositoryRow } from "../store/repositories.ts";

export type Headers = Readonly<Record<string, string>>;

export interface CallParts {
  readonly deps: RegistryDeps;
  readonly authority: Authority;
  readonly exchange: Exchange;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly caller: Caller;
  /** `https://registry.example.com:5000`: how the client reached us. */
  readonly origin: string;
}

const COMMON: Headers = {
  "Docker-Distribution-Api-Version": "registry/2.0",
  "X-Content-Type-Options": "nosniff",
};

export class RegistryCall {
  readonly parts: CallParts;

  constructor(parts: CallParts) {
    this.parts = parts;
  }

  get deps(): RegistryDeps {
    return this.parts.deps;
  }

  get exchange(): Exchange {
    return this.parts.exchange;
  }

  get query(): URLSearchParams {
    return this.parts.query;
  }

  get caller(): Caller {
    return this.parts.caller;
  }

  /** Whose uploads are theirs: empty for whoever said nothing. */
  get account(): string {
    return this.parts.caller.account ?? "";
  }

  header(name: string): string | undefined {
    return this.exchange.header(name);
  }

  async json(
    value: unknown,
    { status = 200, headers = {} }: { status?: number; headers?: Headers } = {},
  ): Promise<void> {
    const type = { "Content-Type": "application/json" };
    await this.exchange.reply(status, toList({ ...COMMON, ...type, ...headers }), JSON.stringify(value));
  }

  async bytes(status: number, body: Uint8Array, headers: Headers): Promise<void> {
    await this.exchange.reply(status, toList({ ...COMMON, ...headers }), body);
  }

  async empty(status: number, headers: Headers = {}): Promise<void> {
    await this.exchange.reply(status, toList({ ...COMMON, ...headers }), "");
  }

  commonHeaders(headers: Headers = {}): readonly (readonly [string, string])[] {
    return toList({ ...COMMON, ...headers });
  }

  async may(
    verb: Verb,
    repository: { name: string; visibility?: RepositoryRow["visibility"] },
  ): Promise<boolean> {
    const { name, visibility } = repository;
    return await this.parts.authority.may(this.caller, verb, { name, visibility });
  }

  /**
   * The repository, if there is one, for somebody who may do this with it.
   * @throws RegistryError UNAUTHORIZED or DENIED; the same for one that is not there and one that may not be seen
   */
  async repository(name: string, verb: Verb): Promise<RepositoryRow | undefined> {
    const found = await findRepository(this.deps.database.reader, name);
    if (await this.may(verb, found ?? { name })) return found;
    throw this.denial([`repository:${name}:${wordsFor(verb)}`]);
  }

  /** Whoever has no account, or a token that is too narrow, is told what to ask for. */
  denial(scopes: readonly string[]): RegistryError {
    const { caller } = this.parts;
    if (caller.account !== undefined && caller.scopes === undefined) {
      return new RegistryError("DENIED", "requested access to the resource is denied");
    }
    const problem = caller.scopes === undefined ? undefined : "insufficient_scope";
    return unauthorized(this.parts.origin, scopes, problem);
  }
}

/** With the challenge by which clients learn where tokens are to be had. */
export function unauthorized(
  origin: string,
  scopes: readonly string[],
  problem: "insufficient_scope" | "invalid_token" | undefined,
): RegistryError {
  const scope = scopes.length > 0 ? `,scope="${scopes.join(" ")}"` : "";
  const error = problem === undefined ? "" : `,error="${problem}"`;
  return new RegistryError("UNAUTHORIZED", "authentication required", {
    headers: {
      "WWW-Authenticate": `Bearer realm="${origin}/auth/token",service="${serviceOf(origin)}"${scope}${error}`,
    },
  });
}

/** The registry's name in tokens: host and port as clients say them. */
export function serviceOf(origin: string): string {
  return origin.replace(/^https?:\/\//, "");
}

function wordsFor(verb: Verb): string {
  const words: Readonly<Record<Verb, string>> = {
    pull: "pull",
    push: "pull,push",
    delete: "delete",
    admin: "*",
  };
  return words[verb];
}

function toList(headers: Headers): (readonly [string, string])[] {
  return Object.entries(headers);
}
