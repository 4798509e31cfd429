/** The request of a classic build: the query of `POST /build`, decoded. */
import type { OneShotLimits } from "../../core/one-shot.ts";
import type { Credentials } from "../../core/registry.ts";

export interface ClassicBuildOptions {
  /** Path of the Dockerfile in the context. */
  readonly dockerfile: string;
  readonly tags: readonly string[];
  /** A name without a value was mentioned, and is not set at the client. */
  readonly buildArgs: ReadonlyMap<string, string | undefined>;
  readonly labels: ReadonlyMap<string, string>;
  readonly cacheFrom: readonly string[];
  readonly target: string;
  readonly noCache: boolean;
  readonly pull: boolean;
  /** Say that intermediate containers are removed. */
  readonly remove: boolean;
  readonly forceRemove: boolean;
  /** Only the image's id. */
  readonly quiet: boolean;
  readonly network: string;
  readonly extraHosts: readonly string[];
  readonly limits: OneShotLimits;
  readonly shmSize: number;
  readonly cgroupParent: string;
  readonly ulimits: readonly { readonly Name: string; readonly Soft: number; readonly Hard: number }[];
  readonly platform: string | undefined;
  /** By registry host, as the client keeps them. */
  readonly credentials: (registryHost: string) => Credentials | undefined;
}

/** What a build says, in the order in which it happens. */
export type BuildMessage = { readonly stream: string } | { readonly aux: { readonly ID: string } } | object;
