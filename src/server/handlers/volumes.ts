/** `/volumes`. */
import { volumeCreateBody } from "../../api/bodies/volume.ts";
import type { Volume } from "../../api/types.ts";
import { LIST_FILTERS, PRUNE_FILTERS, type VolumeRecord } from "../../engine/volumes/records.ts";
import type { Volumes } from "../../engine/volumes/volumes.ts";
import type { Handlers } from "../call.ts";

export function volumeHandlers(volumes: Volumes): Handlers {
  const show = (record: VolumeRecord) => toVolume(record, volumes.mountpointOf(record));
  return {
    VolumeList: (call) => {
      const records = volumes.list(call.query.filters(LIST_FILTERS));
      call.json({ Volumes: records.map(show), Warnings: null });
    },
    VolumeInspect: (call) => call.json(show(volumes.get(call.param("name")))),
    VolumeCreate: async (call) => {
      const body = await call.decode(volumeCreateBody);
      const record = await volumes.create({
        name: body.Name,
        driver: body.Driver,
        driverOpts: body.DriverOpts,
        labels: body.Labels,
      });
      call.json(show(record), 201);
    },
    VolumeDelete: async (call) => {
      await volumes.remove(call.param("name"), { force: call.query.flag("force") });
      call.empty(204);
    },
    VolumePrune: async (call) => {
      const filters = new Map(call.query.filters(PRUNE_FILTERS));
      // Before 1.42 prune took named volumes along.
      if (!call.atLeast([1, 42])) filters.set("all", new Set([...(filters.get("all") ?? []), "true"]));
      const { deleted, reclaimed } = await volumes.prune(filters, call.signal);
      call.json({ VolumesDeleted: deleted, SpaceReclaimed: reclaimed });
    },
  };
}

/** As inspect and list show it: what is empty is null. */
export function toVolume(record: VolumeRecord, mountpoint: string): Volume {
  const orNull = (object: Readonly<Record<string, string>>) =>
    (Object.keys(object).length > 0 ? object : null) as Record<string, string>;
  return {
    CreatedAt: record.createdAt,
    Driver: record.driver,
    Labels: orNull(record.labels),
    Mountpoint: mountpoint,
    Name: record.name,
    Options: orNull(record.options),
    Scope: "local",
  };
}
