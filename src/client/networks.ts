/** Calls about networks. */
import { compareVersions } from "../api/route.ts";
import type { EndpointSettings, Network, NetworkCreateRequest } from "../api/types.ts";
import { type Engine, objectSegment } from "./engine.ts";
import { encodeFilters, type Filters } from "./filters.ts";

export async function listNetworks(engine: Engine, filters?: Filters): Promise<Network[]> {
  return await (
    await engine.request({ method: "GET", path: "/networks", query: encodeFilters(filters) })
  ).json();
}

export async function inspectNetworkText(
  engine: Engine,
  name: string,
  { verbose = false, scope = "" }: { readonly verbose?: boolean; readonly scope?: string } = {},
): Promise<string> {
  const query = { ...(verbose && { verbose }), ...(scope && { scope }) };
  return await (
    await engine.request({ method: "GET", path: `/networks/${objectSegment("network", name)}`, query })
  ).text();
}

/** Since 1.44 a name is one network in any case; before, it had to be asked for. */
export async function createNetwork(
  engine: Engine,
  request: NetworkCreateRequest,
): Promise<{ readonly Id: string; readonly Warning?: string }> {
  const reply = await engine.request((version) => ({
    method: "POST",
    path: "/networks/create",
    json: compareVersions(version, [1, 44]) < 0 ? { ...request, CheckDuplicate: true } : request,
  }));
  return await reply.json();
}

export async function removeNetwork(engine: Engine, name: string): Promise<void> {
  await (
    await engine.request({ method: "DELETE", path: `/networks/${objectSegment("network", name)}` })
  ).discard();
}

export async function connectNetwork(
  engine: Engine,
  network: string,
  request: { readonly Container: string; readonly EndpointConfig?: EndpointSettings },
): Promise<void> {
  const path = `/networks/${objectSegment("network", network)}/connect`;
  await (await engine.request({ method: "POST", path, json: request })).discard();
}

export async function disconnectNetwork(
  engine: Engine,
  network: string,
  request: { readonly Container: string; readonly Force: boolean },
): Promise<void> {
  const path = `/networks/${objectSegment("network", network)}/disconnect`;
  await (await engine.request({ method: "POST", path, json: request })).discard();
}

export async function pruneNetworks(engine: Engine, filters: Filters): Promise<readonly string[]> {
  const reply = await engine.request({
    method: "POST",
    path: "/networks/prune",
    query: encodeFilters(filters),
  });
  return (await reply.json<{ NetworksDeleted?: string[] | null }>()).NetworksDeleted ?? [];
}
