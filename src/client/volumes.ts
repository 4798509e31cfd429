/** Calls about volumes. */
import type { Volume } from "../api/types.ts";
import { type Engine, objectSegment } from "./engine.ts";
import { encodeFilters, type Filters } from "./filters.ts";

export async function listVolumes(
  engine: Engine,
  filters?: Filters,
): Promise<{ readonly Volumes: Volume[] | null; readonly Warnings: string[] | null }> {
  return await (
    await engine.request({ method: "GET", path: "/volumes", query: encodeFilters(filters) })
  ).json();
}

export async function inspectVolumeText(engine: Engine, name: string): Promise<string> {
  return await (
    await engine.request({ method: "GET", path: `/volumes/${objectSegment("volume", name)}` })
  ).text();
}

export interface CreateVolumeRequest {
  readonly Name?: string;
  readonly Driver: string;
  readonly DriverOpts: Readonly<Record<string, string>>;
  readonly Labels: Readonly<Record<string, string>>;
}

export async function createVolume(engine: Engine, request: CreateVolumeRequest): Promise<Volume> {
  return await (await engine.request({ method: "POST", path: "/volumes/create", json: request })).json();
}

export async function removeVolume(engine: Engine, name: string, force = false): Promise<void> {
  const query = force ? { force } : {};
  await (
    await engine.request({ method: "DELETE", path: `/volumes/${objectSegment("volume", name)}`, query })
  ).discard();
}

export async function pruneVolumes(
  engine: Engine,
  filters: Filters,
): Promise<{ readonly deleted: readonly string[]; readonly spaceReclaimed: number }> {
  const reply = await engine.request({
    method: "POST",
    path: "/volumes/prune",
    query: encodeFilters(filters),
  });
  const report = await reply.json<{ VolumesDeleted?: string[] | null; SpaceReclaimed?: number }>();
  return { deleted: report.VolumesDeleted ?? [], spaceReclaimed: report.SpaceReclaimed ?? 0 };
}
