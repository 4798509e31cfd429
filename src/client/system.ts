/** Calls about the engine itself. */
import type { EventMessage, SystemInfo, SystemVersion } from "../api/types.ts";
import type { Engine } from "./engine.ts";
import { encodeFilters, type Filters } from "./filters.ts";
import type { RegistryCredentials } from "./images.ts";

/** The headers of a ping: `api-version`, `ostype`, `swarm`, … */
export async function ping(engine: Engine): Promise<ReadonlyMap<string, string>> {
  const reply = await engine.request({ method: "GET", path: "/_ping", versioned: false });
  await reply.discard();
  return reply.headers;
}

export async function engineVersion(engine: Engine): Promise<SystemVersion> {
  return await (await engine.request({ method: "GET", path: "/version" })).json();
}

export async function engineInfo(engine: Engine): Promise<SystemInfo> {
  return await (await engine.request({ method: "GET", path: "/info" })).json();
}

/** A part of the API that is only passed on. */
export async function diskUsage<T>(engine: Engine): Promise<T> {
  return await (await engine.request({ method: "GET", path: "/system/df" })).json();
}

/** @returns what the registry gave for the credentials: an identity token, perhaps */
export async function authenticate(
  engine: Engine,
  auth: RegistryCredentials,
): Promise<{ readonly Status: string; readonly IdentityToken?: string }> {
  return await (await engine.request({ method: "POST", path: "/auth", json: auth })).json();
}

/** An event whose nanoseconds are exact. */
export type ExactEventMessage = Omit<EventMessage, "timeNano"> & { readonly timeNano?: number | bigint };

export interface EventsOptions {
  readonly since?: string;
  readonly until?: string;
  readonly filters?: Filters;
  readonly signal?: AbortSignal;
}

/** Endless, unless `until` is given. */
export async function events(
  engine: Engine,
  { since, until, filters, signal }: EventsOptions = {},
): Promise<AsyncGenerator<ExactEventMessage, void, undefined>> {
  const reply = await engine.request({
    method: "GET",
    path: "/events",
    query: { ...(since && { since }), ...(until && { until }), ...encodeFilters(filters) },
    ...(signal && { signal }),
  });
  return reply.documents<ExactEventMessage>();
}
