/** What the registry's endpoints are made of. */
import type { Authority } from "./access/authority.ts";
import type { BearerTokens } from "./access/bearer.ts";
import type { RegistryDeps } from "./deps.ts";

export interface RegistryParts {
  readonly deps: RegistryDeps;
  readonly authority: Authority;
  readonly tokens: BearerTokens;
  /** True once requests can be answered: the database and the place for bytes are there. */
  readonly isReady: () => Promise<boolean>;
}
